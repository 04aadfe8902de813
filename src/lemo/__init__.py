"""Lemo Recommender: a self-hosted, multi-tenant recommender system."""

__version__ = "0.1.0"
