"""Real beats beside each other: one leads, and kills, stops and a Redis that goes away lose and double nothing."""

import json
import os
import signal
import subprocess
import sys
from base64 import b64decode
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pytest
from celery.schedules import schedule
from redis import Redis

from lemo.domain.schedule import DEFAULT_CRONS
from lemo.jobs.crontab import crontab_of
from lemo.settings import Settings
from lemo.stores.beats import Beats
from lemo.stores.connect import Stores
from lemo.stores.redis import connect_redis
from lemo.tasks.crontab import Encoder
from servers import OwnRedis
from sites import wait_for

PREFIX = "lemo:redbeat:"
INDEX = f"{PREFIX}:schedule"
LOCK = f"{PREFIX}:lock"
EVERY = timedelta(seconds=0.5)
LOOP_SECONDS, LOCK_SECONDS = 0.2, 1.0
LEMO = (sys.executable, "-m", "lemo.cli", "beat")
CELERY = (sys.executable, "-m", "celery", "-A", "lemo.tasks.celery_app", "beat")
REDBEAT = (*CELERY, "--scheduler", "redbeat.RedBeatScheduler")


@dataclass(frozen=True)
class Sent:
    """A message that a beat put on the queue."""

    task: str
    id: str
    due: str | None


class Site:
    """A Redis of its own that may be killed, and beats on it."""

    def __init__(self, folder: Path, server: OwnRedis) -> None:
        self.folder = folder
        self.server = server
        self.url = server.url
        self.redis = connect_redis(f"{self.url}/0?decode_responses=True")
        self.broker: Redis = connect_redis(f"{self.url}/1")
        self.log = folder / "log"

    @contextmanager
    def beat(self, command: tuple[str, ...] = LEMO) -> "Iterator[subprocess.Popen[bytes]]":
        variables = {
            "LEMO_HOME": str(self.folder / "home"),
            "LEMO_REDIS_URL": self.url,
            "LEMO_BEAT_LOOP_SECONDS": str(LOOP_SECONDS),
            "LEMO_BEAT_LOCK_SECONDS": str(LOCK_SECONDS),
        }
        with self.log.open("ab") as output:
            process = subprocess.Popen(
                command, env={**os.environ, **variables}, stdout=output, stderr=output, cwd=self.folder
            )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            process.wait(30)

    def put(self, name: str, fields: dict[str, Any], last_run: datetime, due: bool = True) -> None:
        """An entry as RedBeat writes it."""
        kwargs = {"due": None} if due else {}
        entry = {"name": name, "task": f"test.{name}", "args": [], "kwargs": kwargs, "options": {"queue": "default"}}
        definition = json.dumps({**entry, "enabled": True, **fields}, cls=Encoder)
        meta = json.dumps({"last_run_at": last_run}, cls=Encoder)
        self.redis.hset(PREFIX + name, mapping={"definition": definition, "meta": meta})
        self.redis.zadd(INDEX, {PREFIX + name: last_run.timestamp()})

    def put_often(self) -> None:
        """An entry that is due every half second."""
        self.put("often", {"schedule": schedule(EVERY)}, datetime.now(UTC) - EVERY)

    def sent(self, name: str = "often") -> list[Sent]:
        """What was sent for an entry, in the order of sending."""
        messages = cast("list[bytes]", self.broker.lrange("default", 0, -1))
        found = []
        for text in reversed(messages):
            message = json.loads(text)
            headers, kwargs = message["headers"], json.loads(b64decode(message["body"]))[1]
            found.append(Sent(headers["task"], headers["id"], kwargs.get("due")))
        return [one for one in found if one.task == f"test.{name}"]

    def wait_for_more(self, count: int = 3, seconds: float = 30) -> None:
        """Until so many more were sent."""
        before = len(self.sent())
        wait_for(lambda: len(self.sent()) >= before + count, seconds)

    def entries(self) -> set[str]:
        """The names in RedBeat's timetable."""
        return {str(key).removeprefix(PREFIX) for key in cast("list[str]", self.redis.zrange(INDEX, 0, -1))}

    def state(self, process: "subprocess.Popen[bytes]") -> str:
        """What a beat last told of itself; empty: nothing yet."""
        return next((b.state for b in Beats(self.redis).list() if b.name.endswith(f":{process.pid}")), "")

    def leads(self, process: "subprocess.Popen[bytes]") -> bool:
        return str(self.redis.get(LOCK) or "").split("/")[0].endswith(f":{process.pid}")


