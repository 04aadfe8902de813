"""What operators say of the schedule is what RedBeat starts, whatever is restarted or emptied in between."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
import redbeat
from redbeat.schedulers import get_redis
from redis import Redis

from lemo.domain.errors import InvalidInput, NotAllowed, NotFound
from lemo.domain.run import Outcome, Trigger
from lemo.domain.scenario import scenario_from_template
from lemo.domain.schedule import DEFAULT_CRONS
from lemo.domain.scope import Scope
from lemo.scheduling.crontab import crontab_of
from lemo.scheduling.dispatch import due_scopes
from lemo.scheduling.due_entries import DueEntries
from lemo.scheduling.leadership import Leadership
from lemo.scheduling.overview import ScheduleRow, schedule_overview
from lemo.scheduling.redbeat_entries import write_entries
from lemo.scheduling.service import ScheduleService
from lemo.settings import Settings
from lemo.stores.connect import Stores
from lemo.stores.documents.schedules import ALL_SCOPES, Setting
from lemo.stores.redis.client import connect_redis
from lemo.tasks.celery_app import app
from servers import free_port
from sites import wait_for

ENTRY = "compute-item-similarity-hourly"
DAILY = "train-model-daily"
PREFIX = "lemo:redbeat:"
INDEX = "lemo:redbeat::schedule"
LOCK = "lemo:redbeat::lock"
HOUR = timedelta(hours=1)


@pytest.fixture
def redis(valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Redis]:
    """RedBeat on database 15 of this worker's own server, empty."""
    url = f"{valkey_url}/15"
    app.set_current()
    yield from _redbeat_on(url, monkeypatch)


def _redbeat_on(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Redis]:
    monkeypatch.setitem(app.conf, "redbeat_redis_url", url)
    forget()
    with connect_redis(url) as client:
        if not url.endswith("/0"):
            client.flushdb()
        yield client
    if hasattr(app, "redbeat_redis"):
        get_redis(app).close()
    forget()


def forget() -> None:
    """Drops RedBeat's connection to the last server."""
    for name in ("redbeat_conf", "redbeat_redis"):
        if hasattr(app, name):
            delattr(app, name)


@pytest.fixture
def stores(tmp_path: Path, valkey_url: str) -> Iterator[Stores]:
    """An installation with the tenants `default` and `shop`, each with the scenarios a and b."""
    stores = Stores(Settings(home=tmp_path, redis_url=valkey_url))
    stores.redis = connect_redis(f"{valkey_url}/15")  # where the fixture `redis` puts the entries
    for tenant_id in ("default", "shop"):
        stores.tenants.create(tenant_id)
        for name in "ab":
            stores.scenarios.create(tenant_id, scenario_from_template(name, "vlog"))
    yield stores
    stores.close()


def by(stores: Stores, tenant_id: str = "default") -> ScheduleService:
    return ScheduleService(stores, tenant_id, f"{tenant_id}, test")


def held(name: str) -> redbeat.RedBeatSchedulerEntry:
    return redbeat.RedBeatSchedulerEntry.from_key(PREFIX + name, app=app)


def names(redis: Redis) -> set[str]:
    """The entries that beat looks at."""
    members = cast("list[bytes]", redis.zrange(INDEX, 0, -1))
    return {member.decode().removeprefix(PREFIX) for member in members}


def ran(name: str, at: datetime) -> None:
    held(name).reschedule(at)


def runs_now(name: str) -> bool:
    return bool(held(name).is_due()[0])


def record(
    stores: Stores, tenant_id: str, scenario_id: str, at: datetime, outcome: Outcome, trigger: Trigger = "schedule"
) -> None:
    run = stores.runs.create(tenant_id, ENTRY, scenario_id, trigger)
    run.queued_at = run.started_at = at
    run.finished_at, run.outcome = at + timedelta(seconds=2), outcome
    stores.runs.save(tenant_id, run)


# RedBeat's entries


def test_beat_is_given_the_five_entries_and_none_is_due_at_once(redis: Redis, stores: Stores) -> None:
    write_entries(stores, app)
    assert names(redis) == set(DEFAULT_CRONS)
    now = datetime.now(UTC)
    for name, cron in DEFAULT_CRONS.items():
        entry = held(name)
        assert entry.schedule == crontab_of(cron)
        assert entry.task == f"lemo.fan_out.{name}"
        assert entry.kwargs == {"tenant_id": "", "scenario_id": "", "due": None}
        assert not runs_now(name)
    assert redis.zscore(INDEX, PREFIX + ENTRY) == pytest.approx(
        (now.replace(minute=0, second=0, microsecond=0) + HOUR).timestamp(), abs=2
    )


