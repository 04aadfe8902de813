"""The consumer between real engines: what it commits is written, bad messages stop nothing, replays change nothing."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

import servers
from consumers import (
    BOTH,
    PATIENCE,
    START,
    Running,
    all_taken,
    connected,
    consume,
    consumer_settings,
    environment_of,
    left_of,
    letters,
    publish,
    results,
    some_events,
    start_process,
    state,
    wait,
)
from engines.process import LOOPBACK
from lemo.diagnostics.installation_metrics import Installation
from lemo.diagnostics.log_probes import probe_consumer
from lemo.domain.errors import EngineUnavailable
from lemo.domain.item import Item
from lemo.domain.scenario import scenario_from_template
from lemo.domain.scope import Scope
from lemo.ingest.metrics import STAGES
from lemo.settings import Settings
from lemo.stores.connect import Stores
from lemo.streams import Message, Record
from lemo.streams.kafka.reader import KafkaReader
from lemo.streams.messages import FAULTS, event_message, item_message
from lemo.streams.redis.client import stream_key
from lemo.streams.served_messages import served_messages


@pytest.fixture(params=BOTH)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def settings(request: pytest.FixtureRequest, engine: str, tmp_path: Path) -> Settings:
    return consumer_settings(request, engine, tmp_path)


@pytest.fixture
def stores(settings: Settings, scope: Scope) -> Iterator[Stores]:
    with connected(settings, scope) as opened:
        yield opened


@pytest.mark.parametrize("engine", ["redis", "kafka"])
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
    users = sorted({event.user_id for event in events})
    seen = stores.seen.read_many(scope, users)
    assert [set(each) for each in seen] == [
        {event.item_id for event in events if event.user_id == user} for user in users
    ], "the set that does not expire"
    assert set(stores.availability.latest(scope, 100)) == {f"i{n}" for n in range(20)}
    assert stores.availability.inactive(scope) == {"off"}
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
    assert {letter.message.value for letter in ours} == set(bad) - theirs
    assert {letter.message.value for letter in nobodys} == theirs
    assert letters(stores, "spoofed") == []
    for letter in ours + nobodys:
        assert bad[letter.message.value] in letter.reason
        assert (letter.topic, letter.message.key) == (settings.kafka_event_topic, b"k\xff")
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
        "exception.stacktrace",
    }


def test_a_consumer_measures_what_it_does(settings: Settings, stores: Stores, scope: Scope) -> None:
    events = [event_message(scope, event) for event in some_events(40)]
    publish(stores, settings.kafka_event_topic, [*events, Message(b"{broken"), Message(b"[]"), Message(b"{}")])
    publish(stores, settings.kafka_item_ingest_topics[0], [item_message(scope, Item(item_id="i")), Message(b"{broken")])
    answer = b'{"kind":"popular","at":%d,"took_us":1,"answer":{"request_id":"r","items":[]}}' % (time.time() * 1000)
    publish(stores, settings.kafka_served_topic, list(served_messages(scope, 1, [answer, answer])))
    measured = consume(settings, stores).measured
    assert [measured("records_total", kind=kind) for kind in ("events", "items", "served")] == [43, 2, 1]
    assert measured("batch_records_sum") == 46
    faults = {fault: measured("dead_letters_total", fault=fault) for fault in FAULTS}
    assert {fault: count for fault, count in faults.items() if count} == {"not-json": 3, "invalid": 1}
    batches = measured("batch_records_count")
    for stage in set(STAGES) - {"computed", "accepted"}:  # there is no Flink
        assert 1 <= measured("stage_seconds_count", stage=stage) <= batches
        assert 0 < measured("stage_seconds_sum", stage=stage) < PATIENCE
    assert {measured("stage_seconds_count", stage=stage) for stage in ("read", "sort", "commit")} == {batches}
    assert measured("oldest_uncommitted_seconds") == 0


def test_of_events_that_bear_one_id_the_first_counts_everywhere(
    settings: Settings, stores: Stores, scope: Scope
) -> None:
    """However the messages are batched: a replay gives the same state."""
    first, *others = (event.model_copy(update={"event_id": "e", "user_id": "u0"}) for event in some_events(5))
    messages = [event_message(scope, event) for event in (first, first, *others)]
    publish(stores, settings.kafka_event_topic, messages)
    measured = consume(settings, stores).measured
    assert [event.item_id for event in stores.events.history(scope, "u0", 10)] == [first.item_id]
    assert [touch.item_id for touch in stores.history.read(scope, "u0")] == [first.item_id]
    repeated = {contents: measured("repeated_events_total", contents=contents) for contents in ("same", "other")}
    assert repeated == {"same": 1, "other": 4}


def test_an_id_that_comes_again_in_a_later_batch_with_other_contents_is_counted_and_told(
    settings: Settings, stores: Stores, scope: Scope
) -> None:
    first, other = (event.model_copy(update={"event_id": "e"}) for event in some_events(2))
    with Running(settings) as running:
        for event in (first, other, first):
            publish(stores, settings.kafka_event_topic, [event_message(scope, event)])
            wait(lambda: all_taken(stores), "the consumer did not take everything")
    assert running.measured("repeated_events_total", contents="other") == 1
    assert stores.events.count(scope) == 1


@pytest.mark.parametrize("engine", ["redis", "kafka"])
def test_how_far_it_is_behind_is_seen(settings: Settings, stores: Stores, scope: Scope) -> None:
    events = [event_message(scope, event) for event in some_events(5)]
    own, owns = f"{settings.kafka_event_topic}-{scope.tenant_id}", f"{settings.kafka_event_topic}-*"
    publish(stores, settings.kafka_event_topic, events[:3])
    publish(stores, own, events[3:])
    before = gauges(stores)
    assert (before["waiting", settings.kafka_event_topic], before["waiting", owns]) == (3, 2)
    assert {topic for (name, topic), value in before.items() if name == "oldest_waiting_seconds" and value > 0} == {
        settings.kafka_event_topic,
        owns,
    }
    finding = probe_consumer(settings)
    assert re.search(r"\b5 messages, \d+\.\d s behind", f"{finding.version} {finding.detail}")
    with Running(settings):
        wait(lambda: all_taken(stores), "the consumer did not take everything")
        finding = probe_consumer(settings)
        assert finding.version.endswith(" running")
        assert finding.detail.endswith(f"{settings.kafka_group}: up to date")
    assert set(gauges(stores).values()) == {0}


def gauges(stores: Stores) -> dict[tuple[str, str], float]:
    """What the installation's metrics tell of each topic."""
    return {
        (sample.name.removeprefix("lemo_ingest_"), sample.labels["topic"]): sample.value
        for metric in Installation(stores).collect()
        for sample in metric.samples
        if sample.name.startswith("lemo_ingest_")
    }


