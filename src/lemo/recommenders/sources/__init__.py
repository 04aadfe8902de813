"""Candidate sources, one file each: what scores items for a user."""
