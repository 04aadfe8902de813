"""Log lines, scraped metrics and masking of secrets. Low in the layers: every package above it may use it."""
