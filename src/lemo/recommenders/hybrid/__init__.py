"""The hybrid recommender: weighted source scores, candidates, ranking features, ranker."""
