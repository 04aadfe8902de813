"""Filters: CEL expressions (https://cel.dev) that choose items, evaluated over the columns of the catalogue."""
