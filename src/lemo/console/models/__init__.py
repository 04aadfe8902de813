"""The page of the models: their quality over time, two of them compared, training, promotion and rollback."""
