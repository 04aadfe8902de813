"""The demo: real items and events through every service to a recommendation."""
