"""User profiles: thin tasks over `lemo.jobs`."""

from typing import Any

from celery import Task

from lemo.jobs.catalog import JOBS
from lemo.tasks.celery_app import app
from lemo.tasks.dispatch import fan_out, perform, worker_stores


@app.task(name="lemo.fan_out.update-user-profiles-2hours")
def update_user_profiles_everywhere() -> None:
    """Starts `update_user_profiles` for every scenario of every tenant."""
    fan_out(worker_stores(), JOBS["update-user-profiles-2hours"], "schedule")


@app.task(name="lemo.run.update-user-profiles-2hours", bind=True)
def update_user_profiles(self: Task[Any, Any], tenant_id: str, scenario_id: str, run_id: str) -> None:
    """One run for one scenario."""
    perform(self, "update-user-profiles-2hours", tenant_id, scenario_id, run_id)
