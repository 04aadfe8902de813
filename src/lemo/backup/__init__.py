"""Backups: one archive of what cannot be made anew, taken while everything runs."""
