"""Training: thin tasks over `lemo.jobs`."""

from typing import Any

from celery import Task

from lemo.jobs.catalog import JOBS
from lemo.tasks.celery_app import app
from lemo.tasks.dispatch import fan_out, perform, worker_stores


@app.task(name="lemo.fan_out.train-model-daily")
def train_model_everywhere() -> None:
    """Starts `train_model` for every scenario of every tenant."""
    fan_out(worker_stores(), JOBS["train-model-daily"], "schedule")


@app.task(name="lemo.run.train-model-daily", bind=True)
def train_model(self: Task[Any, Any], tenant_id: str, scenario_id: str, run_id: str) -> None:
    """One run for one scenario."""
    perform(self, "train-model-daily", tenant_id, scenario_id, run_id)
