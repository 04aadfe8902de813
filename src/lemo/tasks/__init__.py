"""Celery: the app, the schedule, and thin task modules that call jobs."""
