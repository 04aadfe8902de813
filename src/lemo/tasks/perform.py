"""What the tasks do: fan out a schedule that is due, or perform one run."""

from functools import cache
from typing import Any

from celery import Task, current_task

from lemo.domain.run import Run
from lemo.domain.scope import Scope
from lemo.scheduling.dispatch import dispatch, due_scopes, lacks_similar_items
from lemo.scheduling.execution import Ending, execute
from lemo.scheduling.jobs import JOBS, job_of
from lemo.scheduling.traced import performed
from lemo.stores.connect import Stores
from lemo.tasks.celery_app import settings

RETRY_SECONDS = {Ending.busy: 1, Ending.again: 5}


@cache
def worker_stores() -> Stores:
    """The stores of this process."""
    return Stores(settings)


def fan_out_due(entry: str, tenant_id: str, scenario_id: str, due: str | None) -> list[Run]:
    """Sends a run to each scenario that a row of the schedule is for.

    The schedules are read again here, because beat may have sent this task just before somebody paused the row.
    `due` is the due time (ISO 8601). A task that is delivered twice for one due time makes the same runs.
    """
    stores, job = worker_stores(), job_of(entry)
    with performed(f"lemo.fan_out.{entry}", current_task.request.headers if current_task else None):
        scopes = due_scopes(stores, entry, Scope(tenant_id, scenario_id))
        return [dispatch(stores, job, scope, "schedule", due or "") for scope in scopes]


def perform(task: Task[Any, Any], entry: str, tenant_id: str, scenario_id: str, run_id: str) -> None:
    """Executes one run, or retries the task later when the run cannot start now."""
    stores, scope = worker_stores(), Scope(tenant_id, scenario_id)
    with performed(task.name, task.request.headers, scenario=scenario_id, run=run_id):
        ending = execute(stores, job_of(entry), scope, run_id)
        if ending is Ending.finished and entry == "train-model-daily" and lacks_similar_items(stores, scope):
            dispatch(stores, JOBS["compute-item-similarity-hourly"], scope, "arrival")
    if ending is not Ending.finished:
        raise task.retry(countdown=RETRY_SECONDS[ending])
