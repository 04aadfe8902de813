"""Content vectors of items, and what makes them."""
