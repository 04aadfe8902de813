"""Items: similarity on schedule, embeddings on arrival: thin tasks over `lemo.jobs`."""

from typing import Any

from celery import Task

from lemo.jobs.catalog import JOBS
from lemo.tasks.celery_app import app
from lemo.tasks.dispatch import fan_out, perform, worker_stores


@app.task(name="lemo.fan_out.compute-item-similarity-hourly")
def compute_item_similarity_everywhere() -> None:
    """Starts `compute_item_similarity` for every scenario of every tenant."""
    fan_out(worker_stores(), JOBS["compute-item-similarity-hourly"], "schedule")


@app.task(name="lemo.run.compute-item-similarity-hourly", bind=True)
def compute_item_similarity(self: Task[Any, Any], tenant_id: str, scenario_id: str, run_id: str) -> None:
    """One run for one scenario."""
    perform(self, "compute-item-similarity-hourly", tenant_id, scenario_id, run_id)


@app.task(name="lemo.run.embed-items", bind=True)
def embed_items(self: Task[Any, Any], tenant_id: str, scenario_id: str, run_id: str) -> None:
    """One run for one scenario."""
    perform(self, "embed-items", tenant_id, scenario_id, run_id)
