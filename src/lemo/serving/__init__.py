"""Answers to requests: from mapped snapshots and Redis, without a database, the same for API, batch export and jobs."""