def test_what_is_right_is_not_touched(redis: Redis, stores: Stores) -> None:
    assert set(write_entries(stores, app).written) == set(DEFAULT_CRONS)
    ran(ENTRY, datetime.now(UTC) - 3 * HOUR)
    before = redis.hgetall(PREFIX + ENTRY)
    written = write_entries(stores, app)
    assert (written.written, written.deleted) == ([], [])
    assert redis.hgetall(PREFIX + ENTRY) == before
    assert runs_now(ENTRY), "what was missed is still to be caught up"


def test_other_peoples_entries_stay(redis: Redis, stores: Stores) -> None:
    redbeat.RedBeatSchedulerEntry("theirs", "a.task", crontab_of("* * * * *"), app=app).save()
    write_entries(stores, app)
    assert names(redis) == {*DEFAULT_CRONS, "theirs"}


@pytest.mark.parametrize(
    "broken", [{"definition": "{"}, {"meta": "[]"}, {"meta": "{}"}, {"definition": '{"schedule": 5}', "meta": "nul"}]
)
def test_broken_entries_are_written_again(redis: Redis, stores: Stores, broken: dict[str, str]) -> None:
    write_entries(stores, app)
    good = redis.hget(PREFIX + ENTRY, "definition")
    for field, text in broken.items():
        redis.hset(PREFIX + ENTRY, field, text)
    write_entries(stores, app)
    assert redis.hget(PREFIX + ENTRY, "definition") == good
    assert not runs_now(ENTRY)


def test_a_pause_takes_the_entry_away_and_holds_whatever_is_restarted(redis: Redis, stores: Stores) -> None:
    write_entries(stores, app)
    by(stores).change(ENTRY, "", Setting(paused=True))
    assert names(redis) == set(DEFAULT_CRONS) - {ENTRY}
    assert not redis.exists(PREFIX + ENTRY)
    redis.flushdb()
    again = Stores(stores.settings)
    beat = redbeat.RedBeatScheduler(app=app, lock_key=None)  # a stock beat that starts
    beat.setup_schedule()
    write_entries(again, app)
    assert names(redis) == set(DEFAULT_CRONS) - {ENTRY}
    assert due_scopes(again, ENTRY, ALL_SCOPES) == [], "nor does a message that beat had sent before"
    again.close()


def test_what_was_resumed_starts_at_its_next_time(redis: Redis, stores: Stores) -> None:
    record(stores, "shop", "a", datetime.now(UTC) - 30 * HOUR, "ok")
    write_entries(stores, app)
    assert runs_now(ENTRY), "a run of a day ago, and none since: one was missed"
    by(stores).change(ENTRY, "", Setting(paused=True))
    by(stores).change(ENTRY, "", Setting(paused=False))
    assert names(redis) == set(DEFAULT_CRONS)
    assert not runs_now(ENTRY)
    assert len(due_scopes(stores, ENTRY, ALL_SCOPES)) == 4


def test_what_was_missed_is_caught_up_once_also_when_redis_forgot_it(redis: Redis, stores: Stores) -> None:
    record(stores, "shop", "b", datetime.now(UTC) - 2 * HOUR, "failed")
    record(stores, "default", "b", datetime.now(UTC), "ok", trigger="manual")
    write_entries(stores, app)
    assert runs_now(ENTRY)
    next(held(ENTRY))
    assert not runs_now(ENTRY)
    record(stores, "shop", "b", datetime.now(UTC), "ok")
    redis.flushdb()
    write_entries(stores, app)
    assert not runs_now(ENTRY)


def test_another_time_counts_from_now_on(redis: Redis, stores: Stores) -> None:
    """At 12:00 after a run at 03:00, `0 5` means tomorrow: nobody asked for a run at once."""
    write_entries(stores, app)
    ran(DAILY, datetime.now(UTC) - timedelta(days=3))
    result = by(stores).change(DAILY, "", Setting(cron=" 30  5 * * * ", timezone="Asia/Shanghai"))
    assert result.schedule.cron == "30 5 * * *"
    assert held(DAILY).schedule == crontab_of("30 5 * * *", "Asia/Shanghai")
    assert not runs_now(DAILY)
    due = datetime.fromtimestamp(float(redis.zscore(INDEX, PREFIX + DAILY) or 0), UTC)
    assert (due.hour, due.minute) == (21, 30)
    assert held(DAILY).due_at == pytest.approx(due, abs=timedelta(seconds=2))


