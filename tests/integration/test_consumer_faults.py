"""Consumer processes that are killed, join and leave, and lose their engines: nothing is lost, nothing counts twice.

Short forms run in each run of the suite, long ones (`chaos`) in `make chaos-consumer`, where LEMO_TEST_KILLS
says how often (100) over 10,000 events for each kill.
"""

import hashlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from consumers import (
    PATIENCE,
    all_taken,
    connected,
    consumer_settings,
    left_of,
    publish,
    refused,
    some_events,
    start_process,
    state,
)
from lemo.domain.item import Item
from lemo.domain.scope import Scope
from lemo.domain.time import milliseconds
from lemo.settings import Settings
from lemo.stores.connect import Stores
from lemo.streams import Message
from lemo.streams.messages import event_message, item_message
from recovery import recovering
from servers import OwnEngine, own_embedded, own_mongo
from sites import wait_for
from small_disk import small_disk

KILLS = int(os.environ.get("LEMO_TEST_KILLS", "100"))
EVENTS_A_KILL = 10_000
POISON_EVERY = 100
STEPS = ("before-write", "during-dead-letters", "before-commit", "after-commit")
HOUR_MS = 3_600_000
LONG = (pytest.mark.chaos, pytest.mark.timeout(7_200))

Process = subprocess.Popen[bytes]