@pytest.fixture
def site(tmp_path: Path, own_redis: OwnRedis) -> Iterator[Site]:
    site = Site(tmp_path, own_redis)
    with closing(Stores(Settings(home=tmp_path / "home", redis_url=site.url))) as stores:
        stores.tenants.create("default")
    site.put_often()
    yield site
    site.redis.close()
    site.broker.close()
    assert "Traceback" not in site.log.read_text()


def once_each(sent: list[Sent]) -> None:
    """Each due time was sent under one id, and due times follow each other as the schedule asks."""
    ids = {one.due: one.id for one in sent}
    assert len(ids) == len({one.id for one in sent})
    dues = sorted(datetime.fromisoformat(due) for due in ids if due)
    assert len(dues) == len(ids)
    assert all(later - earlier >= EVERY for earlier, later in pairwise(dues))


@contextmanager
def two_beats(site: Site) -> "Iterator[tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]]]":
    """The one that leads, and the one that stands by."""
    with ExitStack() as stack:
        first = stack.enter_context(site.beat())
        wait_for(lambda: site.leads(first), 30)
        second = stack.enter_context(site.beat())
        wait_for(lambda: site.state(second) == "standby", 30)
        site.wait_for_more()
        assert site.leads(first)
        yield first, second


def test_another_beat_takes_over_from_one_that_was_killed(site: Site) -> None:
    with two_beats(site) as (first, second):
        first.kill()
        wait_for(lambda: site.leads(second), 10)
        site.wait_for_more()
        assert site.state(second) == "leading"
        once_each(site.sent())


def test_a_beat_that_was_stopped_past_its_lock_starts_nothing_when_it_goes_on(site: Site) -> None:
    with two_beats(site) as (first, second):
        first.send_signal(signal.SIGSTOP)
        wait_for(lambda: site.leads(second), 10)
        site.wait_for_more()
        first.send_signal(signal.SIGCONT)
        wait_for(lambda: site.state(first) == "standby", 10)
        site.wait_for_more()
        assert site.leads(second)
        once_each(site.sent())


def test_an_orderly_end_hands_the_lead_over_at_once(site: Site) -> None:
    with two_beats(site) as (first, second):
        first.terminate()
        assert first.wait(20) == 0
        wait_for(lambda: site.leads(second), 10)
        assert site.state(first) == "stopped"
        once_each(site.sent())


@pytest.mark.parametrize("outage", [0.0, 3 * LOCK_SECONDS], ids=["restart", "outage longer than the lock lives"])
def test_beat_outlives_redis(site: Site, outage: float) -> None:
    """The same process goes on, without a supervisor, and the schedule is as it was."""
    with site.beat() as beat:
        site.wait_for_more()
        before = site.entries()
        site.server.kill()
        gone = datetime.now(UTC)
        wait_for(lambda: datetime.now(UTC) - gone >= timedelta(seconds=outage), 30)
        assert beat.poll() is None
        site.server.start()
        site.wait_for_more()
        assert beat.poll() is None
        assert site.entries() == before
        assert before >= set(DEFAULT_CRONS)
        once_each(site.sent())


def test_an_emptied_redis_gets_its_schedule_back(site: Site) -> None:
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


def test_entries_that_cannot_be_read_are_reported_and_skipped(site: Site) -> None:
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


def test_runs_missed_while_no_beat_led_are_caught_up_once(site: Site) -> None:
    now = datetime.now(UTC)
    hourly = crontab_of("0 * * * *")
    site.put("hourly", {"schedule": hourly}, now - timedelta(days=3))
    site.put("tokyo", {"schedule": crontab_of("30 9 * * *", "Asia/Tokyo")}, now - timedelta(days=3))
    site.put("stock", {"schedule": hourly}, now - timedelta(days=3), due=False)
    with two_beats(site) as (first, _):
        first.kill()
        site.wait_for_more()
    caught_up = [one for name in ("hourly", "tokyo", "stock") for one in site.sent(name)]
    assert [one.task for one in caught_up] == ["test.hourly", "test.tokyo", "test.stock"]
    assert [one.due is None for one in caught_up] == [False, False, True]
    due = datetime.fromisoformat(site.sent("tokyo")[0].due or "")
    assert (due.hour, due.minute) == (0, 30)
    assert timedelta(days=-3) < due - now <= timedelta(days=-2)


@pytest.mark.parametrize("command", [CELERY, REDBEAT], ids=["by default", "by RedBeat's name"])
def test_celerys_own_command_starts_the_same_scheduler(site: Site, command: tuple[str, ...]) -> None:
    with site.beat(command) as beat:
        wait_for(lambda: site.leads(beat), 30)
        site.wait_for_more()
    assert "this beat leads" in site.log.read_text()