def test_a_scenario_with_its_own_times_leaves_the_others_alone(redis: Redis, stores: Stores) -> None:
    own = Scope("shop", "a")
    by(stores, "shop").change(DAILY, "a", Setting(cron="0 1 * * *"))
    name = f"{DAILY}@shop/a"
    assert names(redis) == {*DEFAULT_CRONS, name}
    assert held(name).kwargs == {"tenant_id": "shop", "scenario_id": "a", "due": None}
    assert held(name).task == f"lemo.fan_out.{DAILY}"
    assert due_scopes(stores, DAILY, own) == [own]
    everywhere = {Scope(tenant, scenario) for tenant in ("default", "shop") for scenario in "ab"}
    assert set(due_scopes(stores, DAILY, ALL_SCOPES)) == everywhere - {own}
    by(stores, "shop").change(DAILY, "a", Setting(paused=True))
    assert names(redis) == set(DEFAULT_CRONS)
    assert due_scopes(stores, DAILY, own) == []
    assert own not in due_scopes(stores, DAILY, ALL_SCOPES)
    by(stores, "shop").change(DAILY, "a", Setting(reset=True))
    assert names(redis) == set(DEFAULT_CRONS)
    assert set(due_scopes(stores, DAILY, ALL_SCOPES)) == everywhere
    assert due_scopes(stores, DAILY, own) == [], "a message of a row that is gone starts nothing"


# Who may do what


def test_only_the_default_tenant_changes_what_holds_for_all(redis: Redis, stores: Stores) -> None:
    with pytest.raises(NotAllowed, match="Name a scenario of yours"):
        by(stores, "shop").change(DAILY, "", Setting(paused=True))
    with pytest.raises(NotFound, match="There is no scenario 'c'"):
        by(stores, "shop").change(DAILY, "c", Setting(paused=True))
    assert stores.schedules.audit() == []
    by(stores, "shop").change(DAILY, "b", Setting(paused=True))
    assert stores.schedules.own_scopes(DAILY) == {Scope("shop", "b")}, "a's b is another's b"
    assert [row.scenario_id for row in schedule_overview(stores, "default") if row.own] == []
    assert by(stores).history() == []
    assert len(by(stores, "shop").history(DAILY, "b")) == 1


def test_invalid_changes_are_refused_with_a_hint_and_change_nothing(redis: Redis, stores: Stores) -> None:
    with pytest.raises(NotFound, match="Did you mean train-model-daily"):
        by(stores).change("train-model", "", Setting(paused=True))
    with pytest.raises(InvalidInput, match="runs when items arrive"):
        by(stores).change("embed-items", "", Setting(paused=True))
    with pytest.raises(InvalidInput, match="is no crontab"):
        by(stores).change(DAILY, "", Setting(cron="every day"))
    with pytest.raises(InvalidInput, match="is no crontab"):
        by(stores).change(DAILY, "", Setting(cron=""))
    with pytest.raises(InvalidInput, match="Did you mean Asia/Shanghai"):
        by(stores).change(DAILY, "a", Setting(timezone="Shanghai"))
    with pytest.raises(InvalidInput, match="changes nothing"):
        by(stores).change(DAILY, "a", Setting())
    assert stores.schedules.audit() == []
    assert stores.schedules.of(DAILY, Scope("default", "a")).changed_at is None


