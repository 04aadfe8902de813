"""Items: similarity on schedule, embeddings on arrival: thin tasks over `lemo.jobs`."""

from typing import Any

from celery import Task

from lemo.tasks.celery_app import PATIENT, app
from lemo.tasks.dispatch import fan_out_due, perform


@app.task(name="lemo.fan_out.compute-item-similarity-hourly", **PATIENT)
def compute_item_similarity_everywhere(tenant_id: str = "", scenario_id: str = "", due: str | None = None) -> None:
    """Starts it for one scenario, or for all that have no row of their own."""
    fan_out_due("compute-item-similarity-hourly", tenant_id, scenario_id, due)


@app.task(name="lemo.run.compute-item-similarity-hourly", bind=True)
def compute_item_similarity(self: Task[Any, Any], tenant_id: str, scenario_id: str, run_id: str) -> None:
    """One run for one scenario."""
    perform(self, "compute-item-similarity-hourly", tenant_id, scenario_id, run_id)


@app.task(name="lemo.run.embed-items", bind=True)
def embed_items(self: Task[Any, Any], tenant_id: str, scenario_id: str, run_id: str) -> None:
    """One run for one scenario."""
    perform(self, "embed-items", tenant_id, scenario_id, run_id)
