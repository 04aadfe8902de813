"""Offline evaluation: splits, metrics, beyond accuracy, significance."""
