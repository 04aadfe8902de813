"""Logs, metrics and secrets: low, everybody may use it."""
