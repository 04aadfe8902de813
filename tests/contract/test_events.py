"""The store of events against ClickHouse's HTTP interface."""

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import clickhouse_connect
import pytest

from lemo.domain.errors import EngineUnavailable
from lemo.domain.event import Event
from lemo.domain.event_columns import EventColumns
from lemo.domain.scope import Scope
from lemo.domain.time import milliseconds
from lemo.stores.clickhouse.aggregates import Aggregates, hour_of
from lemo.stores.clickhouse.events import _MIGRATIONS, UNDER_WAY_MS, Events
from lemo.stores.clickhouse.one_id_form import ONE_ID_FORM

START = 1_600_000_000_000


@pytest.fixture(scope="module")
def events(clickhouse_url: str) -> Iterator[Events]:
    store = Events(clickhouse_url, "lemo test `events`")
    store.migrate()
    yield store
    store.close()


def event(second: int = 0, **fields: Any) -> Event:
    return Event(**({"user_id": "u", "item_id": "i", "action": "click", "timestamp": START + second * 1000} | fields))


def test_migrating_again_changes_nothing(events: Events, scope: Scope) -> None:
    events.insert([(scope, event())])
    events.migrate()
    assert events.count(scope) == 1


def test_tables_of_an_older_version_keep_their_events(clickhouse_url: str, scope: Scope) -> None:
    database = f"old_{uuid.uuid4().hex[:12]}"
    client = clickhouse_connect.get_client(dsn=clickhouse_url)
    client.command(f"CREATE DATABASE {database}")
    client.command(
        f"CREATE TABLE {database}.schema_version (version UInt32, applied_at DateTime64(3, 'UTC') DEFAULT now64(3)) "
        "ENGINE = ReplacingMergeTree ORDER BY version"
    )
    client.command(f"INSERT INTO {database}.schema_version (version) VALUES (1)")
    client.command(
        f"CREATE TABLE {database}.events (tenant_id LowCardinality(String), scenario_id LowCardinality(String), "
        "event_id String, user_id String, item_id String, action LowCardinality(String), "
        "timestamp DateTime64(3, 'UTC'), value Nullable(Float64), request_id String, position Nullable(UInt32), "
        "device LowCardinality(String), attributes String, ingested_at DateTime64(3, 'UTC') DEFAULT now64(3)) "
        "ENGINE = ReplacingMergeTree(ingested_at) ORDER BY (tenant_id, scenario_id, event_id)"
    )
    store = Events(clickhouse_url, database)
    written = [event(second, value=1.5, attributes={"a": second}) for second in range(5)]
    store.insert([(scope, each) for each in written])
    aggregates = Aggregates(clickhouse_url, database)
    for _ in range(2):  # the second time as after a crash before the version was written down
        store.migrate()
        assert store.history(scope, "u", 10) == written[::-1]
        assert aggregates.counts(scope, "day")[0].events == 5
        client.command(f"ALTER TABLE {database}.schema_version DELETE WHERE version > 1 SETTINGS mutations_sync = 1")
    store.migrate()
    for epoch in aggregates.abandoned(600):
        aggregates.refresh(epoch)
    assert aggregates.abandoned(0) == []
    assert aggregates.counts(scope, "day")[0].events == 5
    store.migrate()
    assert aggregates.abandoned(0) == [], "what is counted is not marked again"
    aggregates.close()
    store.close()
    client.command(f"DROP DATABASE {database}")
    client.close()


def test_ids_that_were_stored_in_another_form_get_the_one_form(clickhouse_url: str, scope: Scope) -> None:
    database = f"old_{uuid.uuid4().hex[:12]}"
    client = clickhouse_connect.get_client(dsn=clickhouse_url)
    store, aggregates = Events(clickhouse_url, database), Aggregates(clickhouse_url, database)
    store.migrate()
    columns = EventColumns.of((scope, event(second, item_id=f"i{second}")) for second in range(3))
    columns.user_id[0], columns.item_id[1] = "Jose\u0301", " cafe\u0301 "
    aggregates.mark("1", [(scope, hour_of(START))])
    store.insert(columns)
    aggregates.refresh("1")
    for _ in range(2):  # the second time as after a crash before the version was written down
        reached = _MIGRATIONS.index(ONE_ID_FORM)
        again = f"DELETE WHERE version > {reached} SETTINGS mutations_sync = 1"
        client.command(f"ALTER TABLE {database}.schema_version {again}")
        store.migrate()
        rows = store.interactions(scope).to_pylist()
        assert [(row["user_id"], row["item_id"]) for row in rows] == [("José", "i0"), ("u", "café"), ("u", "i2")]
    for epoch in aggregates.abandoned(600):
        aggregates.refresh(epoch)
    assert [(day.events, day.users) for day in aggregates.counts(scope, "day")] == [(3, 2)]
    aggregates.close()
    store.close()
    client.command(f"DROP DATABASE {database}")
    client.close()