def test_a_change_stands_while_redis_is_away(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    forget()
    closed = f"redis://127.0.0.1:{free_port()}/0"
    monkeypatch.setitem(app.conf, "redbeat_redis_url", closed)
    stores.redis = connect_redis(closed)
    try:
        result = by(stores).change(DAILY, "", Setting(paused=True))
        assert "beat takes it up" in result.note
        assert stores.schedules.of(DAILY).paused
        rows = schedule_overview(stores, "default")
        assert [row.paused for row in rows if row.entry == DAILY] == [True]
        assert {row.next_run for row in rows} == {None}
    finally:
        forget()


# What people see


def row_of(stores: Stores, entry: str, tenant_id: str = "default", scenario_id: str = "") -> ScheduleRow:
    return next(row for row in schedule_overview(stores, tenant_id, scenario_id) if row.entry == entry)


def test_before_beat_has_started_there_is_no_next_run(redis: Redis, stores: Stores) -> None:
    row = row_of(stores, ENTRY)
    assert (row.last_run, row.next_run, row.outcome, row.seconds) == (None, None, None, None)


def test_last_runs_are_those_that_happened_and_next_ones_to_the_second(redis: Redis, stores: Stores) -> None:
    write_entries(stores, app)
    now = datetime.now(UTC)
    record(stores, "default", "a", now - 2 * HOUR, "failed")
    record(stores, "default", "b", now - HOUR, "ok")
    record(stores, "shop", "a", now, "failed")
    stores.runs.create("default", ENTRY, "b", "schedule")  # queued: it has not run
    row = row_of(stores, ENTRY)
    assert (row.last_run, row.seconds, row.outcome, row.failing) == (now - HOUR, 2.0, "ok", ["a"])
    assert row.next_run == now.replace(minute=0, second=0, microsecond=0) + HOUR
    only = row_of(stores, ENTRY, scenario_id="a")
    assert (only.last_run, only.outcome, only.own, only.scenario_id) == (now - 2 * HOUR, "failed", False, "a")
    assert only.next_run == row.next_run
    with pytest.raises(NotFound):
        schedule_overview(stores, "default", "c")


def test_a_paused_entry_has_no_next_time_and_one_that_waits_for_beat_has_a_past_one(
    redis: Redis, stores: Stores
) -> None:
    write_entries(stores, app)
    ran(ENTRY, datetime.now(UTC) - 3 * HOUR)
    late = row_of(stores, ENTRY).next_run
    assert late is not None
    assert late < datetime.now(UTC)
    by(stores).change(ENTRY, "", Setting(paused=True))
    row = row_of(stores, ENTRY)
    assert (row.paused, row.next_run, row.changed_by) == (True, None, "default, test")
    assert row.changed_at is not None


def test_a_pause_that_beat_has_not_heard_of_has_no_next_time_either(redis: Redis, stores: Stores) -> None:
    write_entries(stores, app)
    assert row_of(stores, ENTRY).next_run is not None
    stores.schedules.set(ENTRY, ALL_SCOPES, Setting(paused=True), "test")
    assert row_of(stores, ENTRY).next_run is None


def test_runs_of_a_scenario_with_its_own_times_count_for_its_own_row(redis: Redis, stores: Stores) -> None:
    now = datetime.now(UTC)
    record(stores, "default", "a", now - 2 * HOUR, "ok")
    record(stores, "default", "b", now - HOUR, "failed")
    by(stores).change(ENTRY, "b", Setting(cron="5 * * * *"))
    rows = {row.scenario_id: row for row in schedule_overview(stores, "default") if row.entry == ENTRY}
    assert (rows[""].last_run, rows[""].outcome, rows[""].failing) == (now - 2 * HOUR, "ok", [])
    assert (rows["b"].last_run, rows["b"].outcome, rows["b"].own) == (now - HOUR, "failed", True)


# Who leads


def test_a_lead_is_counted_on_no_longer_than_its_lock_lives(redis: Redis) -> None:
    """By the process's own clock: one that stood still knows it before it has asked anybody."""
    first, second = (Leadership(redis, LOCK, name, 0.4) for name in ("first", "second"))
    assert first.lead()
    assert first.held
    assert not second.lead()
    assert (second.held, second.leader) == (False, first.token)
    wait_for(lambda: not first.held)
    wait_for(second.lead)
    assert not first.lead()
    assert first.leader == second.token
    second.release()
    assert first.lead()


def test_only_the_leader_notes_that_an_entry_ran(redis: Redis, stores: Stores) -> None:
    write_entries(stores, app)
    ran(ENTRY, datetime.now(UTC) - 3 * HOUR)
    leader = Leadership(redis, LOCK, "leader", 30)
    assert leader.lead()
    due_entries = DueEntries(app, LOCK, lambda name, why: pytest.fail(f"{name}: {why}"))
    now = datetime.now(UTC)
    (due_entry,) = [each for each in due_entries.until(now, 0) if each.entry.name == ENTRY]
    before = redis.hgetall(PREFIX + ENTRY)
    assert due_entries.advance(due_entry, now, "another's token") == "lost"
    assert redis.hgetall(PREFIX + ENTRY) == before
    assert due_entries.advance(due_entry, now, leader.token) == "done"
    assert due_entries.advance(due_entry, now, leader.token) == "done", "sent again, since its answer was lost"
    assert due_entries.advance(due_entry, now + HOUR, leader.token) == "changed"
    assert not runs_now(ENTRY)
