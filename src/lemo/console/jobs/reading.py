"""What the page of the jobs shows: rows of the schedule with durations, and runs, those on arrival grouped."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from lemo.domain.run import Outcome, Run
from lemo.domain.scope import Scope
from lemo.scheduling.overview import ScheduleRow, schedule_overview
from lemo.stores.connect import Stores

TREND = 30
"""Newest runs of a job whose durations are drawn."""
READ = 300
"""Newest runs that are read for the list, before those on arrival are grouped."""


@dataclass(frozen=True, slots=True)
class ShownRow:
    """A row of the schedule, and how long its newest runs took, oldest first."""

    row: ScheduleRow
    seconds: list[float]


@dataclass(frozen=True, slots=True)
class RunGroup:
    """A run, or runs of one job that arriving items started one after the other and that ended alike."""

    newest: Run
    count: int
    rows_written: int
    seconds: float | None
    """Of all of them; None before one has ended."""


def schedule_rows(stores: Stores, tenant_id: str, scenario_id: str) -> list[ShownRow]:
    """The schedule as `GET /v1/schedules` tells it, with durations; raises as `schedule_overview`."""
    rows = schedule_overview(stores, tenant_id, scenario_id)
    return [ShownRow(row, durations(stores, tenant_id, row.entry, row.scenario_id)) for row in rows]


def durations(stores: Stores, tenant_id: str, entry: str, scenario_id: str) -> list[float]:
    """Seconds of the newest runs that ended well, oldest first."""
    runs = stores.runs.list(tenant_id, entry, scenario_id or None, "ok", TREND)
    return [run.seconds for run in reversed(runs) if run.seconds is not None]


def duration_series(
    stores: Stores, tenant_id: str, entry: str, scenario_id: str
) -> tuple[list[datetime], dict[str, list[float | None]]]:
    """When the newest runs that ended well started, oldest first, and the seconds of each by scenario."""
    runs = [
        run
        for run in reversed(stores.runs.list(tenant_id, entry, scenario_id or None, "ok", 2 * TREND))
        if run.seconds is not None and run.started_at is not None
    ]
    scenarios = sorted({run.scenario_id for run in runs})
    series = {name: [run.seconds if run.scenario_id == name else None for run in runs] for name in scenarios}
    return [run.started_at for run in runs if run.started_at is not None], series


def run_groups(
    stores: Stores, tenant_id: str, entry: str, scenario_id: str, outcome: Outcome | None, limit: int
) -> list[RunGroup]:
    """The newest runs, as `GET /v1/runs` tells them, newest first; those on arrival grouped."""
    runs = stores.runs.list(tenant_id, entry or None, scenario_id or None, outcome, READ)
    return list(grouped(runs))[:limit]


def grouped(runs: Sequence[Run]) -> Iterable[RunGroup]:
    """The runs in their order; neighbours of one job, scenario and outcome that items started become one group."""
    start = 0
    while start < len(runs):
        end = start + 1
        while end < len(runs) and _alike(runs[start], runs[end]):
            end += 1
        group = runs[start:end]
        took = [run.seconds for run in group if run.seconds is not None]
        yield RunGroup(group[0], len(group), sum(run.rows_written for run in group), sum(took) if took else None)
        start = end


def _alike(one: Run, other: Run) -> bool:
    return one.trigger == other.trigger == "arrival" and (one.entry, one.scenario_id, one.outcome) == (
        other.entry,
        other.scenario_id,
        other.outcome,
    )


def concerned_by_run(stores: Stores, tenant_id: str, scenario_id: str) -> int:
    """For how many scenarios a job is run that is started now."""
    return 1 if scenario_id else len(stores.scenarios.list(tenant_id))


def concerned_by_row(stores: Stores, entry: str, scenario_id: str) -> int:
    """How many scenarios follow a row of the schedule: a default row is for all without one of their own."""
    if scenario_id:
        return 1
    own = {row.scope for row in stores.schedules.list() if row.entry == entry}
    scopes = (
        Scope(tenant_id, scenario.scenario_id)
        for tenant_id in stores.tenants.list()
        for scenario in stores.scenarios.list(tenant_id)
    )
    return sum(scope not in own for scope in scopes)