def test_hours_from_before_there_were_aggregates_are_counted_after_an_upgrade(
    clickhouse_url: str, scope: Scope
) -> None:
    """As 0.x left it: tables of aggregates that hold what came since they were made, and nothing of before."""
    database = f"old_{uuid.uuid4().hex[:12]}"
    client = clickhouse_connect.get_client(dsn=clickhouse_url)
    store, aggregates = Events(clickhouse_url, database), Aggregates(clickhouse_url, database)
    store.migrate()
    before, since = [event(second) for second in range(5)], [event(86_400 + second) for second in range(3)]
    whole = Scope(scope.tenant_id, "whole")
    store.insert([(scope, each) for each in before])
    for one in (scope, whole):
        aggregates.mark("1", [(one, hour_of(milliseconds(since[0].timestamp)))])
        store.insert([(one, each) for each in since])
    aggregates.refresh("1")
    assert [day.events for day in aggregates.counts(scope, "day")] == [3], "an old version would have left this"
    client.command(f"ALTER TABLE {database}.schema_version DELETE WHERE version > 3 SETTINGS mutations_sync = 1")

    store.migrate()
    assert [day.events for day in aggregates.counts(scope, "day")] == [3, 5]
    marked = client.query(f"SELECT DISTINCT scenario_id FROM {database}.events_marks").result_rows
    names = {scenario_id for (scenario_id,) in marked}
    assert names == {scope.scenario_id, "whole"}, "days of analytics are counted everywhere"
    for epoch in aggregates.abandoned(600):
        aggregates.refresh(epoch)
    assert aggregates.abandoned(0) == []
    assert [day.events for day in aggregates.counts(scope, "day")] == [3, 5]
    aggregates.close()
    store.close()
    client.command(f"DROP DATABASE {database}")
    client.close()


def test_consumers_that_start_together_lose_nothing(clickhouse_url: str, scope: Scope) -> None:
    """Each migrates and writes at once; one that is late must not take away what another has written."""
    stores = [Events(clickhouse_url, f"together_{scope.scenario_id}") for _ in range(4)]

    def start(number: int) -> None:
        stores[number].migrate()
        stores[number].insert([(scope, event(number))])

    with ThreadPoolExecutor(len(stores)) as threads:
        list(threads.map(start, range(len(stores))))
    assert stores[0].count(scope) == len(stores)
    for store in stores:
        store.close()


def test_of_an_id_that_comes_again_the_first_event_stays(events: Events, scope: Scope) -> None:
    first = event(0, event_id="e", item_id="first")
    for one in (first, event(5, event_id="e", item_id="second")):
        events.insert([(scope, one)])
    assert events.history(scope, "u", 10) == [first]


def test_an_event_comes_back_whole(events: Events, scope: Scope) -> None:
    odd = "中 / \" ' \\ \n\t\0 {x:String} %s"
    written = event(
        user_id=odd,
        item_id=odd,
        value=4.5,
        request_id=odd[:10],
        position=3,
        device="手机",
        attributes={"a": [1, {"b": None}], odd: odd},
        event_id=odd,
    )
    assert events.insert([(scope, written)]) == 1
    assert events.history(scope, odd, 10) == [written]
    assert events.history(scope, "u", 10) == []
    plain = event(user_id="plain")
    events.insert([(scope, plain)])
    assert events.history(scope, "plain", 10) == [plain]


