"""Choosing a model: hyperparameter search, ranker training, the honest test."""
