"""Items: similarity on schedule, embeddings on arrival: thin tasks over `lemo.jobs`."""

from typing import Any

from celery import Task

from lemo.tasks.celery_app import RETRY_WHILE_UNAVAILABLE, app
from lemo.tasks.perform import fan_out_due, perform


@app.task(name="lemo.fan_out.compute-item-similarity-hourly", **RETRY_WHILE_UNAVAILABLE)
def compute_item_similarity_everywhere(tenant_id: str = "", scenario_id: str = "", due: str | None = None) -> None:
    """Sends a run to one scenario, or to all scenarios without a row of their own."""
    fan_out_due("compute-item-similarity-hourly", tenant_id, scenario_id, due)


@app.task(name="lemo.run.compute-item-similarity-hourly", bind=True)
def compute_item_similarity(self: Task[Any, Any], tenant_id: str, scenario_id: str, run_id: str) -> None:
    """Performs one run of one scenario."""
    perform(self, "compute-item-similarity-hourly", tenant_id, scenario_id, run_id)


@app.task(name="lemo.run.embed-items", bind=True)
def embed_items(self: Task[Any, Any], tenant_id: str, scenario_id: str, run_id: str) -> None:
    """Performs one run of one scenario."""
    perform(self, "embed-items", tenant_id, scenario_id, run_id)
