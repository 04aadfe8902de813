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

from lemo.domain.errors import EngineUnavailable
from lemo.domain.event import Event
from lemo.domain.item import Item
from lemo.domain.scope import Scope
from lemo.domain.time import milliseconds
from lemo.domain.touch import Touch
from lemo.stores.fresh import KEPT, Fresh
from lemo.stores.history import History
from lemo.stores.redis import connect_redis

START = 1_600_000_000_000


@pytest.fixture
def redis(redis_url: str, scope: Scope) -> Iterator[Redis]:
    client = connect_redis(redis_url + "/0")
    yield client
    for key in client.scan_iter(f"lemo:*:{scope.tenant_id}:*"):
        client.delete(key)
    client.close()


@pytest.fixture
def history(redis: Redis) -> History:
    return History(redis, length=5, days=2)


def event(second: int, **fields: Any) -> Event:
    return Event(**({"user_id": "u", "item_id": "i", "action": "click", "timestamp": START + second * 1000} | fields))


def test_history_is_newest_first_and_whole(history: History, scope: Scope) -> None:
    odd = "键 / \x1f \" ' \n"
    history.add([(scope, event(2, item_id=odd, user_id=odd)), (scope, event(1, value=0.1, action="rate", user_id=odd))])
    assert history.read(scope, odd) == [
        Touch(odd, "click", None, START + 2000),
        Touch("i", "rate", 0.1, START + 1000),
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
    lost = [Touch(str(number), "click", None, START + number) for number in range(9, 0, -1)]
    assert history.replace_missing(scope, {"kept": lost, "lost": lost, "empty": []}) == 2
    assert history.read(scope, "kept") == kept
    assert history.read(scope, "lost") == lost[:5]
    history.delete(scope, ["lost"])
    assert history.read(scope, "lost") == []


def test_the_newest_items_and_the_inactive_ones(redis: Redis, scope: Scope) -> None:
    fresh = Fresh(redis)
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
    fresh = Fresh(redis)
    fresh.add(scope, [Item(item_id=str(n)) for n in range(KEPT + 10)], [START + n for n in range(KEPT + 10)])
    assert fresh.latest(scope, 10_000) == [str(n) for n in range(KEPT + 9, 9, -1)]


_hours = st.none() | st.integers(-4, 4).map(lambda hours: datetime.now(UTC) + timedelta(hours=hours + 0.5))
_items = st.builds(
    Item, item_id=st.sampled_from("abcdefgh"), is_active=st.booleans(), published_at=_hours, expires_at=_hours
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_items, max_size=20))
def test_what_may_be_shown_follows_the_clock_without_a_write(redis: Redis, scope: Scope, written: list[Item]) -> None:
    fresh = Fresh(redis)
    redis.delete(*fresh.keys(scope))
    for number, item in enumerate(written):
        fresh.add(scope, [item], [START + number])
    last = {item.item_id: item for item in written}
    found = fresh.read(scope)
    for hours in range(-1, 6):
        moment = datetime.now(UTC) + timedelta(hours=max(hours, 0))
        hidden = found.hidden(milliseconds(moment))
        assert hidden == {item_id for item_id, item in last.items() if not item.visible_at(moment)}
        newest = [item_id for item_id in found.newest if item_id not in hidden]
        assert set(newest) == {item_id for item_id, item in last.items() if item.visible_at(moment)}


def test_embargoed_and_expired_items_take_no_place_among_the_newest(redis: Redis, scope: Scope) -> None:
    fresh = Fresh(redis)
    now = time.time_ns() // 1_000_000
    old = [Item(item_id=f"old-{n}") for n in range(KEPT)]
    fresh.add(scope, old, [START + n for n in range(KEPT)])
    later = [Item(item_id=f"later-{n}", published_at=now + 3_600_000) for n in range(KEPT)]
    fresh.add(scope, later, [now] * KEPT)
    assert fresh.latest(scope, 10_000) == [f"old-{n}" for n in reversed(range(KEPT))]
    expired = [Item(item_id=f"expired-{n}", expires_at=now - 1) for n in range(KEPT)]
    fresh.add(scope, expired, [now] * KEPT)
    assert fresh.latest(scope, 10_000) == [f"old-{n}" for n in reversed(range(KEPT))]


def test_without_redis_they_are_unavailable(free_port: int, scope: Scope) -> None:
    away = Redis(port=free_port, retry=Retry(NoBackoff(), 0))
    for ask in (lambda: History(away, 5, 2).read(scope, "u"), lambda: Fresh(away).latest(scope, 1)):
        with pytest.raises(EngineUnavailable):
            ask()
