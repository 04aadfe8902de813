"""User profiles: thin tasks over `lemo.jobs`."""

from typing import Any

from celery import Task

from lemo.tasks.celery_app import PATIENT, app
from lemo.tasks.dispatch import fan_out_due, perform


@app.task(name="lemo.fan_out.update-user-profiles-2hours", **PATIENT)
def update_user_profiles_everywhere(tenant_id: str = "", scenario_id: str = "", due: str | None = None) -> None:
    """Starts it for one scenario, or for all that have no row of their own."""
    fan_out_due("update-user-profiles-2hours", tenant_id, scenario_id, due)


@app.task(name="lemo.run.update-user-profiles-2hours", bind=True)
def update_user_profiles(self: Task[Any, Any], tenant_id: str, scenario_id: str, run_id: str) -> None:
    """One run for one scenario."""
    perform(self, "update-user-profiles-2hours", tenant_id, scenario_id, run_id)
