"""Interactions as columns and matrices: what every source learns from."""
