"""Items and events on their way into the ingest log: the way in of the API and of the console."""
