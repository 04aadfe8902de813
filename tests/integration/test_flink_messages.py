"""The consumer's side of Flink's jobs: accepted events go out, what the jobs compute comes in, in any order."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from consumers import connected, consume, consumer_settings, publish, some_events
from lemo.diagnostics.service_probes import probe_flink
from lemo.domain.errors import EngineUnavailable
from lemo.domain.realtime import HALF_LIVES, Act, hot_levels, minutes, sessionised
from lemo.domain.scope import Scope
from lemo.settings import Settings
from lemo.stores.connect import Stores
from lemo.stores.flink import Flink
from lemo.streams import Message
from lemo.streams.messages import BadMessage, event_message
from lemo.streams.realtime_messages import read_result
from lemo.users.erasure import erase_user


@pytest.fixture
def settings(request: pytest.FixtureRequest, tmp_path: Path, free_port: int) -> Settings:
    """An installation with Flink, of which nothing runs: this test is it."""
    settings = consumer_settings(request, "kafka", tmp_path)
    return settings.model_copy(update={"flink_url": f"http://127.0.0.1:{free_port}"})


@pytest.fixture
def stores(settings: Settings, scope: Scope) -> Iterator[Stores]:
    with connected(settings, scope) as opened:
        yield opened


def accepted(stores: Stores) -> list[Act]:
    bodies = [json.loads(record.value) for record in stores.log.scan(stores.settings.kafka_accepted_topic)]
    return [Act(**{name: body[name] for name in Act._fields}) for body in bodies]


def results_of(scope: Scope, acts: list[Act]) -> list[Message]:
    """What Flink's jobs make of some acts."""
    users = sorted({act.user_id for act in acts})
    rows = [row for user in users for row in sessionised(act for act in acts if act.user_id == user)]
    bodies: list[dict[str, Any]] = [{"kind": "session", **row._asdict()} for row in rows]
    bodies += [{"kind": "minute", **row._asdict()} for row in minutes(acts)]
    levels = {name: hot_levels(acts, seconds) for name, seconds in HALF_LIVES.items()}
    bodies += [
        {"kind": "hot", "item_id": item, "levels": {name: levels[name][item] for name in levels}, "until_ms": len(acts)}
        for item in levels["1h"]
    ]
    whose = {"tenant_id": scope.tenant_id, "scenario_id": scope.scenario_id}
    return [Message(json.dumps(whose | body).encode()) for body in bodies]


def test_what_flink_computes_arrives_whatever_the_order(settings: Settings, stores: Stores, scope: Scope) -> None:
    later = datetime.now(UTC) - some_events(60)[-1].timestamp  # minutes are kept for 90 days
    events = [each.model_copy(update={"timestamp": each.timestamp + later}) for each in some_events(60)]
    sent = [event_message(scope, event) for event in events]
    publish(stores, settings.kafka_event_topic, [*sent, *sent[:20], Message(b"{broken")])
    measured = consume(settings, stores).measured
    assert measured("stage_seconds_count", stage="accepted") >= 1
    acts = accepted(stores)
    assert {act.event_id for act in acts} == {event.event_id for event in events}, "no bad one"
    acts = list({act.event_id: act for act in acts}.values())
    assert {(act.action, act.weight, act.converts) for act in acts} == {
        ("click", 1.0, False),
        ("like", 3.0, True),
        ("rate", 0.0, False),
    }
    whole, part = results_of(scope, acts), results_of(scope, acts[:40])
    other = results_of(Scope(scope.tenant_id, "gone"), acts[:3])
    publish(
        stores, settings.kafka_realtime_topic, [*whole, *part, *other, *whole[::3], Message(b'{"kind": "session"}')]
    )
    measured = consume(settings, stores).measured
    assert measured("stage_seconds_count", stage="computed") >= 1
    users = sorted({act.user_id for act in acts})
    expected = [row for user in users for row in sessionised(act for act in acts if act.user_id == user)]
    assert stores.realtime.sessions(scope) == expected
    assert stores.realtime.minutes(scope) == minutes(acts)
    for name, seconds in HALF_LIVES.items():
        hot = stores.hot_scores.read(scope, name, 100)
        assert hot.levels == pytest.approx(hot_levels(acts, seconds), abs=1e-9)
        assert hot.until_ms == len(acts)
    erase_user(stores, scope.tenant_id, "u1", "test")
    publish(stores, settings.kafka_realtime_topic, whole)
    consume(settings, stores)
    assert {row.user_id for row in stores.realtime.sessions(scope)} == {act.user_id for act in acts} - {"u1"}


HOT = {"kind": "hot", "tenant_id": "t", "scenario_id": "s", "item_id": "i", "until_ms": 1}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"kind": "session", "tenant_id": "t"}, "scenario_id"),
        ({"kind": "nothing", "tenant_id": "t", "scenario_id": "s"}, "kind"),
        (
            {"kind": "hot", "tenant_id": "t", "scenario_id": "s", "item_id": "i", "levels": {"2h": 1}, "until_ms": 1},
            "10m",
        ),
    ],
    ids=["a field lacks", "another kind", "another half-life"],
)
def test_a_result_that_is_none_is_refused(body: dict[str, object], words: str) -> None:
    with pytest.raises(BadMessage, match=words):
        read_result(json.dumps(body).encode())


def test_a_flink_that_is_away_is_told(settings: Settings) -> None:
    assert probe_flink(settings).state == "missing"
    flink = Flink(settings.flink_url, 0.5)
    with pytest.raises(EngineUnavailable, match="did not answer GET /overview"):
        flink.overview()
    flink.close()
