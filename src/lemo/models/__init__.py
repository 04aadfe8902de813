"""The model registry: what a snapshot means, champion and challenger, promotion and rollback."""
