"""The ingest log on Kafka."""