def test_a_tenants_own_topic_carries_only_its_events(settings: Settings, stores: Stores, scope: Scope) -> None:
    other = Scope(f"{scope.tenant_id}-other", scope.scenario_id)
    stores.tenants.create(other.tenant_id)
    stores.scenarios.create(other.tenant_id, scenario_from_template(other.scenario_id, "vlog"))
    own, nobodys, nameless = (
        f"{settings.kafka_event_topic}-{name}" for name in (scope.tenant_id, "no-such-tenant", "NO_NAME")
    )
    mine, foreign = ([event_message(each, event) for event in some_events(20)] for each in (scope, other))
    with Running(settings):
        publish(stores, settings.kafka_event_topic, foreign[:10])
        publish(stores, own, [*mine, *foreign[10:], Message(b"{broken")])
        publish(stores, nobodys, mine[:1])
        publish(stores, nameless, mine[1:2])
        wait(lambda: len(letters(stores, scope.tenant_id)) == 11, "foreign events did not become dead letters")
        wait(lambda: len(letters(stores, "")) == 2, "the topics of no tenant were not read")
        wait(lambda: all_taken(stores), "the consumer did not take everything")
    assert (stores.events.count(scope), stores.events.count(other)) == (20, 10)
    assert letters(stores, other.tenant_id) == []
    refused = letters(stores, scope.tenant_id)
    assert {letter.topic for letter in refused} == {own}
    assert sorted(letter.fault for letter in refused) == ["not-json", *["other-tenant"] * 10]
    assert {letter.message.value for letter in refused if letter.fault == "other-tenant"} == {
        message.value for message in foreign[10:]
    }
    assert {(letter.topic, letter.fault) for letter in letters(stores, "")} == {
        (nobodys, "other-tenant"),
        (nameless, "other-tenant"),
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
    assert [json.loads(letter.message.value) for letter in found] == [
        whole | {"items": [raw[1]]},
        whole | {"items": [raw[2]]},
    ]
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
    assert stores.availability.latest(scope, 10) == ["i"]
    assert stores.availability.inactive(scope) == set()


def test_a_partial_write_keeps_the_rest(settings: Settings, stores: Stores, scope: Scope) -> None:
    topic = settings.kafka_item_ingest_topics[0]

    def write(**fields: Any) -> None:
        publish(stores, topic, [item_message(scope, Item.model_validate({"item_id": "i"} | fields))])
        consume(settings, stores)

    write(title="Tea", categories=["drinks"], price=3)
    write(is_active=False)
    found = stores.items.get_many(scope, ["i"])["i"]
    assert (found.title, found.categories, found.attributes) == ("Tea", ["drinks"], {"price": 3})
    assert stores.availability.inactive(scope) == {"i"}
    write(price=4)
    assert stores.availability.inactive(scope) == {"i"}, "a write that does not say so switches nothing on"
    write(is_active=True)
    found = stores.items.get_many(scope, ["i"])["i"]
    assert (found.title, found.attributes) == ("Tea", {"price": 4})
    assert stores.availability.inactive(scope) == set()


def test_what_became_of_each_item_is_told(settings: Settings, stores: Stores, scope: Scope) -> None:
    topic = settings.kafka_item_ingest_topics[0]
    ids = {"tenant_id": scope.tenant_id, "scenario_id": scope.scenario_id}
    newest, older = (Item(item_id="c", updated_at=START + age) for age in (5_000, 1_000))
    publish(stores, topic, [item_message(scope, newest), item_message(scope, older)])
    consume(settings, stores)
    sent: list[dict[str, Any]] = [
        ids | {"items": [{"item_id": "a"}, {"title": "no id"}, {"item_id": "b", "tags": 5}]},
        ids | {"scenario_id": "nowhere", "items": [{"item_id": "d"}, {"item_id": "e"}]},
        ids | {"tenant_id": "nobody", "item_id": "f"},
        ids | {"item_id": "g", "tags": 7},
        {"item_id": "h"},
        ids | {"scenario_id": "x" * 900_000, "item_id": "long"},
    ]
    values = [json.dumps(each).encode() for each in sent]
    publish(stores, topic, [Message(value) for value in values])
    publish(stores, topic, [item_message(scope, Item(item_id="c", updated_at=START + 4_000, deleted=True))])
    publish(stores, topic, [Message(b"{broken")])
    consume(settings, stores)

    def told(item_id: str) -> list[dict[str, Any]]:
        return [result for result in results(stores) if result["item_id"] == item_id]

    stored = {record.position: record for record in stores.log.scan(topic) if record.value == values[0]}
    (place,) = stored.values()
    source = {"topic": topic, "partition": place.partition, "offset": place.position}
    assert told("a") == [{**ids, "item_id": "a", "outcome": "accepted", "version": place.timestamp, **source}]
    (refused,) = told("b")
    assert refused.pop("reason").startswith("tags")
    assert refused == {**ids, "item_id": "b", "outcome": "rejected", "fault": "invalid", "index": 2, **source}
    assert sorted((result["version"], result["outcome"]) for result in told("c")) == [
        (START + 1_000, "stale"),
        (START + 4_000, "stale"),
        (START + 5_000, "accepted"),
    ]
    tenant_id, scenario_id = scope.tenant_id, scope.scenario_id
    assert {
        (result["item_id"], result["fault"], result["tenant_id"], result["scenario_id"])
        for result in results(stores)
        if result["outcome"] == "rejected"
    } == {
        ("", "invalid", tenant_id, scenario_id),
        ("b", "invalid", tenant_id, scenario_id),
        ("d", "unknown-scenario", tenant_id, "nowhere"),
        ("e", "unknown-scenario", tenant_id, "nowhere"),
        ("f", "unknown-tenant", "", scenario_id),
        ("g", "invalid", tenant_id, scenario_id),
        ("h", "invalid", "", ""),
        ("long", "unknown-scenario", tenant_id, "x" * 256),
        ("", "not-json", "", ""),
    }
    assert len(results(stores)) == 13
    before = stores.items.get_many(scope, ["a", "b", "c"])
    assert (set(before), before["c"].deleted) == ({"a", "c"}, False)

    replay = settings.model_copy(update={"kafka_group": f"{settings.kafka_group}-replay"})
    replayed = Stores(replay)
    consume(replay, replayed)
    replayed.close()
    assert set(Counter(map(str, results(stores))).values()) == {2}  # the same is told again
    assert stores.items.get_many(scope, ["a", "b", "c"]) == before
    assert len(letters(stores, scope.tenant_id)) == 5


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
    assert len(before["dead"]) == 2
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


# Its siblings in the suite: integration/test_consumer_faults.py.
@pytest.mark.long
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
    assert sum(period.events for period in stores.aggregates.counts(scope, "hour")) == count
    assert len(letters(stores, scope.tenant_id)) == 1


@pytest.mark.parametrize("engine", ["kafka"])
def test_a_commit_that_is_tried_again_never_takes_back_a_newer_one(
    settings: Settings, stores: Stores, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it waits to try again the group shares its partitions anew, so that the next batch is committed first."""
    commit, hold = KafkaReader.commit, KafkaReader.hold
    committed: list[tuple[tuple[str, int], int]] = []
    refusing: list[KafkaReader] = []

    def commit_or_refuse(reader: KafkaReader, records: Sequence[Record]) -> None:
        if not refusing:
            refusing.append(reader)
            raise EngineUnavailable("The brokers are away.", "Wait.")
        commit(reader, records)
        last = {(record.topic, record.partition): int(record.position) for record in records}
        committed.extend(last.items())

    def hold_and_revoke(reader: KafkaReader) -> None:
        hold(reader)
        if refusing and not committed:
            reader._before_revoke()

    monkeypatch.setattr(KafkaReader, "commit", commit_or_refuse)
    monkeypatch.setattr(KafkaReader, "hold", hold_and_revoke)
    messages = [event_message(scope, event) for event in some_events(1_000)]
    messages = [replace(message, key=b"one partition") for message in messages]
    with Running(settings):
        for some in (messages[:500], messages[500:]):
            publish(stores, settings.kafka_event_topic, some)
            wait(lambda: all_taken(stores), "the consumer did not take everything")
    assert stores.events.count(scope) == 1_000
    furthest: dict[tuple[str, int], int] = {}
    for place, position in committed:
        assert position > furthest.get(place, -1)
        furthest[place] = position


@pytest.mark.parametrize("engine", ["redis"])
class TestOneEngine:
    """Processes, and engines that go away, on the embedded log."""

    def test_the_batch_waits_for_clickhouse(self, settings: Settings, scope: Scope, tmp_path: Path) -> None:
        clickhouse = servers.own_embedded("clickhouse", tmp_path / "clickhouse")
        settings.clickhouse_url = SecretStr(clickhouse.url)
        with connected(settings, scope) as stores:
            publish(stores, settings.kafka_event_topic, [event_message(scope, event) for event in some_events(50)])
            with Running(settings) as running:
                clickhouse.start()
                try:
                    wait(lambda: all_taken(stores), "the consumer did not start after ClickHouse came")
                    assert stores.events.count(scope) == 50
                    clickhouse.stop()
                    publish(
                        stores,
                        settings.kafka_event_topic,
                        [event_message(scope, event) for event in some_events(50, start=50)],
                    )
                    wait(lambda: left_of(stores) == 50, "what is not written must not be committed")
                    wait(lambda: running.measured("oldest_uncommitted_seconds") > 0.5, "what waits must grow old")
                    clickhouse.start()
                    wait(lambda: all_taken(stores), "the consumer did not go on")
                    assert stores.events.count(scope) == 100
                    wait(lambda: running.measured("oldest_uncommitted_seconds") == 0, "nothing waits")
                finally:
                    clickhouse.stop()

    def test_nothing_is_committed_before_its_result_is_written(
        self, settings: Settings, stores: Stores, scope: Scope
    ) -> None:
        in_the_way = stream_key(settings.kafka_item_results_topic, settings.installation)
        stores.redis.set(in_the_way, "no stream")
        publish(stores, settings.kafka_item_ingest_topics[0], [item_message(scope, Item(item_id="i"))])
        with Running(settings) as running:
            wait(lambda: stores.items.count(scope) == 1, "the item was not written")
            assert left_of(stores) == 1
            assert running.measured("stage_seconds_count", stage="results") == 0
            stores.redis.delete(in_the_way)
            wait(lambda: all_taken(stores), "the consumer did not go on")
        assert [result["outcome"] for result in results(stores)] == ["accepted"]

    def test_results_are_kept_for_some_days(self, settings: Settings, stores: Stores, scope: Scope) -> None:
        key = stream_key(settings.kafka_item_results_topic, settings.installation)
        old = int((time.time() - (settings.item_results_days + 1) * 86_400) * 1000)
        with stores.redis.pipeline() as pipeline:
            for number in range(300):
                pipeline.xadd(key, {"v": "{}"}, id=f"{old}-{number + 1}")
            pipeline.execute()
        publish(stores, settings.kafka_item_ingest_topics[0], [item_message(scope, Item(item_id="i"))])
        consume(settings, stores)
        assert (
            len(list(stores.log.scan(settings.kafka_item_results_topic))) < 120
        )  # whole nodes of the stream go, about 100 entries

    def test_results_can_be_switched_off(self, settings: Settings, stores: Stores, scope: Scope) -> None:
        silent = settings.model_copy(update={"kafka_item_results_topic": ""})
        publish(stores, settings.kafka_item_ingest_topics[0], [item_message(scope, Item(item_id="i"))])
        running = consume(silent, stores)
        assert stores.items.count(scope) == 1
        assert running.measured("stage_seconds_count", stage="results") == 0
        assert results(stores) == []

    def test_it_serves_its_measures(self, settings: Settings, stores: Stores, scope: Scope) -> None:
        port = servers.free_port()
        publish(stores, settings.kafka_event_topic, [event_message(scope, event) for event in some_events(5)])
        environment = {**os.environ, **environment_of(settings), "LEMO_CONSUMER_METRICS_PORT": str(port)}
        process = subprocess.Popen(
            [sys.executable, "-m", "lemo.cli.main", "consumer"], env=environment, stdout=subprocess.DEVNULL
        )

        def served() -> list[str]:
            try:
                return httpx.get(f"http://{LOOPBACK}:{port}/metrics", trust_env=False).text.splitlines()
            except httpx.TransportError:
                return []

        wait(lambda: 'lemo_consumer_records_total{kind="events"} 5.0' in served(), "its measures are not served")
        assert scope.tenant_id not in "".join(served())
        process.terminate()
        assert process.wait(PATIENCE) == 0

    def test_it_stops_promptly_while_an_engine_is_away(self, settings: Settings, scope: Scope) -> None:
        settings.clickhouse_url = SecretStr(f"http://{LOOPBACK}:{servers.free_port()}")
        with connected(settings, scope) as stores:
            publish(stores, settings.kafka_event_topic, [event_message(scope, event) for event in some_events(5)])
            process = start_process(settings)
            wait(
                lambda: bool(stores.redis.exists(stream_key(settings.kafka_event_topic, settings.installation))),
                "no log",
            )
            process.send_signal(signal.SIGTERM)
            process.wait(10)
            assert left_of(stores) == 5
