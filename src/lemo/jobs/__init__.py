"""What a scheduled job does: read, compute with a recommender, write. Plain functions, callable without Celery."""