def test_all_events_come_back_in_pages_in_the_order_of_time(events: Events, scope: Scope) -> None:
    written = [event(n // 3, event_id=f"{n % 7}-{n}", user_id=f"u{n}") for n in range(20)]
    events.insert([(scope, each) for each in reversed(written)])
    ordered = sorted(written, key=lambda each: (each.timestamp, each.event_id))
    for page in (1, 3, 7, 20, 21, 100):
        found = list(events.all_rows(scope, page))
        assert [row["event_id"] for row in found] == [each.event_id for each in ordered]


def test_an_event_counts_once_however_often_it_is_written(events: Events, scope: Scope) -> None:
    rows = [(scope, event(second, user_id=f"u{second % 3}")) for second in range(20)]
    for _ in range(3):
        assert events.insert(rows) == 20
    assert events.count(scope) == 20
    assert events.count_users(scope) == 3
    assert len(events.interactions(scope)) == 20
    assert len(events.history(scope, "u0", 100)) == 7
    assert events.active_users(scope, limit=2) == ["u0", "u1"]
    assert events.active_users(scope) == ["u0", "u1", "u2"]
    assert events.active_users(scope, since_ms=START + 18_000) == ["u0", "u1"]
    assert events.recent_users(scope) == ["u1", "u0", "u2"]
    assert events.recent_users(scope, "U2") == ["u2"]


def test_now_is_where_activity_is_and_not_the_newest_event(events: Events, scope: Scope) -> None:
    assert events.now(scope) is None
    events.insert([(scope, event(second, user_id=f"u{second}")) for second in range(30)])
    stray = event(5 * 365 * 86_400, user_id="stray")
    events.insert([(scope, stray)])
    # One in ten of 31 users may act later.
    assert events.now(scope) == START + 27_000
    assert events.newest(scope) == START + 5 * 365 * 86_400_000


def test_interactions_are_ordered_and_typed(events: Events, scope: Scope) -> None:
    events.insert([(scope, event(second, value=second or None)) for second in (5, 3, 0)])
    events.insert([(scope, event(3, event_id="b")), (scope, event(3, event_id="a"))])
    table = events.interactions(scope)
    assert {field.name: str(field.type) for field in table.schema} == {
        "user_id": "string",
        "item_id": "string",
        "action": "string",
        "value": "double",
        "timestamp": "int64",
        "event_id": "string",
    }
    rows = table.to_pylist()
    assert [row["timestamp"] for row in rows] == [START, *[START + 3000] * 3, START + 5000]
    assert [(row["timestamp"], row["event_id"]) for row in rows] == sorted(
        (row["timestamp"], row["event_id"]) for row in rows
    )
    assert rows[0]["value"] is None
    assert rows[-1]["value"] == 5.0
    assert [row["timestamp"] for row in events.interactions(scope, until_ms=START + 3000).to_pylist()] == [START]
    assert len(events.interactions(Scope("nobody", "nothing"))) == 0


def test_what_was_taken_in_since_a_moment_comes_again_rather_than_never(events: Events, scope: Scope) -> None:
    rows = [(scope, event(second, value=second or None)) for second in range(5)]
    for _ in range(2):
        events.insert(rows)
    everything, then = events.taken_in(scope)
    assert everything.column_names == ["user_id", "item_id", "action", "value", "timestamp"]
    assert sorted(everything.column("timestamp").to_pylist()) == [START + second * 1000 for second in range(5)]
    # Whatever is as old as the events may be: it counts when the store took it in.
    events.insert([(scope, event(-1000)), rows[3]])
    since, later = events.taken_in(scope, then)
    assert {START - 1_000_000, START + 3000} <= set(since.column("timestamp").to_pylist())
    assert later >= then
    nothing, _ = events.taken_in(scope, then + 10 * UNDER_WAY_MS)
    assert len(nothing) == 0
    assert len(events.taken_in(Scope("nobody", "nothing"))[0]) == 0


def test_arrivals_are_counted_by_the_minute_and_once(events: Events, scope: Scope) -> None:
    assert events.arrivals(scope, 3) == [0, 0, 0]
    events.insert([(scope, event(second)) for second in range(5)])
    events.insert([(scope, event(0))])
    arrived = events.arrivals(scope, 3)
    # A minute may have ended meanwhile.
    assert len(arrived) == 3
    assert sum(arrived) == 5
    events.insert([(Scope(scope.tenant_id, "another"), event(0))])
    assert sum(events.arrivals(scope, 3)) == 5
    assert sum(events.arrivals(scope.tenant, 3)) == 6


def test_newest(events: Events, scope: Scope) -> None:
    assert events.newest(scope) is None
    assert events.count(scope) == 0
    events.insert([(scope, event(7)), (scope, event(9)), (scope, event(1))])
    assert events.newest(scope) == START + 9000


def test_moments_from_decades_keep_their_milliseconds(events: Events, scope: Scope) -> None:
    moments = [datetime(1990, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 0, 0, 0, 123_000, tzinfo=UTC)]
    events.insert([(scope, event(timestamp=moment)) for moment in moments])
    assert [one.timestamp for one in events.history(scope, "u", 10)] == moments[::-1]


def test_histories_hold_each_interaction_once_newest_first(events: Events, scope: Scope) -> None:
    rows = [
        *[event(second, user_id="often", item_id="same") for second in range(5)],
        event(10, user_id="often", item_id="rated", action="rate", value=3),
        event(11, user_id="often", item_id="rated", action="rate", value=8),
        event(12, user_id="often", item_id="liked", action="like"),
        event(0, user_id="gone"),
        event(20, user_id="back", item_id="new"),
        event(1, user_id="back", item_id="old"),
        *[event(30 + second, user_id="back", item_id=f"shown{second}", action="impression") for second in range(3)],
    ]
    in_history = ("click", "like", "rate")
    events.insert([(scope, row) for row in rows])
    table = events.histories(scope, START + 2000, 3, in_history)
    assert table.column_names == ["user_id", "item_id", "action", "value", "timestamp"]
    assert [tuple(row.values()) for row in table.to_pylist()] == [
        ("back", "new", "click", None, START + 20_000),
        ("back", "old", "click", None, START + 1000),
        ("often", "liked", "like", None, START + 12_000),
        ("often", "rated", "rate", 8.0, START + 11_000),
        ("often", "rated", "rate", 3.0, START + 10_000),
    ]
    everything = events.histories(scope, START, 10, in_history).to_pylist()
    assert [row["timestamp"] for row in everything if row["item_id"] == "same"] == [START + 4000]


def test_a_scope_sees_and_deletes_only_its_own(events: Events, scope: Scope) -> None:
    others = [Scope(scope.tenant_id, "other"), Scope(f"x{uuid.uuid4().hex[:8]}", scope.scenario_id)]
    for one in (scope, *others):
        events.insert([(one, event(second)) for second in range(10)])
    events.delete_before(scope, START + 4000)
    assert events.newest(scope) == START + 9000
    assert events.count(scope) == 6
    events.delete_scope(scope)
    assert events.count(scope) == 0
    assert [events.count(one) for one in others] == [10, 10]


def test_nothing_to_write_is_fine(events: Events) -> None:
    assert events.insert([]) == 0


def test_ping_names_the_engine(events: Events) -> None:
    assert events.ping().startswith("ClickHouse ")


def test_without_a_server_it_is_unavailable_and_keeps_the_password_to_itself(free_port: int) -> None:
    away = Events(f"http://user:hush%20hush@127.0.0.1:{free_port}", "lemo")
    for call in (away.ping, away.migrate, lambda: away.insert([(Scope("t", "s"), event())])):
        with pytest.raises(EngineUnavailable) as caught:
            call()
        assert "hush" not in str(caught.value)
        assert str(free_port) in str(caught.value)


def test_users_are_counted_by_the_events_that_count(events: Events, scope: Scope) -> None:
    for one in (event(0, event_id="e", user_id="first"), event(5, event_id="e", user_id="second")):
        events.insert([(scope, one)])
    assert (events.count(scope), events.count_users(scope)) == (1, 1)
    assert events.active_users(scope) == ["first"]


def test_of_an_id_that_comes_twice_in_one_block_the_first_event_stays(events: Events, scope: Scope) -> None:
    first = event(0, event_id="e", item_id="first")
    events.insert([(scope, first), (scope, event(5, event_id="e", item_id="second"))])
    assert events.history(scope, "u", 10) == [first]
