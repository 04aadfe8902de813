"""The schedules of a tenant with their last and next runs."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import redbeat
import structlog
from pydantic import BaseModel
from redbeat.schedulers import ensure_conf
from redis.exceptions import RedisError

from lemo.domain.run import Outcome, Progress, Run
from lemo.domain.scope import Scope
from lemo.scheduling.broker import app
from lemo.scheduling.jobs import JOBS
from lemo.scheduling.redbeat_crontab import due_after
from lemo.stores.connect import Stores
from lemo.stores.documents.schedules import ALL_SCOPES, Schedule

log = structlog.get_logger()

_NEWEST_RUNS = 200


class ScheduleRow(BaseModel):
    """One schedule and its last run; times are UTC."""

    entry: str
    scenario_id: str = ""
    """Empty: all scenarios without a row of their own."""
    title: str
    cron: str
    timezone: str
    paused: bool
    own: bool
    """Whether the scenario has a row of its own; false where it follows the default row."""
    last_run: datetime | None = None
    """When the last run of this tenant started, by schedule or by hand."""
    seconds: float | None = None
    outcome: Outcome | None = None
    run_id: str = ""
    progress: Progress = Progress()
    """Progress of that run, while it runs."""
    rows_written: int = 0
    error: str = ""
    failing: list[str] = []
    """Scenarios whose last run failed."""
    next_run: datetime | None = None
    """When beat starts it next; in the past while it waits for beat; null while it is paused or has no entry yet."""
    changed_at: datetime | None = None
    changed_by: str = ""


def schedule_overview(stores: Stores, tenant_id: str, scenario_id: str = "") -> list[ScheduleRow]:
    """The default rows and the tenant's own rows; with a scenario, the rows in force for it.

    Raises EngineUnavailable without the documents, and NotFound for an unknown scenario. Without Redis the next runs
    are null.
    """
    schedules = stores.schedules.list(tenant_id)
    own = {(each.entry, each.scope) for each in schedules if each.scope != ALL_SCOPES}
    if scenario_id:
        scope = Scope(tenant_id, stores.scenarios.get(Scope(tenant_id, scenario_id)).scenario_id)
        in_force = {each.entry: each for each in schedules if each.scope in (ALL_SCOPES, scope)}
        schedules = list(in_force.values())
    next_runs = _next_runs(stores, schedules)
    return [_row(stores, tenant_id, each, own, scenario_id, next_runs.get(each.name)) for each in schedules]


def _row(
    stores: Stores,
    tenant_id: str,
    schedule: Schedule,
    own: set[tuple[str, Scope]],
    scenario_id: str,
    next_run: datetime | None,
) -> ScheduleRow:
    row_scenario = scenario_id or schedule.scenario_id
    runs = stores.runs.list(tenant_id, schedule.entry, row_scenario or None, limit=_NEWEST_RUNS)
    if not row_scenario:
        runs = [run for run in runs if (run.entry, Scope(tenant_id, run.scenario_id)) not in own]
    started = [run for run in runs if run.outcome not in ("queued", "skipped")]
    last = max(started, key=_start, default=None)
    row = ScheduleRow(
        entry=schedule.entry,
        scenario_id=row_scenario,
        title=JOBS[schedule.entry].title,
        cron=schedule.cron,
        timezone=schedule.timezone,
        paused=schedule.paused,
        own=schedule.scope != ALL_SCOPES,
        failing=_failing(started),
        next_run=None if schedule.paused else next_run,
        changed_at=schedule.changed_at,
        changed_by=schedule.changed_by,
    )
    if last is not None:
        row.last_run, row.seconds, row.outcome, row.run_id = _start(last), last.seconds, last.outcome, last.run_id
        row.progress, row.rows_written, row.error = last.progress, last.rows_written, last.error
    return row


def _start(run: Run) -> datetime:
    return run.started_at or run.queued_at


def _failing(runs: Iterable[Run]) -> list[str]:
    newest: dict[str, Run] = {}
    for run in runs:
        newest.setdefault(run.scenario_id, run)
    return sorted(name for name, run in newest.items() if run.outcome == "failed")


def _next_runs(stores: Stores, schedules: Sequence[Schedule]) -> dict[str, datetime]:
    """The next run of each schedule that has an entry in RedBeat, by name."""
    conf = ensure_conf(app)
    try:
        with stores.redis.pipeline(transaction=False) as pipe:
            for schedule in schedules:
                pipe.hmget(conf.key_prefix + schedule.name, "definition", "meta")
            found = pipe.execute()
    except RedisError as error:
        log.warning("the next runs are unknown: Redis does not answer", error=str(error))
        return {}
    next_runs = {}
    for schedule, (definition, meta) in zip(schedules, found, strict=True):
        if not definition or not meta:
            continue
        try:
            entry = redbeat.RedBeatSchedulerEntry.decode_definition(definition)
            last = redbeat.RedBeatSchedulerEntry.decode_meta(meta)["last_run_at"]
            moment = due_after(entry["schedule"], last, datetime.now(UTC))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            log.warning("beat holds a broken entry", name=schedule.name, error=str(error))
        else:
            if moment is not None:
                next_runs[schedule.name] = moment
    return next_runs
