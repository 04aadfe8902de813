"""Moves an installation to other engines, and proves that they hold and answer the same."""
