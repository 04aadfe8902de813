"""Sending runs to the worker, and what the worker does with one."""

from functools import cache
from typing import Any

from celery import Task
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from lemo.domain.errors import EngineUnavailable
from lemo.domain.run import Run, Trigger
from lemo.domain.scope import Scope
from lemo.scheduling.execution import Ending, execute
from lemo.scheduling.jobs import JOBS, Job, job_of
from lemo.stores.connect import Stores
from lemo.stores.documents.schedules import EVERYWHERE
from lemo.tasks.celery_app import app, settings

RETRY_SECONDS = {Ending.busy: 1, Ending.again: 5}


@cache
def worker_stores() -> Stores:
    """The stores of this process: each of the worker's is started anew, not forked."""
    return Stores(settings)


def send(run: Run, tenant_id: str, countdown: float = 0) -> None:
    """Puts a run on its queue; raises EngineUnavailable when the broker is away."""
    try:
        app.send_task(
            f"lemo.run.{run.entry}",
            args=[tenant_id, run.scenario_id, run.run_id],
            queue=job_of(run.entry).queue,
            countdown=countdown or None,
            # Else Celery waits for the result store as well, and for long where that is away.
            ignore_result=True,
            retry=True,
            retry_policy={"max_retries": 3, "interval_start": 0.1, "interval_step": 0.3, "interval_max": 1},
        )
    except (OperationalError, RedisError) as error:
        raise EngineUnavailable(
            f"The broker did not take the run of {run.entry}.", "Is Redis running? `lemo doctor` tells."
        ) from error


def dispatch(stores: Stores, job: Job, scope: Scope, trigger: Trigger, due: str = "", full: bool = False) -> Run:
    """Records a new run and sends it to the worker; one that was due at a time and is under way is left alone."""
    run = stores.runs.create(scope.tenant_id, job.entry, scope.scenario_id, trigger, due, full)
    if run.outcome == "queued":
        send(run, scope.tenant_id)
    return run


def fan_out(
    stores: Stores, job: Job, trigger: Trigger, tenant_ids: list[str] | None = None, full: bool = False
) -> list[Run]:
    """Sends one run per (tenant, scenario)."""
    return [
        dispatch(stores, job, Scope(tenant_id, scenario.scenario_id), trigger, full=full)
        for tenant_id in (tenant_ids if tenant_ids is not None else stores.tenants.list())
        for scenario in stores.scenarios.list(tenant_id)
    ]


def fan_out_due(entry: str, tenant_id: str, scenario_id: str, due: str | None) -> list[Run]:
    """What every scheduled task does: sends a run to each scenario that the schedule is for, by the documents.

    They are asked although beat reads them too: beat may have sent this just before somebody paused it. `due` (ISO
    8601) is when it was due: sent twice for one due time, as a beat or worker that dies may, it makes the same runs.
    """
    stores, job = worker_stores(), job_of(entry)
    scopes = due_scopes(stores, entry, Scope(tenant_id, scenario_id))
    return [dispatch(stores, job, scope, "schedule", due or "") for scope in scopes]


def due_scopes(stores: Stores, entry: str, row: Scope) -> list[Scope]:
    """The scenarios that run when a row of the schedule is due: none while it is paused.

    The default row (an empty scope) leaves out scenarios with a row of their own; such a row runs its scenario alone.
    """
    own = stores.schedules.own_scopes(entry)
    if stores.schedules.of(entry, row).paused or (row != EVERYWHERE and row not in own):
        return []
    tenant_ids = stores.tenants.list() if row == EVERYWHERE else [row.tenant_id]
    scopes = [Scope(tenant, each.scenario_id) for tenant in tenant_ids for each in stores.scenarios.list(tenant)]
    return [scope for scope in scopes if (scope not in own if row == EVERYWHERE else scope == row)]


def perform(task: Task[Any, Any], entry: str, tenant_id: str, scenario_id: str, run_id: str) -> None:
    """What every task of a run does: runs it, or puts itself back when it is not its turn yet."""
    stores, scope = worker_stores(), Scope(tenant_id, scenario_id)
    ending = execute(stores, job_of(entry), scope, run_id)
    if ending is not Ending.finished:
        raise task.retry(countdown=RETRY_SECONDS[ending])
    if entry == "train-model-daily" and lacks_similar_items(stores, scope):
        dispatch(stores, JOBS["compute-item-similarity-hourly"], scope, "arrival")


def lacks_similar_items(stores: Stores, scope: Scope) -> bool:
    """Whether a model serves and no similar items yet: the first training brings them, not the next full hour."""
    return stores.snapshots.current(scope, "model") is not None and stores.snapshots.current(scope, "similar") is None


def request_embedding(stores: Stores, scope: Scope) -> None:
    """Asks for the embedding of the scope's waiting items; many requests at once become one run."""
    if stores.embedding_queue.announce(scope):
        dispatch(stores, JOBS["embed-items"], scope, "arrival")
