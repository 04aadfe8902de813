"""The consumer between real engines: what it commits is written, bad messages stop nothing, replays change nothing."""

import json
import os
import signal
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

import servers
from engines.process import LOOPBACK, Daemon
from lemo.consumer.service import Consumer
from lemo.domain.event import Event
from lemo.domain.item import Item
from lemo.domain.scenario import scenario_from_template
from lemo.domain.scope import Scope
from lemo.settings import Settings
from lemo.stores.connect import Stores
from lemo.streams import Message
from lemo.streams.dead_letters import DeadLetter, read_dead_letters
from lemo.streams.messages import event_message, item_message

START = 1_700_000_000_000
PATIENCE = 40.0


@pytest.fixture(params=["redis", "kafka"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def settings(request: pytest.FixtureRequest, engine: str, tmp_path: Path) -> Settings:
    """An installation of its own on shared engines: its own home, database, topics and group."""
    mine = uuid.uuid4().hex[:12]
    kafka = request.getfixturevalue("kafka_servers") if engine == "kafka" else ""
    return Settings(
        home=tmp_path / "home",
        redis_url=SecretStr(request.getfixturevalue("redis_url")),
        clickhouse_url=SecretStr(request.getfixturevalue("clickhouse_url")),
        clickhouse_database=f"consumer_{mine}",
        kafka_bootstrap_servers=kafka,
        kafka_item_ingest_topics=[f"items-{mine}", f"vlog-items-{mine}"],
        kafka_event_topic=f"events-{mine}",
        kafka_dead_letter_topic=f"dead-{mine}",
        kafka_group=f"group-{mine}",
    )


@pytest.fixture
def stores(settings: Settings, scope: Scope) -> Iterator[Stores]:
    with connected(settings, scope) as opened:
        yield opened


@contextmanager
def connected(settings: Settings, scope: Scope) -> Iterator[Stores]:
    settings.state.mkdir(parents=True, exist_ok=True)
    stores = Stores(settings)
    stores.tenants.create(scope.tenant_id)
    stores.scenarios.create(scope.tenant_id, scenario_from_template(scope.scenario_id, "vlog"))
    stores.log.create_topics([*topics(settings), settings.kafka_dead_letter_topic])
    yield stores
    for pattern in (f"lemo:*:{scope.tenant_id}:*", *(f"lemo:log:{topic}" for topic in topics(settings))):
        for key in stores.redis.scan_iter(pattern):
            stores.redis.delete(key)
    stores.close()


def topics(settings: Settings) -> list[str]:
    return [*settings.kafka_item_ingest_topics, settings.kafka_event_topic]


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
    return not any(stores.log.lag(topics(stores.settings), stores.settings.kafka_group).values())


class Running:
    """A consumer in a thread of the test."""

    def __init__(self, settings: Settings, member: str = "a") -> None:
        self.asked: list[Scope] = []
        self.stop = threading.Event()
        self._stores = Stores(settings)
        service = Consumer(self._stores, member, self.asked.append, self.stop)
        self._thread = threading.Thread(target=service.run, name="consumer")

    def __enter__(self) -> "Running":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        self._stores.close()


def consume(settings: Settings, stores: Stores) -> Running:
    """Runs a consumer until everything is taken."""
    with Running(settings) as running:
        wait(lambda: all_taken(stores), "the consumer did not take everything")
    return running


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
        "latest": stores.fresh.latest(scope, 1_000),
        "inactive": stores.fresh.inactive(scope),
        "dead": sorted((letter.id, letter.reason) for letter in letters(stores, scope.tenant_id)),
    }


def letters(stores: Stores, tenant_id: str) -> list[DeadLetter]:
    return read_dead_letters(stores.log, stores.settings.kafka_dead_letter_topic, tenant_id)


def test_items_and_events_arrive_where_they_are_read(settings: Settings, stores: Stores, scope: Scope) -> None:
    first, second = settings.kafka_item_ingest_topics
    publish(stores, first, [item_message(scope, Item(item_id=f"i{n}", title=f"标题 {n}")) for n in range(20)])
    publish(stores, second, [item_message(scope, Item(item_id="off", is_active=False))])
    events = some_events(100)
    publish(stores, settings.kafka_event_topic, [event_message(scope, event) for event in events])
    running = consume(settings, stores)
    assert {item.item_id for item in stores.items.scan(scope)} == {"off", *(f"i{n}" for n in range(20))}
    assert stores.items.get_many(scope, ["i3"])["i3"].title == "标题 3"
    assert stores.events.count(scope) == 100
    assert stores.history.read(scope, "u0")[0].timestamp_ms == START + 98_000
    assert set(stores.fresh.latest(scope, 100)) == {f"i{n}" for n in range(20)}
    assert stores.fresh.inactive(scope) == {"off"}
    assert stores.embedding_queue.count(scope) == 21
    assert set(running.asked) == {scope}
    assert letters(stores, scope.tenant_id) == []


def test_bad_messages_become_dead_letters_and_stop_nothing(settings: Settings, stores: Stores, scope: Scope) -> None:
    good = event_message(scope, some_events(1)[0])
    body = json.loads(good.value)

    def changed(**fields: Any) -> bytes:
        return json.dumps(body | fields).encode()

    bad = {
        b"{broken": "not JSON",
        b"\xff\xfe\x00": "not JSON",
        b"": "not JSON",
        b'{"a": NaN}': "not JSON",
        b"x" * 1_000_100: "the limit is 1,000,000",
        changed(tenant_id="nobody"): "no tenant 'nobody'",
        changed(scenario_id="nowhere"): "no scenario 'nowhere'",
        changed(action="juggle"): "no action 'juggle'",
        changed(timestamp=4_000_000_000_000): "in the future",
        changed(timestamp=1_000): "before 1990",
        changed(value="much"): "value",
        changed(user_id=""): "user_id",
    }
    publish(
        stores,
        settings.kafka_event_topic,
        [Message(value, b"k\xff", {"trace": b"\x01", "lemo-tenant": b"spoofed"}) for value in bad],
    )
    publish(stores, settings.kafka_event_topic, [good])
    consume(settings, stores)
    assert stores.events.count(scope) == 1
    theirs = {b"{broken", b"\xff\xfe\x00", b"", b'{"a": NaN}', b"x" * 1_000_100, changed(tenant_id="nobody")}
    ours, nobodys = letters(stores, scope.tenant_id), letters(stores, "")
    assert {letter.value for letter in ours} == set(bad) - theirs
    assert {letter.value for letter in nobodys} == theirs
    assert letters(stores, "spoofed") == []
    for letter in ours + nobodys:
        assert bad[letter.value] in letter.reason
        assert (letter.topic, letter.key) == (settings.kafka_event_topic, b"k\xff")
    headers = stores.log.read_all(settings.kafka_dead_letter_topic, 1)[0].headers
    assert headers["trace"] == b"\x01"
    assert {name.removeprefix("__connect.errors.") for name in headers if name.startswith("__connect.errors.")} == {
        "topic",
        "partition",
        "offset",
        "connector.name",
        "task.id",
        "stage",
        "class.name",
        "exception.class.name",
        "exception.message",
    }


def test_one_bad_item_of_a_message_becomes_a_dead_letter_of_its_own(
    settings: Settings, stores: Stores, scope: Scope
) -> None:
    raw = [{"item_id": "a"}, {"title": "no id"}, {"item_id": "b", "tags": 5}, {"item_id": "c"}]
    whole = {"tenant_id": scope.tenant_id, "scenario_id": scope.scenario_id, "items": raw}
    publish(stores, settings.kafka_item_ingest_topics[0], [Message(json.dumps(whole).encode())])
    consume(settings, stores)
    assert {item.item_id for item in stores.items.scan(scope)} == {"a", "c"}
    found = sorted(letters(stores, scope.tenant_id), key=lambda letter: letter.id)
    assert [json.loads(letter.value) for letter in found] == [whole | {"items": [raw[1]]}, whole | {"items": [raw[2]]}]
    assert [letter.id.rpartition(":")[2] for letter in found] == ["1", "2"]


def test_older_versions_of_an_item_do_not_come_back(settings: Settings, stores: Stores, scope: Scope) -> None:
    topic = settings.kafka_item_ingest_topics[0]
    publish(
        stores,
        topic,
        [
            item_message(scope, Item(item_id="i", title="new", updated_at="2024-02-01")),
            item_message(scope, Item(item_id="i", title="old", updated_at="2024-01-01", is_active=False)),
        ],
    )
    consume(settings, stores)
    publish(
        stores, topic, [item_message(scope, Item(item_id="i", title="older", updated_at="2023-01-01", deleted=True))]
    )
    consume(settings, stores)
    assert stores.items.get_many(scope, ["i"])["i"].title == "new"
    assert stores.fresh.latest(scope, 10) == ["i"]
    assert stores.fresh.inactive(scope) == set()


def test_replaying_the_whole_log_gives_the_same_state(settings: Settings, stores: Stores, scope: Scope) -> None:
    items = [
        Item(item_id=f"i{n % 9}", title=str(n), is_active=n % 4 > 0, updated_at=START + (n * 37 % 50) * 1000)
        for n in range(60)
    ]
    publish(stores, settings.kafka_item_ingest_topics[0], [item_message(scope, item) for item in items])
    events = some_events(300)
    publish(stores, settings.kafka_event_topic, [event_message(scope, event) for event in events + events[:50]])
    publish(
        stores,
        settings.kafka_event_topic,
        [Message(b"bad"), Message(json.dumps({"tenant_id": scope.tenant_id}).encode())],
    )
    consume(settings, stores)
    before = state(stores, scope)
    assert len(before["events"]) == 300
    assert len(before["dead"]) == 1
    replay = settings.model_copy(update={"kafka_group": f"{settings.kafka_group}-replay"})
    replayed = Stores(replay)
    consume(replay, replayed)
    replayed.close()
    assert state(stores, scope) == before


def test_a_scenario_is_seen_as_soon_as_it_exists(settings: Settings, stores: Stores, scope: Scope) -> None:
    late = Scope(scope.tenant_id, "made-later")
    event = some_events(1)[0]
    with Running(settings):
        publish(stores, settings.kafka_event_topic, [event_message(late, event)])
        wait(lambda: len(letters(stores, scope.tenant_id)) == 1, "no dead letter")
        stores.scenarios.create(late.tenant_id, scenario_from_template(late.scenario_id, "news"))
        publish(stores, settings.kafka_event_topic, [event_message(late, event)])
        wait(lambda: stores.events.count(late) == 1, "the new scenario was not seen")
    assert len(letters(stores, scope.tenant_id)) == 1


PROGRAM = """
import signal, sys, threading
from lemo.consumer.service import Consumer
from lemo.settings import Settings
from lemo.stores.connect import Stores
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
Consumer(Stores(Settings()), "a", lambda scope: None, stop).run()
"""


def start_process(settings: Settings) -> "subprocess.Popen[bytes]":
    assert settings.redis_url is not None
    assert settings.clickhouse_url is not None
    environment = {
        "LEMO_HOME": str(settings.home),
        "LEMO_REDIS_URL": settings.redis_url.get_secret_value(),
        "LEMO_CLICKHOUSE_URL": settings.clickhouse_url.get_secret_value(),
        "LEMO_CLICKHOUSE_DATABASE": settings.clickhouse_database,
        "LEMO_KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        "LEMO_KAFKA_ITEM_INGEST_TOPICS": ",".join(settings.kafka_item_ingest_topics),
        "LEMO_KAFKA_EVENT_TOPIC": settings.kafka_event_topic,
        "LEMO_KAFKA_DEAD_LETTER_TOPIC": settings.kafka_dead_letter_topic,
        "LEMO_KAFKA_GROUP": settings.kafka_group,
    }
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM], env={**os.environ, **environment}, stdout=subprocess.DEVNULL
    )


