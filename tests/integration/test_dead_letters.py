"""Dead letters: every kind of bad message becomes one, and can be replayed once its cause is fixed."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from consumers import BOTH, connected, consume, consumer_settings, letters, publish, some_events
from lemo.domain.errors import NotFound
from lemo.domain.item import Item
from lemo.domain.scenario import scenario_from_template
from lemo.domain.scope import Scope
from lemo.ingest.batch import read_batch
from lemo.ingest.scenario_cache import ScenarioCache
from lemo.settings import Settings
from lemo.stores.connect import Stores
from lemo.streams import Message, Record
from lemo.streams.dead_letters import dead_letter, read_dead_letter
from lemo.streams.messages import BadMessage, event_message, item_message
from lemo.streams.topics import Topics
from sites import running_api

LETTERS = "/v1/dead-letters"


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


def test_many_letters_of_other_tenants_hide_none(
    stores: Stores, scope: Scope, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list that is bounded is filtered before it is trimmed."""
    monkeypatch.setattr("lemo.stores.dead_letters.LISTED", 5)
    record = Record(settings.kafka_event_topic, 0, "1", 0, b"{", b"k", {})
    mine = [
        dead_letter(record, BadMessage("is no good"), tenant_id=scope.tenant_id, scenario_id="", part=n)
        for n in range(7)
    ]
    theirs = [
        dead_letter(record, BadMessage("is no good"), tenant_id="another", scenario_id="", part=n) for n in range(60)
    ]
    publish(stores, settings.kafka_dead_letter_topic, [*mine[:6], *theirs[:30], mine[6], *theirs[30:]])
    found = [letter.id for letter in letters(stores, scope.tenant_id)]
    assert len(found) == len(set(found)) == 5


@pytest.mark.parametrize("engine", ["redis", "kafka"])
def test_every_kind_of_bad_item_message_becomes_a_dead_letter(settings: Settings, stores: Stores, scope: Scope) -> None:
    body = {"tenant_id": scope.tenant_id, "scenario_id": scope.scenario_id, "item_id": "i"}

    def changed(**fields: Any) -> bytes:
        return json.dumps(body | fields).encode()

    bad = {
        b"{": "not-json",
        b'\xff{"a": 1}': "not-json",
        changed(price=float("nan")): "not-json",
        changed(title="x" * 1_000_100): "too-large",
        changed(tenant_id="nobody"): "unknown-tenant",
        changed(tenant_id=7): "invalid",
        changed(scenario_id="nowhere"): "unknown-scenario",
        changed(published_at=1_641_600): "implausible-time",
        changed(published_at=[]): "invalid",
        changed(item_id=None): "invalid",
        changed(tags=7): "invalid",
    }
    topic = settings.kafka_item_ingest_topics[0]
    publish(stores, topic, [Message(value) for value in bad] + [Message(changed(item_id="good"))])
    consume(settings, stores)
    assert [item.item_id for item in stores.items.scan(scope)] == ["good"]
    found = {letter.message.value: letter.fault for letter in letters(stores, scope.tenant_id) + letters(stores, "")}
    assert found == bad


def test_an_event_that_was_in_the_future_stays_refused(settings: Settings, stores: Stores, scope: Scope) -> None:
    """A replay of the log decides as the first run did, although the clock has gone on."""
    early = some_events(1)[0].model_copy(update={"timestamp": datetime.now(UTC) + timedelta(minutes=59)})
    publish(stores, settings.kafka_event_topic, [event_message(scope, early)])
    consume(settings, stores)
    assert stores.events.count(scope) == 1
    record = Record(settings.kafka_event_topic, 0, "1", 0, event_message(scope, early).value, b"", {})
    (refused,) = read_batch(
        [record], Topics(settings), ScenarioCache(stores.tenants, stores.scenarios), stores.user_changes
    ).dead
    assert refused.headers["lemo-fault"] == b"implausible-time"


def test_a_letter_tells_what_came_and_what_kafka_connect_would_tell() -> None:
    record = Record("t", 3, "17", 5, b"\xff", b"key", {"trace": b"1", "lemo-tenant": b"spoofed", "lemo-fault": b"x"})
    try:
        raise BadMessage("It is bad.", Scope("a", "b"), "too-large")
    except BadMessage as error:
        message = dead_letter(record, error, tenant_id="a", scenario_id="b")
    told = {name.removeprefix("__connect.errors."): value for name, value in message.headers.items()}
    assert b"test_dead_letters.py" in told.pop("exception.stacktrace")
    assert told == {
        "trace": b"1",
        "topic": b"t",
        "partition": b"3",
        "offset": b"17",
        "connector.name": b"lemo-consumer",
        "task.id": b"0",
        "stage": b"VALUE_CONVERTER",
        "class.name": b"lemo.streams.messages",
        "exception.class.name": b"lemo.streams.messages.BadMessage",
        "exception.message": b"It is bad.",
        "lemo-tenant": b"a",
        "lemo-scenario": b"b",
        "lemo-fault": b"too-large",
    }
    letter = read_dead_letter(Record("dead", 0, "1", 9, message.value, message.key, message.headers))
    assert letter.message == Message(b"\xff", b"key", {"trace": b"1"})
    assert (letter.id, letter.fault, letter.tenant_id, letter.refused_at) == ("t:3:17", "too-large", "a", 9)


