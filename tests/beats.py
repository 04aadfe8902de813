"""A Redis of its own that may be killed, and real beats on it."""

import json
import os
import re
import signal
import subprocess
import sys
from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

from celery.schedules import schedule
from redis import Redis

from lemo.scheduling.redbeat_crontab import Encoder
from lemo.settings import Settings
from lemo.stores.connect import Stores
from lemo.stores.redis.beats import Beats
from lemo.stores.redis.client import connect_redis
from servers import OwnEngine
from sites import wait_for

PREFIX = "lemo:redbeat:"
INDEX = f"{PREFIX}:schedule"
LOCK = f"{PREFIX}:lock"
EVERY = timedelta(seconds=0.5)
LOOP_SECONDS, LOCK_SECONDS = 0.2, 1.0
_SIGNAL_IN_DESTRUCTOR = re.compile(r"Exception ignored in: .*\nTraceback .*\n(?:  .*\n)*SystemExit.*\n")
LEMO = (sys.executable, "-m", "lemo.cli.main", "beat")
CELERY = (sys.executable, "-m", "celery", "-A", "lemo.tasks.celery_app", "beat")
REDBEAT = (*CELERY, "--scheduler", "redbeat.RedBeatScheduler")


@dataclass(frozen=True)
class Sent:
    """A message that a beat put on the queue."""

    task: str
    id: str
    due: str | None


class BeatSite:
    """A Redis of its own that may be killed, and beats on it: with times that suit tests, or the product's."""

    def __init__(self, folder: Path, server: OwnEngine, product_times: bool = False) -> None:
        self.folder = folder
        self.server = server
        self.url = server.url
        self.redis = connect_redis(f"{self.url}/0?decode_responses=True")
        self.broker: Redis = connect_redis(f"{self.url}/1")
        self.log = folder / "log"
        self.variables = {"LEMO_HOME": str(folder / "home"), "LEMO_REDIS_URL": server.url}
        if not product_times:
            self.variables |= {
                "LEMO_BEAT_LOOP_SECONDS": str(LOOP_SECONDS),
                "LEMO_BEAT_LOCK_SECONDS": str(LOCK_SECONDS),
            }

    @contextmanager
    def beat(
        self, command: tuple[str, ...] = LEMO, variables: Mapping[str, str] | None = None
    ) -> "Iterator[subprocess.Popen[bytes]]":
        environment = {**os.environ, **self.variables, **(variables or {})}
        with self.log.open("ab") as output:
            process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, cwd=self.folder)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            process.wait(30)

    @contextmanager
    def two_beats(self) -> "Iterator[tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]]]":
        """The one that leads, and the one that stands by."""
        with ExitStack() as stack:
            first = stack.enter_context(self.beat())
            wait_for(lambda: self.leads(first), 30)
            second = stack.enter_context(self.beat())
            wait_for(lambda: self.state(second) == "standby", 30)
            self.wait_for_more()
            assert self.leads(first)
            yield first, second

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
        messages = cast("list[bytes]", self.broker.lrange("lemo:default", 0, -1))
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


@contextmanager
def beat_site(folder: Path, server: OwnEngine, product_times: bool = False) -> Iterator[BeatSite]:
    """A site with a tenant and an entry that is due every half second; no beat may have ended in a traceback."""
    site = BeatSite(folder, server, product_times)
    with closing(Stores(Settings(home=folder / "home", redis_url=site.url))) as stores:
        stores.tenants.create("default")
    site.put_often()
    yield site
    site.redis.close()
    site.broker.close()
    # A signal that comes within a destructor ends the beat a round later.
    ended = _SIGNAL_IN_DESTRUCTOR.sub("", site.log.read_text())
    assert "Traceback" not in ended


def once_each(sent: list[Sent]) -> None:
    """Each due time was sent under one id, and due times follow each other as the schedule asks."""
    ids = {one.due: one.id for one in sent}
    assert len(ids) == len({one.id for one in sent})
    dues = sorted(datetime.fromisoformat(due) for due in ids if due)
    assert len(dues) == len(ids)
    assert all(later - earlier >= EVERY for earlier, later in pairwise(dues))