def test_killing_the_consumer_loses_and_doubles_nothing(
    settings: Settings, stores: Stores, scope: Scope, engine: str
) -> None:
    count, taken = 12_000, 0
    events = [event_message(scope, event) for event in some_events(count)]
    publish(stores, settings.kafka_event_topic, [*events, Message(json.dumps({"tenant_id": scope.tenant_id}).encode())])
    for _ in range(1 if engine == "kafka" else 3):  # Kafka waits 10 s for the dead member
        process = start_process(settings)
        before = taken

        def moved(before: int = before) -> bool:
            return left_of(stores) < count - before

        wait(moved, "the consumer took nothing")
        process.send_signal(signal.SIGKILL)
        process.wait()
        taken = count - left_of(stores)
    process = start_process(settings)
    wait(lambda: all_taken(stores), "the consumer did not take everything")
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0
    assert stores.events.count(scope) == count
    assert stores.events.interactions(scope).num_rows == count
    assert len(letters(stores, scope.tenant_id)) == 1


def left_of(stores: Stores) -> int:
    return sum(stores.log.lag(topics(stores.settings), stores.settings.kafka_group).values())


@pytest.mark.parametrize("engine", ["redis"])
class TestOutages:
    """Engines that go away, on the embedded log."""

    def test_the_batch_waits_for_clickhouse(self, settings: Settings, scope: Scope, tmp_path: Path) -> None:
        port = servers.free_port()
        settings.clickhouse_url = SecretStr(f"http://{LOOPBACK}:{port}")
        with connected(settings, scope) as stores:
            publish(stores, settings.kafka_event_topic, [event_message(scope, event) for event in some_events(50)])
            folder = tmp_path / "clickhouse"
            folder.mkdir()
            with Running(settings):
                daemon = start_clickhouse(folder, port)
                try:
                    wait(lambda: all_taken(stores), "the consumer did not start after ClickHouse came")
                    assert stores.events.count(scope) == 50
                    daemon.stop()
                    publish(
                        stores,
                        settings.kafka_event_topic,
                        [event_message(scope, event) for event in some_events(50, start=50)],
                    )
                    wait(lambda: left_of(stores) == 50, "what is not written must not be committed")
                    daemon = start_clickhouse(folder, port)
                    wait(lambda: all_taken(stores), "the consumer did not go on")
                    assert stores.events.count(scope) == 100
                finally:
                    daemon.stop()

    def test_it_stops_promptly_while_an_engine_is_away(self, settings: Settings, scope: Scope) -> None:
        settings.clickhouse_url = SecretStr(f"http://{LOOPBACK}:{servers.free_port()}")
        with connected(settings, scope) as stores:
            publish(stores, settings.kafka_event_topic, [event_message(scope, event) for event in some_events(5)])
            process = start_process(settings)
            wait(lambda: bool(stores.redis.exists(f"lemo:log:{settings.kafka_event_topic}")), "no log")
            process.send_signal(signal.SIGTERM)
            process.wait(10)
            assert left_of(stores) == 5


def start_clickhouse(folder: Path, port: int) -> Daemon:
    daemon = Daemon(folder)
    daemon.start(
        [sys.executable, "-m", "lemo.embedded.clickhouse", "--path", folder / "state", "--port", str(port)], port
    )
    daemon.wait(lambda: servers.ANSWERS["clickhouse"](port), 60)
    return daemon
