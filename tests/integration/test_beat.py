"""Real beats beside each other: one leads, and kills, stops and a Redis that goes away lose and double nothing."""

import signal
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from celery.schedules import schedule

from beats import CELERY, EVERY, INDEX, LOCK_SECONDS, PREFIX, REDBEAT, BeatSite, beat_site, once_each
from lemo.domain.schedule import DEFAULT_CRONS
from lemo.scheduling.crontab import crontab_of
from servers import ROOT, OwnEngine
from sites import wait_for


@pytest.fixture
def site(tmp_path: Path, own_redis: OwnEngine) -> Iterator[BeatSite]:
    with beat_site(tmp_path, own_redis) as site:
        yield site


def test_another_beat_takes_over_from_one_that_was_killed(site: BeatSite) -> None:
    with site.two_beats() as (first, second):
        first.kill()
        wait_for(lambda: site.leads(second), 10)
        site.wait_for_more()
        assert site.state(second) == "leading"
        once_each(site.sent())


def test_a_beat_that_was_stopped_past_its_lock_starts_nothing_when_it_goes_on(site: BeatSite) -> None:
    with site.two_beats() as (first, second):
        first.send_signal(signal.SIGSTOP)
        wait_for(lambda: site.leads(second), 10)
        site.wait_for_more()
        first.send_signal(signal.SIGCONT)
        wait_for(lambda: site.state(first) == "standby", 10)
        site.wait_for_more()
        assert site.leads(second)
        once_each(site.sent())


def test_an_orderly_end_hands_the_lead_over_at_once(site: BeatSite) -> None:
    with site.two_beats() as (first, second):
        first.terminate()
        assert first.wait(20) == 0
        wait_for(lambda: site.leads(second), 10)
        assert site.state(first) == "stopped"
        once_each(site.sent())


@pytest.mark.parametrize(
    "outage",
    [
        pytest.param(0.0, id="restart", marks=pytest.mark.long),
        pytest.param(3 * LOCK_SECONDS, id="outage longer than the lock lives"),
    ],
)
def test_beat_outlives_redis(site: BeatSite, outage: float) -> None:
    """The same process goes on, without a supervisor, and the schedule is as it was."""
    with site.beat() as beat:
        site.wait_for_more()
        before = site.entries()
        rounds = site.folder / "home" / "run" / f"beat-{socket.gethostname()}"
        site.server.kill()
        gone = datetime.now(UTC)
        wait_for(lambda: datetime.now(UTC) - gone >= timedelta(seconds=outage), 30)
        wait_for(lambda: rounds.stat().st_mtime > gone.timestamp(), 30)
        assert beat.poll() is None
        site.server.start()
        site.wait_for_more()
        assert beat.poll() is None
        assert site.entries() == before
        assert before >= set(DEFAULT_CRONS)
        once_each(site.sent())


def test_an_emptied_redis_gets_its_schedule_back(site: BeatSite) -> None:
    with site.beat():
        site.wait_for_more()
        site.redis.flushall()
        wait_for(lambda: set(DEFAULT_CRONS) <= site.entries(), 30)


BROKEN: dict[str, dict[Any, str]] = {
    "no-json": {"definition": "{", "meta": "{}"},
    "no-definition": {"meta": "{}"},
    "a-list": {"definition": "[1]", "meta": "{}"},
    "no-task": {"definition": '{"name": "x", "schedule": {"__type__": "interval", "every": 1}}', "meta": "{}"},
    "strange-schedule": {"definition": '{"name": "x", "task": "t", "schedule": {"__type__": "moon"}}', "meta": "{}"},
    "wrong-fields": {
        "definition": '{"name": "x", "task": "t", "schedule": {"__type__": "crontab", "minute": "99"}}',
        "meta": "{}",
    },
    "wrong-meta": {
        "definition": '{"name": "x", "task": "t", "schedule": {"__type__": "interval", "every": 1}}',
        "meta": '{"last_run_at": 7}',
    },
}


