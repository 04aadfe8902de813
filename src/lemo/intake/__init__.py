"""Items and events on their way into the ingest log: the way in of the API, of the console and of files."""
