"""Statistics of a scenario: what was answered, what followed from it, and what happened at all."""
