"""The consumer's part in the aggregates: they equal the events whenever it dies, and nothing stays marked for ever."""

import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from consumers import START, some_events, wait
from lemo.domain.event import Event
from lemo.domain.scope import Scope
from lemo.domain.time import milliseconds
from lemo.ingest import aggregation as module
from lemo.ingest.aggregation import Aggregation
from lemo.stores.clickhouse.aggregates import Aggregates, hour_of
from lemo.stores.clickhouse.events import Events


@pytest.fixture
def database() -> str:
    return f"aggregation_{uuid.uuid4().hex[:12]}"


@pytest.fixture
def events(clickhouse_url: str, database: str) -> Iterator[Events]:
    store = Events(clickhouse_url, database)
    store.migrate()
    yield store
    store.close()


@pytest.fixture
def aggregates(clickhouse_url: str, database: str, events: Events) -> Iterator[Aggregates]:
    store = Aggregates(clickhouse_url, database)
    yield store
    store.close()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REFRESH_SECONDS", 0.2)
    monkeypatch.setattr(module, "SHARE", 1.0)


def hours(scope: Scope, written: list[Event]) -> set[tuple[Scope, int]]:
    return {(scope, hour_of(milliseconds(each.timestamp))) for each in written}


def total(aggregates: Aggregates, scope: Scope) -> int:
    return sum(period.events for period in aggregates.counts(scope, "hour"))


def test_a_running_consumer_refreshes_what_it_wrote(events: Events, aggregates: Aggregates, scope: Scope) -> None:
    aggregation = Aggregation(aggregates, "a")
    aggregation.start()
    for start in range(0, 20_000, 2_000):
        batch = some_events(2_000, start=start)
        aggregation.before(hours(scope, batch))
        events.insert([(scope, each) for each in batch])
        aggregation.tick()
        assert total(aggregates, scope) == start + 2_000

    def refreshed() -> bool:
        aggregation.tick()
        return not aggregates.abandoned(0)

    wait(refreshed, "the hours stay marked")
    aggregation.finish(10)
    aggregation.stop()
    assert total(aggregates, scope) == 20_000


def test_what_a_dead_member_left_is_taken_up(events: Events, aggregates: Aggregates, scope: Scope) -> None:
    dead, other = Aggregation(aggregates, "a"), Aggregation(aggregates, "b")
    for one in (dead, other):
        batch = some_events(10, start=0 if one is dead else 10)
        one.before(hours(scope, batch))
        events.insert([(scope, each) for each in batch])
    assert len(aggregates.abandoned(0)) == 2
    again = Aggregation(aggregates, "a")
    again.start()
    wait(lambda: len(aggregates.abandoned(0)) == 1, "the marks of its last life stay")
    assert total(aggregates, scope) == 20  # those of `b`, which lives, were left alone
    again.stop()


def test_marks_of_who_never_came_back_are_taken_over(
    events: Events, aggregates: Aggregates, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ABANDONED_SECONDS", 0)
    monkeypatch.setattr(module, "_TAKE_OVER_SECONDS", 0.1)
    batch = some_events(10)
    Aggregation(aggregates, "gone").before(hours(scope, batch))
    events.insert([(scope, each) for each in batch])
    living = Aggregation(aggregates, "a")
    living.start()
    wait(lambda: not aggregates.abandoned(0), "the marks of the dead stay")
    assert total(aggregates, scope) == 10
    living.stop()


def test_a_consumer_that_is_never_idle_takes_over_too(
    events: Events, aggregates: Aggregates, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_TAKE_OVER_SECONDS", 3.0)
    living = Aggregation(aggregates, "a")
    living.start()
    gone = f"{'0' * 12}-0"
    numbers = iter(range(0, 1_000_000, 10))

    def work() -> None:
        batch = some_events(10, start=next(numbers))
        living.before(hours(scope, batch))
        events.insert([(scope, each) for each in batch])
        living.tick()

    work()
    aggregates.mark(gone, hours(scope, some_events(10)))
    monkeypatch.setattr(module, "ABANDONED_SECONDS", 0)

    def taken_over() -> bool:
        work()
        return gone not in aggregates.abandoned(0)

    wait(taken_over, "it finds time for its own marks alone")
    living.stop()


def test_who_was_taken_for_dead_refreshes_all_the_same(events: Events, aggregates: Aggregates, scope: Scope) -> None:
    """A process that stood still for long writes after its marks were dropped."""
    stood_still = Aggregation(aggregates, "a")
    batch = some_events(10)
    stood_still.before(hours(scope, batch))
    for epoch in aggregates.abandoned(0):
        aggregates.refresh(epoch)
    events.insert([(scope, each) for each in batch])
    stood_still.start()
    stood_still.finish(10)
    stood_still.stop()
    assert total(aggregates, scope) == 10


def test_readers_are_exact_while_writers_write(events: Events, aggregates: Aggregates, scope: Scope) -> None:
    """Two consumers and a reader: what is read is never less than what was acknowledged before, nor more than sent."""
    acknowledged, sent = [0, 0], [0, 0]
    stop = threading.Event()

    def consume(number: int) -> None:
        aggregation = Aggregation(aggregates, f"member {number}")
        aggregation.start()
        while not stop.is_set():
            batch = some_events(100, start=number * 50_000 + acknowledged[number])
            sent[number] += 100
            aggregation.before(hours(scope, batch))
            events.insert([(scope, each) for each in batch])
            acknowledged[number] += 100
            aggregation.tick()
        aggregation.finish(10)
        aggregation.stop()

    threads = [threading.Thread(target=consume, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 4
    try:
        while time.monotonic() < deadline:
            least = sum(acknowledged)
            read = total(aggregates, scope)
            assert least <= read <= sum(sent)
    finally:
        stop.set()
        for thread in threads:
            thread.join(20)
    assert total(aggregates, scope) == sum(acknowledged) == events.count(scope)
    assert aggregates.abandoned(0) == []
    first: Any = aggregates.counts(scope, "hour")[-1]
    assert milliseconds(first.start) // 1000 == hour_of(START)
