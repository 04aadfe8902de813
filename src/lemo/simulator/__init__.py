"""A small world for demonstrations and tests: items, users whose tastes drift, and their events, all from one seed."""
