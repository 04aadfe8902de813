"""Sends runs to the worker: one, one for each scenario, or those that a row of the schedule is for."""

from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from lemo.domain.errors import EngineUnavailable
from lemo.domain.run import Run, Trigger
from lemo.domain.scope import Scope
from lemo.scheduling.broker import app
from lemo.scheduling.jobs import JOBS, Job, job_of
from lemo.scheduling.traced import sent
from lemo.stores.connect import Stores
from lemo.stores.documents.schedules import ALL_SCOPES


def send(run: Run, tenant_id: str, countdown: float = 0) -> None:
    """Puts a run on its queue; raises EngineUnavailable when the broker does not answer."""
    task = f"lemo.run.{run.entry}"
    try:
        with sent(task):
            app.send_task(
                task,
                args=[tenant_id, run.scenario_id, run.run_id],
                queue=job_of(run.entry).queue,
                countdown=countdown or None,
                # Otherwise Celery waits for the result backend too.
                ignore_result=True,
                retry=True,
                retry_policy={"max_retries": 3, "interval_start": 0.1, "interval_step": 0.3, "interval_max": 1},
            )
    except (OperationalError, RedisError) as error:
        raise EngineUnavailable(
            f"The broker did not take the run of {run.entry}.", "Is Redis running? `lemo doctor` tells."
        ) from error


def dispatch(stores: Stores, job: Job, scope: Scope, trigger: Trigger, due: str = "", full: bool = False) -> Run:
    """Records a run and sends it to the worker. A run of the same due time that exists already is not sent again.

    `due` is the due time (ISO 8601) of a scheduled run, else empty.
    """
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


def due_scopes(stores: Stores, entry: str, row: Scope) -> list[Scope]:
    """The scenarios that run when a row of the schedule is due; none while the row is paused.

    The default row (an empty scope) is for all scenarios without a row of their own. Any other row is for its scenario.
    """
    own = stores.schedules.own_scopes(entry)
    if stores.schedules.of(entry, row).paused or (row != ALL_SCOPES and row not in own):
        return []
    tenant_ids = stores.tenants.list() if row == ALL_SCOPES else [row.tenant_id]
    scopes = [Scope(tenant, each.scenario_id) for tenant in tenant_ids for each in stores.scenarios.list(tenant)]
    return [scope for scope in scopes if (scope not in own if row == ALL_SCOPES else scope == row)]


def lacks_similar_items(stores: Stores, scope: Scope) -> bool:
    """Whether the scope has a model in service but no similar items: true after its first training."""
    return stores.snapshots.current(scope, "model") is not None and stores.snapshots.current(scope, "similar") is None


def request_embedding(stores: Stores, scope: Scope) -> None:
    """Starts the embedding of the scope's waiting items. Requests at the same time share one run."""
    if stores.embedding_queue.announce(scope):
        dispatch(stores, JOBS["embed-items"], scope, "arrival")
