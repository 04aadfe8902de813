"""How each job does for each scenario: when it last succeeded, whether it fails now, and whether it is overdue."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

from lemo.domain.run import Run
from lemo.domain.scope import Scope
from lemo.jobs.catalog import JOBS, SCHEDULED
from lemo.stores.connect import Stores

PERIODS = 2
"""A job is overdue when it has not succeeded for this many of its periods."""
_NEWEST = 25
"""Runs read per scenario in one question; what is not among them is asked for one by one."""


@dataclass(frozen=True, slots=True)
class Plan:
    """When an entry runs, for one scenario or (empty scope) for all that have no plan of their own."""

    entry: str
    scope: Scope
    cron: str
    timezone: str = "UTC"
    paused: bool = False
    since: datetime | None = None
    """When an operator last changed it; None: it is as it was installed."""


@dataclass(frozen=True)
class JobState:
    """One job of one scenario, as its plan and its runs have it."""

    entry: str
    scope: Scope
    asked_at: datetime
    last_success: datetime | None
    last_ended: Run | None
    """Its newest run that succeeded or failed; skipped ones say nothing."""
    plan: Plan | None
    """None: it runs when something arrives, and cannot be overdue."""
    known_since: datetime
    """From when on it could have succeeded: its last success, else when scenario and plan were made."""

    @property
    def failing(self) -> bool:
        """Whether its last run failed."""
        return self.last_ended is not None and self.last_ended.outcome == "failed"

    @cached_property
    def overdue_at(self) -> datetime | None:
        """When it becomes overdue, or has become; None: never, since it is paused or has no times."""
        if self.plan is None or self.plan.paused:
            return None
        return self.known_since + PERIODS * period(self.plan, self.known_since)

    @property
    def overdue(self) -> bool:
        """Whether it has not succeeded for twice its period."""
        return self.overdue_at is not None and self.asked_at > self.overdue_at

    @property
    def title(self) -> str:
        """The entry and whose it is."""
        return f"{self.entry} of {self.scope}"

    @property
    def mend(self) -> str:
        """The command that runs it and shows what happens."""
        return f"lemo jobs run {self.entry} --scenario {self.scope.scenario_id} --wait"


def plans(stores: Stores) -> list[Plan]:  # noqa: ARG001 - schedules as documents will be read from them
    """The plans that hold."""
    return [Plan(job.entry, Scope(""), job.cron or "") for job in SCHEDULED]


def period(plan: Plan, moment: datetime) -> timedelta:
    """The longer of the two waits after `moment`: until the plan is due, and from there until it is due again.

    So a plan that rests at night or on Sundays is not overdue by its rest.
    """
    first = _next_due(plan, moment)
    return max(first - moment, _next_due(plan, first) - first)


def _next_due(plan: Plan, moment: datetime) -> datetime:
    """When the plan is due after a moment. Around a change of the clock it may be an hour off."""
    from celery.schedules import crontab

    minute, hour, day, month, weekday = plan.cron.split()
    schedule = crontab(minute, hour, day_of_month=day, month_of_year=month, day_of_week=weekday)
    start, delta, _ = schedule.remaining_delta(moment, tz=ZoneInfo(plan.timezone))
    due: datetime = start + delta
    return due.astimezone(UTC)


def job_states(stores: Stores, tenant_ids: Iterable[str] | None = None, now: datetime | None = None) -> list[JobState]:
    """Every job of every scenario of the tenants (None: of all); raises EngineUnavailable."""
    moment = now or datetime.now(UTC)
    by_place = {(plan.entry, plan.scope): plan for plan in plans(stores)}
    found: list[JobState] = []
    for tenant_id in stores.tenants.list() if tenant_ids is None else tenant_ids:
        scenarios = {scenario.scenario_id: scenario.created_at for scenario in stores.scenarios.list(tenant_id)}
        if not scenarios:
            continue
        runs = _Runs(stores, tenant_id, _NEWEST * len(scenarios))
        for scenario_id, created_at in scenarios.items():
            scope = Scope(tenant_id, scenario_id)
            for entry in JOBS:
                plan = by_place.get((entry, scope)) or by_place.get((entry, Scope("")))
                found.append(_state(entry, scope, moment, plan, created_at, runs))
    return found


def _state(
    entry: str, scope: Scope, moment: datetime, plan: Plan | None, created_at: datetime, runs: "_Runs"
) -> JobState:
    success = runs.last(entry, scope.scenario_id, "ok")
    failure = runs.last(entry, scope.scenario_id, "failed")
    ended = max((run for run in (success, failure) if run), key=_ended_at, default=None)
    # Where no success is known, an older one may have been dropped with the history.
    forgotten = moment - timedelta(days=runs.days)
    begun = [created_at, _ended_at(success) if success else forgotten, (plan and plan.since) or created_at]
    return JobState(
        entry=entry,
        scope=scope,
        asked_at=moment,
        last_success=_ended_at(success) if success else None,
        last_ended=ended,
        plan=plan,
        known_since=max(begun),
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

    def last(self, entry: str, scenario_id: str, outcome: str) -> Run | None:
        """The newest run of the job that ended so."""
        known = self._newest.get((entry, scenario_id, outcome))
        # A success that is known makes older failures irrelevant, and an older success does matter.
        if known or self._all or (outcome == "failed" and (entry, scenario_id, "ok") in self._newest):
            return known
        asked: Sequence[Run] = self._stores.runs.list(
            self._tenant_id, entry, scenario_id, "ok" if outcome == "ok" else "failed", limit=1
        )
        return asked[0] if asked else None
