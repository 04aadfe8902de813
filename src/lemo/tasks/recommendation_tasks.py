"""Precomputed recommendations and cleanup: thin tasks over `lemo.jobs`."""

from typing import Any

from celery import Task

from lemo.tasks.celery_app import PATIENT, app
from lemo.tasks.dispatch import fan_out_due, perform


@app.task(name="lemo.fan_out.precompute-recommendations-4hours", **PATIENT)
def precompute_recommendations_everywhere(tenant_id: str = "", scenario_id: str = "", due: str | None = None) -> None:
    """Starts it for one scenario, or for all that have no row of their own."""
    fan_out_due("precompute-recommendations-4hours", tenant_id, scenario_id, due)


@app.task(name="lemo.run.precompute-recommendations-4hours", bind=True)
def precompute_recommendations(self: Task[Any, Any], tenant_id: str, scenario_id: str, run_id: str) -> None:
    """One run for one scenario."""
    perform(self, "precompute-recommendations-4hours", tenant_id, scenario_id, run_id)


@app.task(name="lemo.fan_out.cleanup-expired-cache-daily", **PATIENT)
def cleanup_expired_cache_everywhere(tenant_id: str = "", scenario_id: str = "", due: str | None = None) -> None:
    """Starts it for one scenario, or for all that have no row of their own."""
    fan_out_due("cleanup-expired-cache-daily", tenant_id, scenario_id, due)


@app.task(name="lemo.run.cleanup-expired-cache-daily", bind=True)
def cleanup_expired_cache(self: Task[Any, Any], tenant_id: str, scenario_id: str, run_id: str) -> None:
    """One run for one scenario."""
    perform(self, "cleanup-expired-cache-daily", tenant_id, scenario_id, run_id)
