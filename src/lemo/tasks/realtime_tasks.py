"""Real-time aggregation without Flink: thin tasks over `lemo.jobs`."""

from typing import Any

from celery import Task

from lemo.tasks.celery_app import RETRY_WHILE_UNAVAILABLE, app
from lemo.tasks.perform import fan_out_due, perform


@app.task(name="lemo.fan_out.aggregate-realtime-minutely", **RETRY_WHILE_UNAVAILABLE)
def aggregate_realtime_everywhere(tenant_id: str = "", scenario_id: str = "", due: str | None = None) -> None:
    """Sends a run to one scenario, or to all scenarios without a row of their own."""
    fan_out_due("aggregate-realtime-minutely", tenant_id, scenario_id, due)


@app.task(name="lemo.run.aggregate-realtime-minutely", bind=True)
def aggregate_realtime(self: Task[Any, Any], tenant_id: str, scenario_id: str, run_id: str) -> None:
    """Performs one run of one scenario."""
    perform(self, "aggregate-realtime-minutely", tenant_id, scenario_id, run_id)
