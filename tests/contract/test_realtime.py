"""Real time from ClickHouse's events equals the pure definitions: after repeats, late events, merges, in any order."""

import json
import random
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from lemo.diagnostics.realtime_metrics import Placements
from lemo.domain.counting import goal_of
from lemo.domain.event import Event
from lemo.domain.interaction import interaction_weight
from lemo.domain.realtime import (
    HALF_LIVES,
    Act,
    MinuteRow,
    SessionRow,
    hot_levels,
    minute_of,
    minutes,
    placement_of,
    sessionised,
)
from lemo.domain.scenario import scenario_from_template
from lemo.domain.scope import Scope
from lemo.domain.time import milliseconds
from lemo.jobs.realtime import aggregate
from lemo.jobs.report import unattended
from lemo.settings import Settings
from lemo.stores.clickhouse import realtime as module
from lemo.stores.connect import Stores
from lemo.users.merge import merge_users

RULES = scenario_from_template("shop", "ecommerce")
GOAL = goal_of(RULES)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory, redis_url: str, clickhouse_url: str) -> Iterator[Stores]:
    home: Path = tmp_path_factory.mktemp("realtime")
    stores = Stores(Settings(home=home, redis_url=redis_url, clickhouse_url=clickhouse_url))
    stores.events.migrate()
    yield stores
    stores.close()


@pytest.fixture
def shop(stores: Stores) -> Scope:
    scope = Scope(f"tenant-{uuid.uuid4().hex[:12]}", "shop")
    stores.tenants.create(scope.tenant_id)
    stores.scenarios.create(scope.tenant_id, RULES)
    return scope


def events_of(seed: int, count: int, now_ms: int) -> list[Event]:
    """Events of the last day and a half; some have the id of another one, whose row came first."""
    draw = random.Random(seed)
    found: list[Event] = []
    for number in range(count):
        moment = now_ms - int(draw.expovariate(1 / 14_400_000)) - 1
        attributes = {"placement": draw.choice(["home", "cart/首页", ""])} if draw.random() < 0.8 else {"placement": 3}
        action = draw.choice(["impression", "view", "click", "cart", "order", "rate", "not_interested"])
        value = draw.choice([None, 2.0, 4.0, 12.5]) if action in ("order", "rate") else None
        found.append(
            Event(
                event_id=f"e{number if draw.random() < 0.95 or not number else number - 1}",
                user_id=f"u{draw.randrange(8)}",
                item_id=f"i{draw.randrange(20)}",
                action=action,
                timestamp=moment / 1000,
                value=value,
                attributes=attributes,
            )
        )
    return found


def act_of(event: Event) -> Act:
    """An event as real time sees it."""
    least = GOAL.get(event.action)
    converts = least is not None and (event.value is None or event.value >= least)
    return Act(
        event.event_id,
        event.user_id,
        event.item_id,
        event.action,
        milliseconds(event.timestamp),
        placement_of(event.attributes.get("placement")),
        (event.value or 0.0) if converts else 0.0,
        converts,
        interaction_weight(RULES.actions.get(event.action), event.value),
    )


def counted(stores: Stores, scope: Scope) -> list[Act]:
    """The events that the store shows, each once."""
    rows = stores.events.all_rows(scope)
    fields = ("event_id", "user_id", "item_id", "action", "value")
    return [
        act_of(
            Event.model_validate(
                {name: row[name] for name in fields}
                | {"timestamp": row["timestamp"] / 1000, "attributes": json.loads(row["attributes"] or "{}")}
            )
        )
        for row in rows
    ]


def expected_sessions(acts: list[Act]) -> list[SessionRow]:
    users = sorted({act.user_id for act in acts})
    return [row for user in users for row in sessionised(act for act in acts if act.user_id == user)]


def check(stores: Stores, scope: Scope, now_ms: int) -> None:
    acts = counted(stores, scope)
    assert stores.realtime.sessions(scope) == expected_sessions(acts)
    assert stores.realtime.minutes(scope) == minutes(acts)
    for name, seconds in HALF_LIVES.items():
        recent = [act for act in acts if act.at_ms > now_ms - 86_400_000]
        found = dict(stores.hot_scores.read(scope, name, 100).levels)
        assert found == pytest.approx(hot_levels(recent, seconds), rel=1e-12, abs=1e-6)


