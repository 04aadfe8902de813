"""A consumer between real engines, in a thread or a process: an installation of its own for each test."""

import json
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from lemo.domain.event import Event
from lemo.domain.event_columns import EventColumns
from lemo.domain.scenario import scenario_from_template
from lemo.domain.scope import Scope
from lemo.ingest.service import Consumer
from lemo.settings import Settings
from lemo.stores.connect import Stores
from lemo.streams import Message
from lemo.streams.dead_letters import DeadLetter, read_dead_letter
from lemo.streams.redis.client import stream_key
from lemo.streams.topics import Topics
from servers import ROOT, new_database

START = 1_700_000_000_000
PATIENCE = 40.0
BOTH = ["redis", pytest.param("kafka", marks=pytest.mark.long)]
"""Logs for tests of what is read: the beginning takes seconds with Kafka, whose log has the same contract."""


def consumer_settings(
    request: pytest.FixtureRequest, engine: str, folder: Path, own_database: bool = False
) -> Settings:
    """An installation of its own on shared engines: its own home, topics and group.

    The tables of ClickHouse are shared, as making them costs a second and rows are told apart by their scope. A test
    whose scope has the same name each time, or that looks at whole tables, asks for an `own_database`.
    """
    mine = uuid.uuid4().hex[:12]
    kafka = request.getfixturevalue("kafka_servers") if engine == "kafka" else ""
    return Settings(
        home=folder / "home",
        installation=f"test{mine}",
        redis_url=SecretStr(request.getfixturevalue("redis_url")),
        clickhouse_url=SecretStr(request.getfixturevalue("clickhouse_url")),
        clickhouse_database=new_database("consumers") if own_database else "consumers",
        kafka_bootstrap_servers=kafka,
        kafka_item_ingest_topics=[f"items-{mine}", f"vlog-items-{mine}"],
        kafka_event_topic=f"events-{mine}",
        kafka_dead_letter_topic=f"dead-{mine}",
        kafka_item_results_topic=f"results-{mine}",
        kafka_served_topic=f"served-{mine}",
        kafka_group=f"group-{mine}",
    )


@contextmanager
def connected(settings: Settings, scope: Scope) -> Iterator[Stores]:
    settings.state.mkdir(parents=True, exist_ok=True)
    stores = Stores(settings)
    stores.tenants.create(scope.tenant_id)
    stores.scenarios.create(scope.tenant_id, scenario_from_template(scope.scenario_id, "vlog"))
    topics = Topics(settings)
    stores.log.create_topics([*topics.fixed, *topics.written])
    yield stores
    streams = (stream_key(topic, settings.installation) for topic in (*topics.fixed, *topics.written))
    own = stores.redis.scan_iter(f"{settings.installation}:*:{scope.tenant_id}:*", count=10_000)
    stores.redis.delete(*streams, *own)
    stores.close()


def publish(stores: Stores, topic: str, messages: list[Message]) -> None:
    publisher = stores.log.publisher()
    publisher.publish(topic, messages)
    publisher.close()


