"""The consumer service: ingest log -> documents, events, recent history, newest items, dead letters."""
