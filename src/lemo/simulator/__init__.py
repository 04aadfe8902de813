"""A small world for demonstrations and tests: items, users with tastes that drift, and what they do. By seed alone."""
