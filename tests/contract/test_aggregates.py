"""Aggregates of events equal the raw events, deduplicated by id: after duplicates, replays, late events and deaths."""

import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lemo.domain.event import Event
from lemo.domain.scope import Scope
from lemo.domain.time import milliseconds
from lemo.stores.clickhouse import aggregates as module
from lemo.stores.clickhouse.aggregates import ALL, HOUR, Aggregates, Period, hour_of
from lemo.stores.clickhouse.events import Events

START = 1_600_002_000_000  # on the hour
DAY = 86_400
DATABASE = "lemo test `aggregates`"


@pytest.fixture(scope="module")
def events(clickhouse_url: str) -> Iterator[Events]:
    store = Events(clickhouse_url, DATABASE)
    store.migrate()
    yield store
    store.close()


@pytest.fixture(scope="module")
def aggregates(events: Events, clickhouse_url: str) -> Iterator[Aggregates]:
    store = Aggregates(clickhouse_url, DATABASE)
    yield store
    store.close()


def event(second: int, **fields: Any) -> Event:
    return Event(**({"user_id": "u", "item_id": "i", "action": "click", "timestamp": START + second * 1000} | fields))


def hours(scope: Scope, written: list[Event]) -> set[tuple[Scope, int]]:
    return {(scope, hour_of(milliseconds(each.timestamp))) for each in written}


def write(events: Events, aggregates: Aggregates, scope: Scope, written: list[Event], refresh: bool = True) -> str:
    """What a consumer does; without the refresh it died in between."""
    epoch = uuid.uuid4().hex
    aggregates.mark(epoch, hours(scope, written))
    events.insert([(scope, each) for each in written])
    if refresh:
        aggregates.refresh(epoch)
    return epoch