def test_replay_after_the_cause_was_mended(settings: Settings, stores: Stores, scope: Scope) -> None:
    """A scenario that is made too late: its letters go on their way, the others stay, and what fails comes back."""
    late, topic = Scope(scope.tenant_id, "late"), settings.kafka_event_topic
    events = some_events(600)
    wrong = json.dumps(json.loads(event_message(late, events[0]).value) | {"action": "juggle"}).encode()
    publish(stores, topic, [*(event_message(late, event) for event in events), Message(wrong, b"key", {"trace": b"1"})])
    publish(stores, settings.kafka_item_ingest_topics[0], [item_message(late, Item(item_id="i"))])
    publish(stores, topic, [event_message(Scope(scope.tenant_id, "other"), events[0]), Message(b"broken")])
    consume(settings, stores)
    assert len(letters(stores, scope.tenant_id)) == 603
    stores.scenarios.create(late.tenant_id, scenario_from_template(late.scenario_id, "vlog"))

    done = stores.dead_letters.replay(scope.tenant_id, None, "late", "unknown-scenario")
    assert done.by_topic == {topic: 601, settings.kafka_item_ingest_topics[0]: 1}
    assert [letter.scenario_id for letter in letters(stores, scope.tenant_id)] == ["other"]
    assert stores.dead_letters.count_waiting([scope.tenant_id])[0] == 2
    consume(settings, stores)
    assert stores.events.count(late) == 600
    assert [item.item_id for item in stores.items.scan(late)] == ["i"]
    (again,) = stores.dead_letters.waiting_of(scope.tenant_id, "late")
    assert (again.fault, again.message) == ("unknown-action", Message(wrong, b"key", {"trace": b"1"}))

    # Twice is harmless: by id, also one that was replayed before; a second replay by filter finds none.
    first = stores.dead_letters.get(scope.tenant_id, next(iter_ids(stores, settings, scope)))
    assert stores.dead_letters.replay(scope.tenant_id, [first.id]).count == 1
    assert stores.dead_letters.replay(scope.tenant_id, None, "late", "unknown-scenario").count == 0
    consume(settings, stores)
    assert stores.events.count(late) == 600
    with pytest.raises(NotFound, match="nothing was replayed"):
        stores.dead_letters.replay("another", [first.id, again.id])


def iter_ids(stores: Stores, settings: Settings, scope: Scope) -> Iterator[str]:
    for record in stores.log.scan(settings.kafka_dead_letter_topic):
        letter = read_dead_letter(record)
        if letter.tenant_id == scope.tenant_id and letter.fault == "unknown-scenario" and letter.scenario_id == "late":
            yield letter.id


@pytest.mark.parametrize("engine", ["redis"])
class TestOverHttp:
    """The same for the tenant of the key."""

    def test_list_show_and_replay(self, settings: Settings, stores: Stores, scope: Scope) -> None:
        publish(stores, settings.kafka_event_topic, [Message(b"broken"), event_message(scope, some_events(1)[0])])
        unknown = [event_message(Scope(scope.tenant_id, f"s{number}"), some_events(1)[0]) for number in range(3)]
        publish(stores, settings.kafka_event_topic, unknown)
        consume(settings, stores)
        stores.tenants.create(f"{scope.tenant_id}-2")
        key, other = stores.api_keys.create(scope.tenant_id).key, stores.api_keys.create(f"{scope.tenant_id}-2").key
        with (
            running_api(Stores(settings)) as address,
            httpx.Client(base_url=address, headers={"Authorization": f"Bearer {key}"}) as http,
        ):
            listed = http.get(LETTERS, params={"limit": 2}).json()
            assert listed["waiting"] == 3
            assert [letter["scenario_id"] for letter in listed["dead_letters"]] == ["s2", "s1"]
            (one,) = http.get(LETTERS, params={"scenario": "s1", "reason": "no SCENARIO"}).json()["dead_letters"]
            assert one["fault"] == "unknown-scenario"
            whole = http.get(f"{LETTERS}/show", params={"id": one["id"]}).json()
            assert whole["value"].encode() == unknown[1].value
            theirs = {"Authorization": f"Bearer {other}"}
            assert http.get(LETTERS, headers=theirs).json() == {"dead_letters": [], "waiting": 0}
            assert http.get(f"{LETTERS}/show", params={"id": one["id"]}, headers=theirs).status_code == 404
            assert http.post(f"{LETTERS}/replay", json={"ids": [one["id"]]}, headers=theirs).status_code == 404
            assert http.post(f"{LETTERS}/replay", json={"all": True}, headers=theirs).json()["replayed"] == 0
            for wrong in ({}, {"all": True, "ids": []}, {"ids": [one["id"]], "scenario": "s1"}, {"what": 1}):
                assert http.post(f"{LETTERS}/replay", json=wrong).status_code == 422
            done = http.post(f"{LETTERS}/replay", json={"ids": [one["id"]]}).json()
            assert done == {"replayed": 1, "by_topic": {settings.kafka_event_topic: 1}, "left": {}}
            assert http.post(f"{LETTERS}/replay", json={"all": True, "scenario": "s0"}).json()["replayed"] == 1
            assert [each["scenario_id"] for each in http.get(LETTERS).json()["dead_letters"]] == ["s2"]
