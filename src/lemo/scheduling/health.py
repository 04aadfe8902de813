"""Health of each job of each scenario: its last success, whether it fails now, and whether it is overdue."""

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
from lemo.stores.documents.schedules import ALL_SCOPES, Schedule

PERIODS = 2
"""A job is overdue when it has not succeeded for this many of its periods."""
LEAST = timedelta(minutes=15)
"""No job is overdue sooner: a worker that starts again, or is busy, needs as long for one that runs every minute."""
_NEWEST = 30
"""Runs read per scenario in one query. Older runs are read one by one."""


@dataclass(frozen=True)
class JobState:
    """Health of one job of one scenario, by its schedule and its runs."""

    entry: str
    scope: Scope
    checked_at: datetime
    last_success: datetime | None
    last_ended: Run | None
    """Its newest run that succeeded or failed."""
    schedule: Schedule | None
    """None: it runs when items arrive, and cannot be overdue."""
    waiting_since: datetime
    """Start of the wait for a success: the last success, else the last change of scenario and schedule."""

    @property
    def failing(self) -> bool:
        """Whether its last run failed."""
        return self.last_ended is not None and self.last_ended.outcome == "failed"

    @cached_property
    def overdue_at(self) -> datetime | None:
        """When it becomes or became overdue; None: never, as it is paused or has no schedule."""
        if self.schedule is None or self.schedule.paused:
            return None
        try:
            return self.waiting_since + max(PERIODS * period(self.schedule, self.waiting_since), LEAST)
        except InvalidInput:  # an invalid crontab written by others: beat reports it
            return None

    @property
    def overdue(self) -> bool:
        """Whether it has not succeeded for twice its period."""
        return self.overdue_at is not None and self.checked_at > self.overdue_at

    @property
    def title(self) -> str:
        """The entry and its scope."""
        return f"{self.entry} of {self.scope}"

    @property
    def hint(self) -> str:
        """The command that runs it and waits for the result."""
        return f"lemo jobs run {self.entry} --scenario {self.scope.scenario_id} --wait"


def period(schedule: Schedule, moment: datetime) -> timedelta:
    """The longer of two waits after `moment`: until the schedule is due, and until it is due again.

    A schedule with a pause at night or on Sundays is then not overdue by its pause. Raises InvalidInput.
    """
    first, second = next_times(schedule.cron, schedule.timezone, 2, moment)
    return max(first - moment, second - first)


def job_states(stores: Stores, tenant_ids: Iterable[str] | None = None, now: datetime | None = None) -> list[JobState]:
    """The health of every job of every scenario of the tenants (None: all); raises EngineUnavailable."""
    moment = now or datetime.now(UTC)
    schedules = {(each.entry, each.scope): each for each in stores.schedules.list(followers=True)}
    states: list[JobState] = []
    for tenant_id in stores.tenants.list() if tenant_ids is None else tenant_ids:
        scenarios = {scenario.scenario_id: scenario.created_at for scenario in stores.scenarios.list(tenant_id)}
        if not scenarios:
            continue
        runs = _Runs(stores, tenant_id, _NEWEST * len(scenarios))
        for scenario_id, created_at in scenarios.items():
            scope = Scope(tenant_id, scenario_id)
            for entry in JOBS:
                schedule = schedules.get((entry, scope)) or schedules.get((entry, ALL_SCOPES))
                states.append(_state(entry, scope, moment, schedule, created_at, runs))
    return states


def _state(
    entry: str, scope: Scope, moment: datetime, schedule: Schedule | None, created_at: datetime, runs: "_Runs"
) -> JobState:
    success = runs.last(entry, scope.scenario_id, "ok")
    failure = runs.last(entry, scope.scenario_id, "failed")
    ended = max((run for run in (success, failure) if run), key=_ended_at, default=None)
    # Without a success in the history, an older one may have been dropped with it.
    history_start = moment - timedelta(days=runs.days)
    changed_at = schedule.changed_at if schedule else None
    starts = [created_at, _ended_at(success) if success else history_start, changed_at or created_at]
    return JobState(
        entry=entry,
        scope=scope,
        checked_at=moment,
        last_success=_ended_at(success) if success else None,
        last_ended=ended,
        schedule=schedule,
        waiting_since=max(starts),
    )


def _ended_at(run: Run) -> datetime:
    return run.finished_at or run.queued_at


class _Runs:
    """The newest runs of a tenant, read in one query; older ones one by one, which is rare."""

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
        """The newest run of the job with the outcome."""
        run = self._newest.get((entry, scenario_id, outcome))
        # Older failures are irrelevant after a success.
        if run or self._all or (outcome == "failed" and (entry, scenario_id, "ok") in self._newest):
            return run
        older = self._stores.runs.list(self._tenant_id, entry, scenario_id, outcome, limit=1)
        return older[0] if older else None
