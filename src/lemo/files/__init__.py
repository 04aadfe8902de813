"""Files of items and events: CSV, JSONL and Parquet with the documented columns, and folders of public data sets."""
