"""Precomputed recommendations and cleanup: thin tasks over `lemo.jobs`."""

from typing import Any

from celery import Task

from lemo.jobs.catalog import JOBS
from lemo.tasks.celery_app import app
from lemo.tasks.dispatch import fan_out, perform, worker_stores


@app.task(name="lemo.fan_out.precompute-recommendations-4hours")
def precompute_recommendations_everywhere() -> None:
    """Starts `precompute_recommendations` for every scenario of every tenant."""
    fan_out(worker_stores(), JOBS["precompute-recommendations-4hours"], "schedule")


@app.task(name="lemo.run.precompute-recommendations-4hours", bind=True)
def precompute_recommendations(self: Task[Any, Any], tenant_id: str, scenario_id: str, run_id: str) -> None:
    """One run for one scenario."""
    perform(self, "precompute-recommendations-4hours", tenant_id, scenario_id, run_id)


@app.task(name="lemo.fan_out.cleanup-expired-cache-daily")
def cleanup_expired_cache_everywhere() -> None:
    """Starts `cleanup_expired_cache` for every scenario of every tenant."""
    fan_out(worker_stores(), JOBS["cleanup-expired-cache-daily"], "schedule")


@app.task(name="lemo.run.cleanup-expired-cache-daily", bind=True)
def cleanup_expired_cache(self: Task[Any, Any], tenant_id: str, scenario_id: str, run_id: str) -> None:
    """One run for one scenario."""
    perform(self, "cleanup-expired-cache-daily", tenant_id, scenario_id, run_id)
