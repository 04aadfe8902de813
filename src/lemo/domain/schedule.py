"""The design's schedule: which entries there are, and when each runs unless an operator says otherwise."""

DEFAULT_CRONS = {
    "train-model-daily": "0 3 * * *",
    "compute-item-similarity-hourly": "0 * * * *",
    "update-user-profiles-2hours": "0 */2 * * *",
    "precompute-recommendations-4hours": "0 */4 * * *",
    "cleanup-expired-cache-daily": "0 4 * * *",
    "check-experiments-hourly": "20 * * * *",
    "aggregate-realtime-minutely": "* * * * *",
}
"""Crontab (minute hour day month weekday) by entry, in UTC."""
DEFAULT_TIMEZONE = "UTC"

WORKER_CHECK = "lemo.worker-check"
"""Name of the tiny task that proves that a worker works."""
