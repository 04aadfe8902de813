"""The page of imports: files are dropped, looked at, corrected, and imported while the page may be closed."""
