"""When a job is overdue: twice its period without a success, by its own crontab, and never while it is paused."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lemo.domain.errors import InvalidInput
from lemo.domain.run import Outcome
from lemo.domain.scenario import scenario_from_template
from lemo.domain.scope import Scope
from lemo.scheduling.health import JobState, job_states, period
from lemo.scheduling.service import ScheduleService
from lemo.settings import Settings
from lemo.stores.connect import Stores
from lemo.stores.documents.schedules import ALL_SCOPES, Schedule, Setting

HOURLY = "compute-item-similarity-hourly"
MINUTELY = "aggregate-realtime-minutely"
NOW = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)
FRIDAY = datetime(2026, 11, 20, 9, 5, tzinfo=UTC)


def plan(cron: str, timezone: str = "UTC") -> Schedule:
    return Schedule(entry=HOURLY, cron=cron, timezone=timezone)


@pytest.mark.parametrize(
    ("cron", "moment", "expected"),
    [
        ("0 * * * *", NOW, timedelta(hours=1)),
        ("0 3 * * *", datetime(2026, 11, 24, 3, 1, tzinfo=UTC), timedelta(days=1)),
        ("*/5 * * * *", NOW, timedelta(minutes=5)),
        # Over a weekend the wait is long; that is no reason to be overdue.
        ("0 9 * * 1-5", FRIDAY, timedelta(hours=71, minutes=55)),
        ("0 0 1 * *", datetime(2026, 11, 1, 0, 5, tzinfo=UTC), timedelta(days=31)),
    ],
)
def test_the_period_is_the_longer_wait(cron: str, moment: datetime, expected: timedelta) -> None:
    assert period(plan(cron), moment) == expected


def test_a_plan_is_due_on_its_own_clock() -> None:
    # 03:00 in Shanghai is 19:00 UTC.
    moment = datetime(2026, 11, 24, 18, 0, tzinfo=UTC)
    assert period(plan("0 3 * * *", "Asia/Shanghai"), moment) == timedelta(days=1)
    new_year = datetime(2025, 12, 31, 18, tzinfo=UTC)
    assert period(plan("0 3 1 1 *", "Asia/Shanghai"), new_year) == timedelta(days=365)


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Stores]:
    stores = Stores(Settings(home=tmp_path))
    yield stores
    stores.close()


def scenario(stores: Stores, age: timedelta) -> Scope:
    scope = Scope("acme", "shop")
    stores.tenants.create(scope.tenant_id)
    made = scenario_from_template(scope.scenario_id, "ecommerce")
    stores.scenarios.create(scope.tenant_id, made.model_copy(update={"created_at": NOW - age}))
    return scope


def ran(stores: Stores, scope: Scope, ago: timedelta, outcome: Outcome, entry: str = HOURLY, error: str = "") -> None:
    run = stores.runs.create(scope.tenant_id, entry, scope.scenario_id, "schedule")
    run.queued_at = run.started_at = run.finished_at = NOW - ago
    run.outcome, run.error = outcome, error
    stores.runs.save(scope.tenant_id, run)


def state(stores: Stores, entry: str = HOURLY) -> JobState:
    return next(one for one in job_states(stores, now=NOW) if one.entry == entry)


def test_a_job_is_overdue_after_twice_its_period_without_success(stores: Stores) -> None:
    scope = scenario(stores, timedelta(days=20))
    ran(stores, scope, timedelta(hours=1, minutes=59), "ok")
    assert not state(stores).overdue
    assert [one.entry for one in job_states(stores, now=NOW) if not one.overdue] == [HOURLY, "embed-items"]
    later = job_states(stores, now=NOW + timedelta(minutes=2))
    assert next(one for one in later if one.entry == HOURLY).overdue


def test_failed_and_skipped_runs_are_no_success(stores: Stores) -> None:
    scope = scenario(stores, timedelta(days=20))
    ran(stores, scope, timedelta(hours=3), "ok")
    ran(stores, scope, timedelta(hours=2), "failed", error="no events")
    ran(stores, scope, timedelta(hours=1), "skipped")
    found = state(stores)
    assert (found.overdue, found.failing) == (True, True)
    assert found.last_ended is not None
    assert found.last_ended.error == "no events"
    assert found.last_success == NOW - timedelta(hours=3)
    assert found.hint == f"lemo jobs run {HOURLY} --scenario shop --wait"


def test_a_success_after_a_failure_ends_the_trouble(stores: Stores) -> None:
    scope = scenario(stores, timedelta(days=20))
    ran(stores, scope, timedelta(hours=1), "failed")
    ran(stores, scope, timedelta(minutes=30), "ok")
    assert (state(stores).overdue, state(stores).failing) == (False, False)


def test_a_young_scenario_is_not_overdue(stores: Stores) -> None:
    scenario(stores, timedelta(minutes=90))
    assert [one.entry for one in job_states(stores, now=NOW) if one.overdue] == [MINUTELY]
    late = [one.entry for one in job_states(stores, now=NOW + timedelta(hours=1)) if one.overdue]
    assert late == [HOURLY, "check-experiments-hourly", MINUTELY]


def test_a_success_that_many_newer_runs_hide_is_found(stores: Stores) -> None:
    scope = scenario(stores, timedelta(days=20))
    daily = "train-model-daily"
    ran(stores, scope, timedelta(hours=20), "ok", daily)
    ran(stores, scope, timedelta(hours=19), "failed", daily)
    for minute in range(40):
        ran(stores, scope, timedelta(minutes=minute), "ok")
    found = state(stores, daily)
    assert (found.last_success, found.overdue, found.failing) == (NOW - timedelta(hours=20), False, True)


def test_what_runs_on_arrival_is_never_overdue_but_may_fail(stores: Stores) -> None:
    scope = scenario(stores, timedelta(days=20))
    ran(stores, scope, timedelta(days=9), "failed", "embed-items", "Milvus does not answer.")
    found = state(stores, "embed-items")
    assert (found.overdue, found.failing, found.overdue_at) == (False, True, None)


def test_a_paused_job_is_not_overdue_and_gets_its_time_when_it_is_resumed(stores: Stores) -> None:
    scope = scenario(stores, timedelta(days=20))
    assert state(stores).overdue
    stores.schedules.set(HOURLY, scope, Setting(paused=True), "an operator")
    assert (state(stores).overdue, state(stores).overdue_at) == (False, None)
    stores.schedules.set(HOURLY, scope, Setting(paused=False), "an operator")
    resumed = stores.schedules.of(HOURLY, scope).changed_at
    assert resumed is not None
    for minutes, overdue in ((60, False), (121, True)):
        found = job_states(stores, now=resumed + timedelta(minutes=minutes))
        assert next(one for one in found if one.entry == HOURLY).overdue == overdue


def test_a_crontab_that_never_comes_spoils_no_other_state(stores: Stores) -> None:
    scope = scenario(stores, timedelta(days=30))
    with pytest.raises(InvalidInput, match="never occurs"):
        ScheduleService(stores, "default", "a test").change(HOURLY, "", Setting(cron="0 0 30 2 *"))
    stores.schedules.set(HOURLY, ALL_SCOPES, Setting(cron="0 0 30 2 *"), "by hand")
    states = {state.entry: state for state in job_states(stores, now=NOW) if state.scope == scope}
    assert states[HOURLY].overdue_at is None
    assert states["train-model-daily"].overdue


def test_the_default_row_holds_for_scenarios_without_their_own(stores: Stores) -> None:
    scope = scenario(stores, timedelta(days=20))
    other = scenario_from_template("news", "news").model_copy(update={"created_at": NOW - timedelta(days=20)})
    stores.scenarios.create(scope.tenant_id, other)
    stores.schedules.set(HOURLY, ALL_SCOPES, Setting(paused=True), "an operator")
    stores.schedules.set(
        HOURLY, scope, Setting(cron="0 3 * * *", timezone="Asia/Shanghai", paused=False), "an operator"
    )
    found = {one.scope.scenario_id: one for one in job_states(stores) if one.entry == HOURLY}
    assert found["news"].overdue_at is None
    own = found["shop"]
    assert own.schedule is not None
    assert (own.schedule.cron, own.schedule.timezone) == ("0 3 * * *", "Asia/Shanghai")
    # Less than a day until 19:00 UTC, then a day: twice a day after the change.
    assert own.overdue_at == own.waiting_since + timedelta(days=2)


def test_a_job_of_every_minute_is_overdue_after_a_quarter_of_an_hour(stores: Stores) -> None:
    minutely = "aggregate-realtime-minutely"
    scope = scenario(stores, timedelta(days=1))
    ran(stores, scope, timedelta(minutes=14), "ok", minutely)
    assert not state(stores, minutely).overdue, "a worker may start again, or be busy"
    ran(stores, scope, timedelta(minutes=20), "ok", minutely)
    assert not state(stores, minutely).overdue
    assert state(stores, minutely).overdue_at == NOW + timedelta(minutes=1)
