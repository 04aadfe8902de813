"""The page of the ingest: how far the consumers are, what arrives, and what was refused."""
