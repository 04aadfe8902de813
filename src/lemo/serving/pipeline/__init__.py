"""From candidates to an answer: recall, filter, boost, freshness, diversity and caps, promoted places, pins."""
