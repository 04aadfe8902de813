"""How each job does for each scenario: when it last succeeded, whether it fails now, and whether it is overdue."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

from lemo.domain.errors import InvalidInput
from lemo.domain.run import Outcome, Run
from lemo.domain.scope import Scope
from lemo.scheduling.crontab import next_times
from lemo.scheduling.jobs import JOBS
from lemo.stores.connect import Stores
from lemo.stores.documents.schedules import EVERYWHERE, Schedule

PERIODS = 2
"""A job is overdue when it has not succeeded for this many of its periods."""
_NEWEST = 25
"""Runs read per scenario in one question; what is not among them is asked for one by one."""


@dataclass(frozen=True)
class JobState:
    """One job of one scenario, as its schedule and its runs have it."""

    entry: str
    scope: Scope
    asked_at: datetime
    last_success: datetime | None
    last_ended: Run | None
    """Its newest run that succeeded or failed; skipped ones say nothing."""
    schedule: Schedule | None
    """None: it runs when something arrives, and cannot be overdue."""
    known_since: datetime
    """From when on it could have succeeded: its last success, else when scenario and schedule were last changed."""

    @property
    def failing(self) -> bool:
        """Whether its last run failed."""
        return self.last_ended is not None and self.last_ended.outcome == "failed"

    @cached_property
    def overdue_at(self) -> datetime | None:
        """When it becomes overdue, or has become; None: never, since it is paused or has no times."""
        if self.schedule is None or self.schedule.paused:
            return None
        try:
            return self.known_since + PERIODS * period(self.schedule, self.known_since)
        except InvalidInput:  # written past us; beat reports it, and the other jobs' states still count
            return None

    @property
    def overdue(self) -> bool:
        """Whether it has not succeeded for twice its period."""
        return self.overdue_at is not None and self.asked_at > self.overdue_at

    @property
    def title(self) -> str:
        """The entry and whose it is."""
        return f"{self.entry} of {self.scope}"

    @property
    def hint(self) -> str:
        """The command that runs it and shows what happens."""
        return f"lemo jobs run {self.entry} --scenario {self.scope.scenario_id} --wait"


def period(schedule: Schedule, moment: datetime) -> timedelta:
    """The longer of the two waits after `moment`: until the schedule is due, and from there until it is due again.

    So one that rests at night or on Sundays is not overdue by its rest. Raises InvalidInput for no crontab.
    """
    first, second = next_times(schedule.cron, schedule.timezone, 2, moment)
    return max(first - moment, second - first)


def job_states(stores: Stores, tenant_ids: Iterable[str] | None = None, now: datetime | None = None) -> list[JobState]:
    """Every job of every scenario of the tenants (None: of all); raises EngineUnavailable."""
    moment = now or datetime.now(UTC)
    schedules = {(each.entry, each.scope): each for each in stores.schedules.list(followers=True)}
    found: list[JobState] = []
    for tenant_id in stores.tenants.list() if tenant_ids is None else tenant_ids:
        scenarios = {scenario.scenario_id: scenario.created_at for scenario in stores.scenarios.list(tenant_id)}
        if not scenarios:
            continue
        runs = _Runs(stores, tenant_id, _NEWEST * len(scenarios))
        for scenario_id, created_at in scenarios.items():
            scope = Scope(tenant_id, scenario_id)
            for entry in JOBS:
                schedule = schedules.get((entry, scope)) or schedules.get((entry, EVERYWHERE))
                found.append(_state(entry, scope, moment, schedule, created_at, runs))
    return found


def _state(
    entry: str, scope: Scope, moment: datetime, schedule: Schedule | None, created_at: datetime, runs: "_Runs"
) -> JobState:
    success = runs.last(entry, scope.scenario_id, "ok")
    failure = runs.last(entry, scope.scenario_id, "failed")
    ended = max((run for run in (success, failure) if run), key=_ended_at, default=None)
    # Where no success is known, an older one may have been dropped with the history.
    forgotten = moment - timedelta(days=runs.days)
    changed_at = schedule.changed_at if schedule else None
    known = [created_at, _ended_at(success) if success else forgotten, changed_at or created_at]
    return JobState(
        entry=entry,
        scope=scope,
        asked_at=moment,
        last_success=_ended_at(success) if success else None,
        last_ended=ended,
        schedule=schedule,
        known_since=max(known),
    )


def _ended_at(run: Run) -> datetime:
    return run.finished_at or run.queued_at


class _Runs:
    """The newest runs of a tenant, read at once; older ones one by one, which is rare."""

    def __init__(self, stores: Stores, tenant_id: str, limit: int) -> None:
        self._stores = stores
        self.days = stores.settings.runs_days
        self._tenant_id = tenant_id
        self._newest: dict[tuple[str, str, str], Run] = {}
        read = stores.runs.list(tenant_id, limit=limit)
        self._all = len(read) < limit
        for run in read:
            key = (run.entry, run.scenario_id, run.outcome)
            if key not in self._newest or _ended_at(run) > _ended_at(self._newest[key]):
                self._newest[key] = run

    def last(self, entry: str, scenario_id: str, outcome: Outcome) -> Run | None:
        """The newest run of the job that ended so."""
        known = self._newest.get((entry, scenario_id, outcome))
        # A success that is known makes older failures irrelevant, and an older success does matter.
        if known or self._all or (outcome == "failed" and (entry, scenario_id, "ok") in self._newest):
            return known
        asked = self._stores.runs.list(self._tenant_id, entry, scenario_id, outcome, limit=1)
        return asked[0] if asked else None
