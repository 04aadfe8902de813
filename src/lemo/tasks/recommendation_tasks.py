"""Precomputed recommendations, cleanup and guardrails of experiments: thin tasks over `lemo.jobs`."""

from typing import Any

from celery import Task

from lemo.tasks.celery_app import RETRY_WHILE_UNAVAILABLE, app
from lemo.tasks.perform import fan_out_due, perform


@app.task(name="lemo.fan_out.precompute-recommendations-4hours", **RETRY_WHILE_UNAVAILABLE)
def precompute_recommendations_everywhere(tenant_id: str = "", scenario_id: str = "", due: str | None = None) -> None:
    """Sends a run to one scenario, or to all scenarios without a row of their own."""
    fan_out_due("precompute-recommendations-4hours", tenant_id, scenario_id, due)


@app.task(name="lemo.run.precompute-recommendations-4hours", bind=True)
def precompute_recommendations(self: Task[Any, Any], tenant_id: str, scenario_id: str, run_id: str) -> None:
    """Performs one run of one scenario."""
    perform(self, "precompute-recommendations-4hours", tenant_id, scenario_id, run_id)


@app.task(name="lemo.fan_out.cleanup-expired-cache-daily", **RETRY_WHILE_UNAVAILABLE)
def cleanup_expired_cache_everywhere(tenant_id: str = "", scenario_id: str = "", due: str | None = None) -> None:
    """Sends a run to one scenario, or to all scenarios without a row of their own."""
    fan_out_due("cleanup-expired-cache-daily", tenant_id, scenario_id, due)


@app.task(name="lemo.run.cleanup-expired-cache-daily", bind=True)
def cleanup_expired_cache(self: Task[Any, Any], tenant_id: str, scenario_id: str, run_id: str) -> None:
    """Performs one run of one scenario."""
    perform(self, "cleanup-expired-cache-daily", tenant_id, scenario_id, run_id)


@app.task(name="lemo.fan_out.check-experiments-hourly", **RETRY_WHILE_UNAVAILABLE)
def check_experiments_everywhere(tenant_id: str = "", scenario_id: str = "", due: str | None = None) -> None:
    """Sends a run to one scenario, or to all scenarios without a row of their own."""
    fan_out_due("check-experiments-hourly", tenant_id, scenario_id, due)


@app.task(name="lemo.run.check-experiments-hourly", bind=True)
def check_experiments(self: Task[Any, Any], tenant_id: str, scenario_id: str, run_id: str) -> None:
    """Performs one run of one scenario."""
    perform(self, "check-experiments-hourly", tenant_id, scenario_id, run_id)
