"""What Redis keeps: history, availability, precomputed recommendations, queues."""
