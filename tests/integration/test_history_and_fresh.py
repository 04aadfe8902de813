"""Recent history and newest items in Redis: idempotent, bounded, and kept apart by scope."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from lemo.domain.availability import Entry
from lemo.domain.errors import EngineUnavailable
from lemo.domain.event import Event
from lemo.domain.interaction import Interaction
from lemo.domain.item import Item
from lemo.domain.scope import Scope
from lemo.domain.time import milliseconds
from lemo.stores.redis.availability import KEPT, AvailabilitySets
from lemo.stores.redis.client import connect_redis
from lemo.stores.redis.history import History

START = 1_600_000_000_000


@pytest.fixture
def redis(redis_url: str, scope: Scope) -> Iterator[Redis]:
    client = connect_redis(redis_url + "/0")
    yield client
    for key in client.scan_iter(f"lemo:*:{scope.tenant_id}:*", count=10_000):
        client.delete(key)
    client.close()


@pytest.fixture
def history(redis: Redis) -> History:
    return History(redis, length=5, days=2)


def event(second: int, **fields: Any) -> Event:
    return Event(**({"user_id": "u", "item_id": "i", "action": "click", "timestamp": START + second * 1000} | fields))


def test_history_is_newest_first_and_whole(history: History, scope: Scope) -> None:
    odd = "键 / \x1f \" ' \n."
    history.add([(scope, event(2, item_id=odd, user_id=odd)), (scope, event(1, value=0.1, action="rate", user_id=odd))])
    assert history.read(scope, odd) == [
        Interaction(odd, "click", None, START + 2000),
        Interaction("i", "rate", 0.1, START + 1000),
    ]
    assert history.read(scope, "nobody") == []
    assert history.read(Scope(scope.tenant_id, "other"), odd) == []


def test_a_replay_or_a_late_event_changes_nothing(history: History, scope: Scope) -> None:
    rows = [(scope, event(second, item_id=str(second % 8))) for second in range(20)]
    history.add(rows)
    after = history.read(scope, "u")
    assert [(touch.item_id, touch.timestamp_ms) for touch in after] == [
        (str(second % 8), START + second * 1000) for second in range(19, 14, -1)
    ]
    for start in range(0, 20, 3):
        history.add(rows[start : start + 3])
    history.add(rows[:1])
    assert history.read(scope, "u") == after


def test_histories_expire(history: History, scope: Scope, redis: Redis) -> None:
    history.add([(scope, event(1))])
    left: Any = redis.ttl(history.key(scope, "u"))
    assert 2 * 86_400 - 60 < left <= 2 * 86_400


def test_many_users_are_read_in_order(history: History, scope: Scope) -> None:
    users = [f"u{number}" for number in range(2_500)]
    history.add([(scope, event(number, user_id=user)) for number, user in enumerate(users)])
    read = history.read_many(scope, [*users, "nobody"])
    assert [touches[0].timestamp_ms for touches in read[:-1]] == [START + number * 1000 for number in range(2_500)]
    assert read[-1] == []


def test_only_missing_histories_are_replaced(history: History, scope: Scope) -> None:
    history.add([(scope, event(9, user_id="kept"))])
    kept = history.read(scope, "kept")
    lost = [Interaction(str(number), "click", None, START + number) for number in range(9, 0, -1)]
    assert history.replace_missing(scope, {"kept": kept, "lost": lost, "empty": []}) == 1
    assert history.read(scope, "kept") == kept
    assert history.read(scope, "lost") == lost[:5]
    history.delete(scope, ["lost"])
    assert history.read(scope, "lost") == []


def test_the_newest_items_and_the_inactive_ones(redis: Redis, scope: Scope) -> None:
    fresh = AvailabilitySets(redis)
    now = time.time_ns() // 1_000_000
    items = [Item(item_id="早", published_at=START), Item(item_id="arrived"), Item(item_id="off", is_active=False)]
    for _ in range(2):
        fresh.add(scope, items, [now - 1000, now - 1000, now])
        assert fresh.latest(scope, 10) == ["arrived", "早"]
        assert fresh.inactive(scope) == {"off"}
    fresh.add(scope, [Item(item_id="off"), Item(item_id="早", deleted=True)], [now, now])
    fresh.add(scope, [Item(item_id="tomorrow", published_at=now + 86_400_000)], [now])
    assert fresh.latest(scope, 10) == ["off", "arrived"]
    assert fresh.latest(scope, 1) == ["off"]
    assert fresh.inactive(scope) == {"早"}
    assert fresh.latest(Scope(scope.tenant_id, "other"), 10) == []
    fresh.add(scope, [], [])


def test_the_newest_items_are_bounded(redis: Redis, scope: Scope) -> None:
    fresh = AvailabilitySets(redis)
    fresh.add(scope, [Item(item_id=str(n)) for n in range(KEPT + 10)], [START + n for n in range(KEPT + 10)])
    assert fresh.latest(scope, 10_000) == [str(n) for n in range(KEPT + 9, 9, -1)]


_hours = st.none() | st.integers(-4, 4).map(lambda hours: datetime.now(UTC) + timedelta(hours=hours + 0.5))
_items = st.builds(
    Item, item_id=st.sampled_from("abcdefgh"), is_active=st.booleans(), published_at=_hours, expires_at=_hours
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_items, max_size=20))
def test_what_may_be_shown_follows_the_clock_without_a_write(redis: Redis, scope: Scope, written: list[Item]) -> None:
    fresh = AvailabilitySets(redis)
    redis.delete(*fresh.keys(scope))
    for number, item in enumerate(written):
        fresh.add(scope, [item], [START + number])
    last = {item.item_id: item for item in written}
    found = fresh.read(scope)
    for hours in range(-1, 6):
        moment = datetime.now(UTC) + timedelta(hours=max(hours, 0))
        hidden = found.unavailable(milliseconds(moment))
        assert hidden == {item_id for item_id, item in last.items() if not item.visible_at(moment)}
        newest = [item_id for item_id in found.newest if item_id not in hidden]
        assert set(newest) == {item_id for item_id, item in last.items() if item.visible_at(moment)}


def test_embargoed_and_expired_items_take_no_place_among_the_newest(redis: Redis, scope: Scope) -> None:
    fresh = AvailabilitySets(redis)
    now = time.time_ns() // 1_000_000
    old = [Item(item_id=f"old-{n}") for n in range(KEPT)]
    fresh.add(scope, old, [START + n for n in range(KEPT)])
    later = [Item(item_id=f"later-{n}", published_at=now + 3_600_000) for n in range(KEPT)]
    fresh.add(scope, later, [now] * KEPT)
    assert fresh.latest(scope, 10_000) == [f"old-{n}" for n in reversed(range(KEPT))]
    expired = [Item(item_id=f"expired-{n}", expires_at=now - 1) for n in range(KEPT)]
    fresh.add(scope, expired, [now] * KEPT)
    assert fresh.latest(scope, 10_000) == [f"old-{n}" for n in reversed(range(KEPT))]


def test_a_rebuild_keeps_what_is_written_while_it_reads(redis: Redis, scope: Scope) -> None:
    fresh = AvailabilitySets(redis)
    now = time.time_ns() // 1_000_000
    fresh.add(scope, [Item(item_id="stray")], [START])

    def entries() -> Iterator[Entry]:
        yield Entry("on", True, START)
        yield Entry("off", False, START)
        # Both are written after they were read, as the consumer writes: first the document, then this.
        fresh.add(scope, [Item(item_id="on", is_active=False), Item(item_id="off")], [now, now])
        fresh.add(scope, [Item(item_id="new", published_at=now + 3_600_000)], [now])
        yield Entry("old", True, START - 1, None, now - 1)

    assert fresh.lost([scope]) == [scope]
    assert fresh.rebuild(scope, entries(), ["on", "new", "old", "typo"])
    assert fresh.lost([scope]) == []
    found = fresh.read(scope)
    assert found.off == {"on"}
    assert found.unavailable() == {"on", "old", "new", "typo"}
    assert found.gone() == {"on", "old", "typo"}
    assert fresh.latest(scope, 10) == ["off"], "what no document holds is gone"
    assert fresh.unknown(scope) == 1
    fresh.add(scope, [Item(item_id="typo")], [now])
    assert fresh.unknown(scope) == 0
    left = {name.decode().split(":")[1] for name in redis.scan_iter(f"lemo:*:{scope.tenant_id}:*", count=10_000)}
    assert left == {"inactive", "latest", "embargoed", "expiring", "availability"}


def test_one_rebuild_at_a_time_and_an_emptied_redis_ends_it(redis: Redis, scope: Scope) -> None:
    fresh = AvailabilitySets(redis)

    def entries() -> Iterator[Entry]:
        assert not fresh.rebuild(scope, [])
        redis.delete(*redis.keys(f"lemo:*:{scope.tenant_id}:*"))
        yield Entry("a", True, START)

    assert not fresh.rebuild(scope, entries())
    assert fresh.lost([scope]) == [scope]
    assert fresh.rebuild(scope, [Entry("a", True, START)])
    assert fresh.latest(scope, 10) == ["a"]


@pytest.mark.parametrize(
    ("catalogue", "items", "unknown"),
    [("auto", [], 0), ("auto", ["a"], 1), ("required", [], 2), ("none", ["a"], 0)],
)
def test_ids_that_only_events_know_are_unknown_as_the_scenario_has_it(
    redis: Redis, scope: Scope, catalogue: Any, items: list[str], unknown: int
) -> None:
    fresh = AvailabilitySets(redis)
    assert fresh.rebuild(scope, [Entry(item_id, True, START) for item_id in items], ["a", "b"], catalogue)
    assert fresh.unknown(scope) == unknown


def test_the_first_item_of_a_catalogue_asks_for_a_rebuild(redis: Redis, scope: Scope) -> None:
    fresh = AvailabilitySets(redis)
    fresh.rebuild(scope, [], ["a", "b"])
    assert fresh.due([scope]) == []
    fresh.add(scope, [Item(item_id="a")], [START])
    assert fresh.due([scope]) == [scope]
    fresh.rebuild(scope, [Entry("a", True, START)], ["a", "b"])
    fresh.add(scope, [Item(item_id="c")], [START])
    assert (fresh.due([scope]), fresh.unknown(scope)) == ([], 1)


def test_a_list_of_newest_items_that_runs_low_is_noticed(redis: Redis, scope: Scope) -> None:
    fresh = AvailabilitySets(redis)
    items = [Item(item_id=str(n)) for n in range(KEPT + 10)]
    fresh.add(scope, items, [START + n for n in range(len(items))])
    assert fresh.cut([scope]) == [scope]
    assert not fresh.runs_low(scope)
    off = [Item(item_id=str(n), is_active=False) for n in range(10 + KEPT // 3, KEPT + 10)]
    fresh.add(scope, off, [START] * len(off))
    assert fresh.runs_low(scope)
    fresh.rebuild(scope, [Entry(str(n), n < 10 + KEPT // 3, START + n) for n in range(KEPT + 10)])
    assert fresh.latest(scope, KEPT) == [str(n) for n in reversed(range(10 + KEPT // 3))]
    assert fresh.cut([scope]) == []


def test_a_history_that_began_again_after_redis_was_emptied_gets_its_past_back(history: History, scope: Scope) -> None:
    past = [Interaction(str(number), "click", None, START + number) for number in range(3, 0, -1)]
    history.add([(scope, event(9, user_id="u", item_id="now"))])
    assert history.replace_missing(scope, {"u": [Interaction("now", "click", None, START + 9_000), *past]}) == 1
    assert [touch.item_id for touch in history.read(scope, "u")] == ["now", "3", "2", "1"]
    assert history.replace_missing(scope, {"u": past}) == 0


def test_without_redis_they_are_unavailable(free_port: int, scope: Scope) -> None:
    away = Redis(port=free_port, retry=Retry(NoBackoff(), 0))
    for ask in (lambda: History(away, 5, 2).read(scope, "u"), lambda: AvailabilitySets(away).latest(scope, 1)):
        with pytest.raises(EngineUnavailable):
            ask()
