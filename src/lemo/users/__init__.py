"""Users as a whole: erased from all stores, or merged into another user."""