@pytest.mark.parametrize("many", [1_000_000, 0], ids=["by ids", "merged as a whole"])
def test_run_by_run_the_tables_are_what_the_definitions_say(
    stores: Stores, shop: Scope, monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    monkeypatch.setattr(module, "MANY_EVENTS", many)
    monkeypatch.setattr("lemo.jobs.realtime.BUCKET_EVENTS", 60)
    now = time.time_ns() // 1_000_000
    events = events_of(7, 240, now)
    for part in (events[:120], events[100:200], events[190:]):  # late ones in each, and repeats
        stores.events.insert([(shop, event) for event in part])
        done = aggregate(stores, shop, unattended())
        assert done.rows_written > 0
        check(stores, shop, now)
    again = aggregate(stores, shop, unattended(full=True))
    assert again.rows_written == 0, "a second time changes nothing"
    check(stores, shop, now)
    assert len({act.user_id for act in counted(stores, shop)}) == 8


def test_rows_of_fewer_events_change_nothing_whoever_writes_them(stores: Stores, shop: Scope) -> None:
    now = time.time_ns() // 1_000_000
    stores.events.insert([(shop, event) for event in events_of(3, 90, now)])
    aggregate(stores, shop, unattended())
    acts = counted(stores, shop)
    fewer = acts[::2]
    stores.realtime.insert_sessions([(shop, row) for row in expected_sessions(fewer)])
    stores.realtime.insert_minutes([(shop, row) for row in minutes(fewer)])
    stores.minute_metrics.put(shop, minutes(fewer))
    lower = {name: hot_levels(fewer, seconds) for name, seconds in HALF_LIVES.items()}
    stores.hot_scores.raise_to(shop, lower, now - 60_000)
    check(stores, shop, now)
    assert stores.hot_scores.read(shop, "1h", 1).until_ms >= now
    (last,) = minutes(acts)[-1:]
    assert last in stores.minute_metrics.read([shop], [last.minute])[shop]


def test_prometheus_is_told_of_each_placement_of_the_last_minutes(stores: Stores, shop: Scope) -> None:
    last = minute_of(time.time_ns() // 1_000_000) - 60
    # The minute that runs and one of an hour ago do not count.
    rows = [
        MinuteRow(minute, placement, 9, 5, 3, 1, 2.5)
        for minute in (last + 60, last, last - 60, last - 120, last - 3600)
        for placement in ("home", "")
    ]
    stores.minute_metrics.put(shop, rows)
    found = {
        (sample.name, sample.labels["placement"]): sample.value
        for metric in Placements(stores).collect()
        for sample in metric.samples
        if sample.labels["tenant"] == shop.tenant_id and sample.labels["scenario"] == shop.scenario_id
    }
    minutes_seen = found["lemo_placement_impressions", "home"] / 5
    assert minutes_seen in (3, 4)  # the running one is whole as soon as the next one begins
    for placement in ("home", ""):
        told = [
            found[f"lemo_placement_{name}", placement] for name in ("impressions", "clicks", "conversions", "value")
        ]
        assert told == [each * minutes_seen for each in (5, 3, 1, 2.5)]
    assert len(found) == 8


def test_flinks_rows_alone_are_completed_by_the_next_run(stores: Stores, shop: Scope) -> None:
    now = time.time_ns() // 1_000_000
    stores.events.insert([(shop, event) for event in events_of(5, 60, now)])
    acts = counted(stores, shop)
    stores.realtime.insert_sessions([(shop, row) for row in expected_sessions(acts)])
    stores.realtime.insert_minutes([(shop, row) for row in minutes(acts[:40])])
    done = aggregate(stores, shop, unattended())
    assert done.detail["session_rows"] == 0, "what Flink wrote is not written again"
    assert done.detail["minute_rows"] > 0
    check(stores, shop, now)


def test_a_merged_user_has_the_sessions_of_both(stores: Stores, shop: Scope) -> None:
    now = time.time_ns() // 1_000_000
    stores.events.insert([(shop, event) for event in events_of(11, 90, now)])
    aggregate(stores, shop, unattended())
    merge_users(stores, shop.tenant_id, "u1", "u2")
    aggregate(stores, shop, unattended())
    assert {row.user_id for row in stores.realtime.sessions(shop)} == {f"u{number}" for number in range(8)} - {"u1"}
    assert stores.realtime.sessions(shop) == expected_sessions(counted(stores, shop))


def test_a_scope_without_events_has_nothing(stores: Stores, shop: Scope) -> None:
    assert aggregate(stores, shop, unattended()).detail["why"]
    assert stores.realtime.minutes(shop) == []
    assert stores.hot_scores.read(shop, "10m", 5).levels == {}
    with pytest.raises(ValueError, match="none of 10m"):
        stores.hot_scores.read(shop, "2h", 5)
    assert MinuteRow(60, "", 1, 0, 0, 0, 0.0).ctr is None
