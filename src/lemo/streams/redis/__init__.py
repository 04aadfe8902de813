"""The ingest log on Redis Streams."""