def wait(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, what
        pause.wait(0.05)


def all_taken(stores: Stores) -> bool:
    return left_of(stores) == 0


class Running:
    """A consumer in a thread of the test."""

    def __init__(self, settings: Settings, member: str = "") -> None:
        self.asked: list[Scope] = []
        self.stop = threading.Event()
        self._stores = Stores(settings)
        service = Consumer(self._stores, member or settings.installation, self.asked.append, self.stop)
        self._registry = service.metrics.registry
        self._thread = threading.Thread(target=service.run, name="consumer")

    def __enter__(self) -> "Running":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        self._stores.close()

    def measured(self, name: str, **labels: str) -> float:
        """The value of one of the consumer's metrics."""
        value = self._registry.get_sample_value(f"lemo_consumer_{name}", labels)
        assert value is not None, name
        return value


def consume(settings: Settings, stores: Stores) -> Running:
    """Runs a consumer until everything is taken."""
    with Running(settings) as running:
        wait(lambda: all_taken(stores), "the consumer did not take everything")
    return running


def write_events(stores: Stores, scope: Scope, events: list[Event]) -> None:
    """What a consumer makes of events that filter their items, without one."""
    columns = EventColumns.of((scope, event) for event in events)
    with stores.aggregates.changing(scope):
        stores.events.insert(columns)
    stores.history.add(columns)
    stores.seen.add(columns)


def some_events(count: int, start: int = 0) -> list[Event]:
    return [
        Event(
            user_id=f"u{number % 7}",
            item_id=f"i{number % 11}",
            action=("click", "like", "rate")[number % 3],
            timestamp=START + number * 1000,
            value=number % 5 or None,
        )
        for number in range(start, start + count)
    ]


def state(stores: Stores, scope: Scope) -> dict[str, Any]:
    """All that the consumer writes."""
    return {
        "items": sorted((item.item_id, item.model_dump_json()) for item in stores.items.scan(scope)),
        "events": stores.events.interactions(scope).to_pylist(),
        "history": stores.history.read_many(scope, [f"u{number}" for number in range(7)]),
        "seen": stores.seen.read_many(scope, [f"u{number}" for number in range(7)]),
        "latest": stores.availability.latest(scope, 1_000),
        "inactive": stores.availability.inactive(scope),
        "dead": sorted(refused(stores).items()),
    }


def letters(stores: Stores, tenant_id: str) -> list[DeadLetter]:
    return stores.dead_letters.waiting_of(tenant_id)


def refused(stores: Stores) -> dict[str, str]:
    """The reason of every dead letter by its id; a listing looks at the newest only."""
    found = map(read_dead_letter, stores.log.scan(stores.settings.kafka_dead_letter_topic))
    return {letter.id: letter.reason for letter in found}


def results(stores: Stores) -> list[dict[str, Any]]:
    """What the consumer told of items."""
    told = [json.loads(record.value) for record in stores.log.scan(stores.settings.kafka_item_results_topic)]
    return [{**message, **result} for message in told for result in message.pop("items")]


def left_of(stores: Stores) -> int:
    read = Topics(stores.settings).read_of(stores.log)
    return sum(stores.log.lag(read, stores.settings.kafka_group).values())


PROGRAM = """
import signal, sys, threading
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
from lemo.ingest.service import Consumer
from lemo.settings import Settings
from lemo.stores.connect import Stores
Consumer(Stores(Settings()), sys.argv[1], lambda scope: None, stop).run()
"""


def environment_of(settings: Settings) -> dict[str, str]:
    """The variables of a process in the installation of these settings."""
    assert settings.redis_url is not None
    assert settings.clickhouse_url is not None
    return {
        "LEMO_HOME": str(settings.home),
        "LEMO_INSTALLATION": settings.installation,
        "LEMO_REDIS_URL": settings.redis_url.get_secret_value(),
        "LEMO_CLICKHOUSE_URL": settings.clickhouse_url.get_secret_value(),
        "LEMO_MONGO_URL": settings.mongo_url.get_secret_value() if settings.mongo_url else "",
        "LEMO_MONGO_DATABASE": settings.mongo_database,
        "LEMO_CLICKHOUSE_DATABASE": settings.clickhouse_database,
        "LEMO_KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        "LEMO_KAFKA_ITEM_INGEST_TOPICS": ",".join(settings.kafka_item_ingest_topics),
        "LEMO_KAFKA_EVENT_TOPIC": settings.kafka_event_topic,
        "LEMO_KAFKA_DEAD_LETTER_TOPIC": settings.kafka_dead_letter_topic,
        "LEMO_KAFKA_ITEM_RESULTS_TOPIC": settings.kafka_item_results_topic,
        "LEMO_KAFKA_SERVED_TOPIC": settings.kafka_served_topic,
        "LEMO_KAFKA_GROUP": settings.kafka_group,
    }


def start_process(settings: Settings, member: str = "", gates: Path | None = None) -> "subprocess.Popen[bytes]":
    """A consumer in a process of its own, to be killed; with `gates` it waits at those that are shut there."""
    environment = {**os.environ, **environment_of(settings)}
    if gates:
        environment |= {"LEMO_TEST_GATES": str(gates), "PYTHONPATH": str(ROOT / "tests" / "consumer_gates")}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, member or settings.installation], env=environment, stdout=subprocess.DEVNULL
    )
