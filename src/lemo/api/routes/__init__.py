"""The routes, one module per subject; each only translates between HTTP and what does the work."""