class Traffic:
    """What is sent to an installation, and whether all of it arrived, once."""

    def __init__(self, settings: Settings, stores: Stores, scope: Scope) -> None:
        self.settings = settings
        self.stores = stores
        self.scope = scope
        self.sent = 0
        self.poison = 0
        self._hours: Counter[int] = Counter()
        self._ids: set[str] = set()

    def send(self, count: int) -> None:
        """So many events, of which every hundredth comes twice, with poison in between, and an item."""
        messages = []
        for number, event in enumerate(some_events(count, start=self.sent)):
            messages.append(event_message(self.scope, event))
            self._ids.add(event.event_id)
            self._hours[milliseconds(event.timestamp) // HOUR_MS * HOUR_MS] += 1
            if number % POISON_EVERY == 0:
                messages += [messages[-1], self._poisoned(self.poison)]
                self.poison += 1
        self.sent += count
        item = Item(item_id=f"i{self.sent % 11}", title=str(self.sent))
        publish(self.stores, self.settings.kafka_item_ingest_topics[0], [item_message(self.scope, item)])
        publish(self.stores, self.settings.kafka_event_topic, messages)

    def check(self) -> None:
        """Lost 0, duplicated 0, the aggregates equal what was sent, each bad message is a dead letter."""
        ids = self.stores.events.interactions(self.scope)["event_id"].to_pylist()
        assert (len(ids), set(ids)) == (self.sent, self._ids)
        periods = self.stores.aggregates.counts(self.scope, "hour", limit=100_000)
        assert {milliseconds(period.start): period.events for period in periods} == self._hours
        assert len(refused(self.stores)) == self.poison

    def checksums(self) -> dict[str, str]:
        """Of all that the consumer writes."""
        whole: dict[str, Any] = state(self.stores, self.scope)
        whole |= {by: self.stores.aggregates.counts(self.scope, by, limit=100_000) for by in ("hour", "day")}
        return {name: hashlib.sha256(repr(part).encode()).hexdigest() for name, part in whole.items()}

    def taken(self) -> bool:
        return all_taken(self.stores)

    def _poisoned(self, number: int) -> Message:
        body = {"tenant_id": self.scope.tenant_id, "scenario_id": self.scope.scenario_id, "user_id": "u"}
        return Message(
            json.dumps(body | {"item_id": "i", "action": "juggle", "timestamp": 1_700_000_000 + number}).encode()
        )


@pytest.fixture
def engine() -> str:
    """The log; tests set it by their parameter."""
    return "redis"


@pytest.fixture
def traffic(request: pytest.FixtureRequest, engine: str, scope: Scope, tmp_path: Path) -> Iterator[Traffic]:
    settings = consumer_settings(request, engine, tmp_path)
    with ExitStack() as stack:
        if request.node.get_closest_marker("chaos"):
            # What a killed consumer had the engine count goes on there, and would hold up the tests after it.
            stack.enter_context(own_clickhouse(settings, tmp_path / "own-clickhouse"))
        yield Traffic(settings, stack.enter_context(connected(settings, scope)), scope)


@pytest.fixture
def start(traffic: Traffic) -> Iterator[Callable[..., Process]]:
    """Starts consumers, which do not outlive the test."""
    started: list[Process] = []

    def one(**options: Any) -> Process:
        started.append(start_process(traffic.settings, **options))
        return started[-1]

    yield one
    for process in started:
        process.kill()
        process.wait()


def finish(traffic: Traffic, process: Process, seconds: float = PATIENCE) -> None:
    """Waits until the consumer has taken everything, and stops it as an operator does."""
    wait_for(traffic.taken, seconds)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


def kill(process: Process) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.parametrize("engine", ["redis", pytest.param("kafka", marks=LONG)])
def test_killed_at_each_step(traffic: Traffic, start: Callable[..., Process], tmp_path: Path) -> None:
    gates = tmp_path / "gates"
    gates.mkdir()
    for step in STEPS:
        shut = gates / f"{step}.shut"
        shut.touch()
        traffic.send(250)
        process = start(gates=gates)
        waiting = gates / f"{step}.{process.pid}"
        wait_for(waiting.exists, PATIENCE)
        kill(process)
        shut.unlink()
    finish(traffic, start(gates=gates))
    traffic.check()


@pytest.mark.parametrize(
    ("engine", "kills", "events"),
    [
        pytest.param("redis", 4, 1_500, marks=pytest.mark.long),
        pytest.param("redis", KILLS, EVENTS_A_KILL, marks=LONG),
        pytest.param("kafka", KILLS, EVENTS_A_KILL, marks=LONG),
    ],
)
def test_killed_at_random_and_replayed(
    traffic: Traffic, start: Callable[..., Process], kills: int, events: int
) -> None:
    chance = random.Random(6)
    pause = threading.Event()
    for _ in range(kills):
        traffic.send(events)
        before = left_of(traffic.stores)
        process = start()
        wait_for(lambda before=before: left_of(traffic.stores) < before, PATIENCE)  # type: ignore[misc]
        pause.wait(chance.uniform(0, events / 10_000))
        kill(process)
    finish(traffic, start(), 300)
    traffic.check()
    before_replay = traffic.checksums()
    traffic.settings.kafka_group += "-replay"
    finish(traffic, start(), 300)
    traffic.check()
    assert traffic.checksums() == before_replay


@pytest.mark.parametrize(
    ("engine", "rounds", "seconds"),
    [
        ("redis", 2, 0.3),
        pytest.param("redis", 12, 5, marks=LONG),
        pytest.param("kafka", 12, 5, marks=LONG),
    ],
)
def test_a_second_consumer_joins_and_leaves(
    traffic: Traffic, start: Callable[..., Process], rounds: int, seconds: float
) -> None:
    pause = threading.Event()
    first = start(member="a")
    for _ in range(rounds):
        second = start(member="b")
        traffic.send(1_000)
        wait_for(lambda: left_of(traffic.stores) < 1_000, PATIENCE)
        pause.wait(seconds)
        traffic.send(1_000)
        second.send_signal(signal.SIGTERM)
        assert second.wait(30) == 0
        pause.wait(seconds)
    finish(traffic, first)
    traffic.check()


@pytest.mark.parametrize(
    ("engine", "seconds"),
    [
        ("redis", 2),
        pytest.param("redis", 60, marks=LONG),
        pytest.param("kafka", 60, marks=LONG),
    ],
)
def test_stores_are_away(
    request: pytest.FixtureRequest,
    traffic: Traffic,
    start: Callable[..., Process],
    tmp_path: Path,
    seconds: float,
) -> None:
    """ClickHouse, whose process is killed, and then the documents, which somebody else writes to all the time."""
    with own_clickhouse(traffic.settings, tmp_path / "clickhouse") as clickhouse:
        process = start()
        traffic.send(500)
        wait_for(traffic.taken, PATIENCE)
        goes_and_comes_back(request, traffic, process, "ClickHouse", clickhouse, seconds)
        with documents_locked(traffic.settings):
            traffic.send(500)
            assert waits(traffic, process, seconds)
        with recovering(request, f"the documents were locked for {seconds:.0f} s: the consumer has taken what waited"):
            wait_for(traffic.taken, PATIENCE)
        finish(traffic, process)
        traffic.check()


@pytest.mark.parametrize("seconds", [2, pytest.param(60, marks=LONG)])
def test_mongodb_is_killed(
    request: pytest.FixtureRequest,
    traffic: Traffic,
    scope: Scope,
    start: Callable[..., Process],
    tmp_path: Path,
    seconds: float,
) -> None:
    mongo = own_mongo(tmp_path / "mongo")
    mongo.start()
    try:
        settings = traffic.settings.model_copy(update={"mongo_url": SecretStr(mongo.url)})
        with connected(settings, scope) as stores:
            traffic = Traffic(settings, stores, scope)
            process = start_process(settings)
            traffic.send(500)
            wait_for(traffic.taken, PATIENCE)
            goes_and_comes_back(request, traffic, process, "MongoDB", mongo, seconds)
            finish(traffic, process)
            traffic.check()
            assert len(list(stores.items.scan(scope))) == 2
    finally:
        mongo.stop()


@pytest.mark.parametrize("engine", ["redis", pytest.param("kafka", marks=LONG)])
def test_the_disk_of_clickhouse_is_full(traffic: Traffic, start: Callable[..., Process], tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 200) as disk, own_clickhouse(traffic.settings, disk.folder / "clickhouse"):
        process = start()
        traffic.send(500)
        wait_for(traffic.taken, PATIENCE)
        disk.fill()
        traffic.send(2_000)
        assert waits(traffic, process, 2)
        disk.empty()
        finish(traffic, process)
        traffic.check()


def goes_and_comes_back(
    request: pytest.FixtureRequest, traffic: Traffic, process: Process, name: str, engine: OwnEngine, seconds: float
) -> None:
    """Kills the engine for so long while events are sent; they wait, and are taken when it is back."""
    engine.kill()
    traffic.send(500)
    assert waits(traffic, process, seconds)
    engine.start()
    with recovering(request, f"{name} was away for {seconds:.0f} s: the consumer has taken what waited"):
        wait_for(traffic.taken, PATIENCE)


def waits(traffic: Traffic, process: Process, seconds: float) -> bool:
    """Whether the consumer lives on and takes nothing of what it cannot write, for the time."""
    return not threading.Event().wait(seconds) and process.poll() is None and left_of(traffic.stores) > 0


@contextmanager
def own_clickhouse(settings: Settings, folder: Path) -> Iterator[OwnEngine]:
    """Puts the installation onto a ClickHouse that nobody else uses."""
    clickhouse = own_embedded("clickhouse", folder)
    clickhouse.start()
    settings.clickhouse_url = SecretStr(clickhouse.url)
    try:
        yield clickhouse
    finally:
        clickhouse.stop()


@contextmanager
def documents_locked(settings: Settings) -> Iterator[None]:
    """Nobody else can write the documents."""
    with closing(sqlite3.connect(settings.state / "documents.sqlite", isolation_level=None)) as connection:
        connection.execute("PRAGMA busy_timeout = 10000")
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")
