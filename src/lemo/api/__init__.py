"""The HTTP API: items and events in, recommendations out."""