def expected(events: Events, scope: Scope, by: Period) -> list[tuple[int, int, int, int, dict[str, int]]]:
    """The counts of the raw events, which the store of events gives each once."""
    seconds = {"hour": HOUR, "day": DAY}[by]
    groups: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in events.interactions(scope).to_pylist():
        groups[row["timestamp"] // 1000 // seconds * seconds].append(row)
    return [
        (
            start,
            len(rows),
            len({row["user_id"] for row in rows}),
            len({row["item_id"] for row in rows}),
            dict(Counter(row["action"] for row in rows)),
        )
        for start, rows in sorted(groups.items(), reverse=True)
    ]


def counted(aggregates: Aggregates, scope: Scope, by: Period, **limits: int) -> list[Any]:
    return [
        (milliseconds(each.start) // 1000, each.events, each.users, each.items, each.actions)
        for each in aggregates.counts(scope, by, **limits)
    ]


def check(events: Events, aggregates: Aggregates, scope: Scope) -> None:
    for by in ("hour", "day"):
        assert counted(aggregates, scope, by) == expected(events, scope, by)


def test_hours_and_days_count_events_users_and_items(events: Events, aggregates: Aggregates, scope: Scope) -> None:
    assert aggregates.counts(scope, "day") == []
    written = [
        event(number * 700, user_id=f"u{number % 5}", item_id=f"i{number % 7}", action=("click", "like")[number % 2])
        for number in range(200)
    ]
    write(events, aggregates, scope, written)
    check(events, aggregates, scope)
    newest = aggregates.counts(scope, "hour", limit=3)
    assert len(newest) == 3
    assert newest[0].start > newest[1].start
    since = START + 10 * HOUR * 1000
    within = aggregates.counts(scope, "hour", since_ms=since, until_ms=since + 2 * HOUR * 1000)
    assert [milliseconds(each.start) for each in within] == [since + HOUR * 1000, since]


def test_others_events_are_not_counted(events: Events, aggregates: Aggregates, scope: Scope) -> None:
    others = [Scope(scope.tenant_id, "other"), Scope(f"x{uuid.uuid4().hex[:8]}", scope.scenario_id)]
    for one in (scope, *others):
        write(events, aggregates, one, [event(5)], refresh=one != others[1])
    for one in (scope, *others):
        assert [period.events for period in aggregates.counts(one, "hour")] == [1]


def test_an_id_that_comes_again_with_another_time_counts_where_it_was_first(
    events: Events, aggregates: Aggregates, scope: Scope
) -> None:
    write(events, aggregates, scope, [event(0, event_id="e"), event(10, event_id="f")])
    write(events, aggregates, scope, [event(5 * HOUR, event_id="e", user_id="v")])
    assert [(start, count) for start, count, *_ in counted(aggregates, scope, "hour")] == [(START // 1000, 2)]
    check(events, aggregates, scope)


def test_readers_are_exact_while_hours_are_marked(events: Events, aggregates: Aggregates, scope: Scope) -> None:
    write(events, aggregates, scope, [event(second) for second in range(0, 9_000, 1_000)])
    left = write(events, aggregates, scope, [event(second) for second in range(500, 9_500, 1_000)], refresh=False)
    check(events, aggregates, scope)
    assert left in aggregates.abandoned(0)
    assert left not in aggregates.abandoned(60)
    assert left not in aggregates.abandoned(0, "no such prefix")
    assert aggregates.refresh(left) == 3
    assert left not in aggregates.abandoned(0)
    assert aggregates.refresh(left) == 0
    check(events, aggregates, scope)


def test_two_writers_of_one_hour(events: Events, aggregates: Aggregates, scope: Scope) -> None:
    """The first to refresh has seen what the second wrote, or the second marks and refreshes the hour again."""
    one = write(events, aggregates, scope, [event(1)], refresh=False)
    two = write(events, aggregates, scope, [event(2)], refresh=False)
    aggregates.refresh(two)
    check(events, aggregates, scope)
    write(events, aggregates, scope, [event(3)])
    aggregates.refresh(one)
    check(events, aggregates, scope)


def test_deletion_takes_the_aggregates_along(events: Events, aggregates: Aggregates, scope: Scope) -> None:
    write(events, aggregates, scope, [event(second, action="view") for second in range(0, 3 * DAY, 5_000)])
    border = START + DAY * 1000 + 1_234_000
    with aggregates.changing(scope):
        events.delete_before(scope, border)
        check(events, aggregates, scope)
    check(events, aggregates, scope)
    with suppress(ZeroDivisionError), aggregates.changing(scope):
        events.delete_scope(scope)
        raise ZeroDivisionError  # it dies
    assert aggregates.counts(scope, "day") == []


def test_many_hours_at_once(
    events: Events, aggregates: Aggregates, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An import of years: the other way of computing gives the same."""
    for name in ("MANY_HOURS", "MANY_EVENTS"):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, 3)
            written = [event(number * 4_000, user_id=f"{name}{number % 4}") for number in range(30)]
            left = write(events, aggregates, scope, written, refresh=False)
            check(events, aggregates, scope)
            aggregates.refresh(left)
        check(events, aggregates, scope)


def test_a_whole_scope_can_be_marked(events: Events, aggregates: Aggregates, scope: Scope) -> None:
    events.insert([(scope, event(number * 1_000)) for number in range(20)])  # as before there were aggregates
    epoch = uuid.uuid4().hex
    aggregates.mark(epoch, [(scope, ALL)])
    check(events, aggregates, scope)
    aggregates.refresh(epoch)
    check(events, aggregates, scope)


batches = st.lists(
    st.tuples(
        st.lists(
            st.builds(
                lambda second, user, item, action, id: event(
                    second, user_id=f"u{user}", item_id=f"i{item}", action=action, event_id=id
                ),
                st.integers(0, 30 * HOUR),
                st.integers(0, 3),
                st.integers(0, 3),
                st.sampled_from(["click", "like"]),
                st.sampled_from(["", *(f"e{number}" for number in range(12))]),
            ),
            min_size=1,
            max_size=12,
        ),
        st.booleans(),
    ),
    min_size=1,
    max_size=4,
)


@hypothesis_settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=batches, replays=st.lists(st.integers(0, 3), max_size=2))
def test_whatever_is_written_again_late_or_by_who_dies(
    events: Events, aggregates: Aggregates, batches: list[tuple[list[Event], bool]], replays: list[int]
) -> None:
    scope = Scope(f"t{uuid.uuid4().hex[:12]}", "s")
    left = []
    for written, refresh in [*batches, *(batches[number % len(batches)] for number in replays)]:
        epoch = write(events, aggregates, scope, written, refresh)
        left += [] if refresh else [epoch]
    check(events, aggregates, scope)
    for epoch in left:
        aggregates.refresh(epoch)
    check(events, aggregates, scope)
