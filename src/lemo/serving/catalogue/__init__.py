"""The catalogue as columns: what filters are evaluated over."""
