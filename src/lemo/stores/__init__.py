"""Where data lives: one module per engine, each hiding its engine."""
