"""The pages of items: the catalogue, and one item of it."""