def test_entries_that_cannot_be_read_are_reported_and_skipped(site: BeatSite) -> None:
    long_ago = datetime.now(UTC).timestamp() - 100
    for name, fields in BROKEN.items():
        site.redis.hset(PREFIX + name, mapping=fields)
        site.redis.zadd(INDEX, {PREFIX + name: long_ago})
    site.redis.set(f"{PREFIX}a-string", "x")
    site.redis.zadd(INDEX, {f"{PREFIX}a-string": long_ago, f"{PREFIX}missing": long_ago})
    site.put("unsendable", {"schedule": schedule(EVERY), "options": {"queue": "nowhere"}}, datetime.now(UTC) - EVERY)
    with site.beat() as beat:
        site.wait_for_more(5)
        assert beat.poll() is None
    told = site.log.read_text()
    for name in (*BROKEN, "a-string", "missing", "unsendable"):
        assert told.count(f"entry={name} ") + told.count(f'"entry": "{name}"') == 1, name
    once_each(site.sent())


def test_runs_missed_while_no_beat_led_are_caught_up_once(site: BeatSite) -> None:
    now = datetime.now(UTC)
    hourly = crontab_of("0 * * * *")
    site.put("hourly", {"schedule": hourly}, now - timedelta(days=3))
    site.put("tokyo", {"schedule": crontab_of("30 9 * * *", "Asia/Tokyo")}, now - timedelta(days=3))
    site.put("stock", {"schedule": hourly}, now - timedelta(days=3), due=False)
    with site.two_beats() as (first, _):
        first.kill()
        site.wait_for_more()
    # A beat that dies between sending and noting leaves the message to the next, which sends it under the same id.
    caught_up = list(dict.fromkeys(one for name in ("hourly", "tokyo", "stock") for one in site.sent(name)))
    assert [one.task for one in caught_up] == ["test.hourly", "test.tokyo", "test.stock"]
    assert [one.due is None for one in caught_up] == [False, False, True]
    due = datetime.fromisoformat(site.sent("tokyo")[0].due or "")
    assert (due.hour, due.minute) == (0, 30)
    assert timedelta(days=-3) < due - now <= timedelta(days=-2)


@pytest.mark.parametrize("command", [CELERY, REDBEAT], ids=["by default", "by RedBeat's name"])
def test_celerys_own_command_starts_the_same_scheduler(site: BeatSite, command: tuple[str, ...]) -> None:
    with site.beat(command) as beat:
        wait_for(lambda: site.leads(beat), 30)
        site.wait_for_more()
    assert "this beat leads" in site.log.read_text()


def clock(moment: datetime) -> dict[str, str]:
    """The variables of a process whose clock starts at that moment (tests/clocks)."""
    return {"PYTHONPATH": str(ROOT / "tests" / "clocks"), "LEMO_TEST_CLOCK": moment.isoformat()}


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        # 02:00 becomes 03:00 at 01:00 UTC: half past two is skipped, and runs at half past three.
        (datetime(2027, 3, 28, 1, 30, tzinfo=UTC), {"daily": True, "hourly": True}),
        # 03:00 became 02:00 at 01:00 UTC: half past two comes again.
        (datetime(2026, 10, 25, 1, 30, tzinfo=UTC), {"daily": False, "hourly": True}),
    ],
    ids=["an hour is skipped", "an hour comes twice"],
)
def test_the_night_in_which_berlin_changes_its_clocks(
    site: BeatSite, moment: datetime, expected: dict[str, bool]
) -> None:
    an_hour_ago = moment - timedelta(hours=1)
    site.put("daily", {"schedule": crontab_of("30 2 * * *", "Europe/Berlin")}, an_hour_ago)
    site.put("hourly", {"schedule": crontab_of("30 * * * *", "Europe/Berlin")}, an_hour_ago)
    site.put("often", {"schedule": schedule(EVERY)}, moment - timedelta(seconds=10))
    with site.beat(variables=clock(moment - timedelta(seconds=3))):
        passed = (moment + timedelta(seconds=2)).isoformat()
        wait_for(lambda: any((one.due or "") >= passed for one in site.sent()), 30)
    for name, due in expected.items():
        assert [one.due for one in site.sent(name)] == [moment.isoformat()] * due
