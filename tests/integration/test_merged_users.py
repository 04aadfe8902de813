"""A guest becomes a customer: events, counts, history and seen items follow, also those that come late."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from consumers import START, connected, consume, consumer_settings, publish, write_events
from lemo.domain.errors import Conflict, EngineUnavailable, InvalidInput
from lemo.domain.event import Event
from lemo.domain.scope import Scope
from lemo.jobs.precompute import precompute
from lemo.jobs.profiles import profile
from lemo.jobs.report import unattended
from lemo.stores.connect import Stores
from lemo.stores.documents import PROFILES
from lemo.streams.messages import event_message
from lemo.users.merge import merge_users
from sites import model_of, publish_model

HOUR = 3600


@pytest.fixture
def stores(request: pytest.FixtureRequest, tmp_path: Path, scope: Scope) -> Iterator[Stores]:
    with connected(consumer_settings(request, "redis", tmp_path), scope) as stores:
        stores.events.migrate()
        yield stores


def event(user_id: str, item: int, second: int) -> Event:
    return Event(user_id=user_id, item_id=f"item/{item}", action="like", timestamp=START + second * 1000)


def take(stores: Stores, scope: Scope, *events: Event) -> None:
    publish(stores, stores.settings.kafka_event_topic, [event_message(scope, each) for each in events])
    consume(stores.settings, stores)


def items_of(stores: Stores, scope: Scope, user_id: str) -> dict[str, list[str]]:
    """The items of the user, as each store has them."""
    return {
        "events": sorted(each.item_id for each in stores.events.history(scope, user_id, 100)),
        "history": sorted(each.item_id for each in stores.history.read(scope, user_id)),
        "seen": sorted(stores.seen.read_many(scope, [user_id])[0]),
    }


def counted(stores: Stores, scope: Scope) -> list[tuple[int, int]]:
    """Events and users of each hour."""
    return [(each.events, each.users) for each in stores.aggregates.counts(scope, "hour")]


def test_all_that_a_guest_did_and_does_is_the_customers(stores: Stores, scope: Scope) -> None:
    guests = [event("guest", 1, 0), event("guest", 2, HOUR)]
    take(stores, scope, *guests, event("customer", 3, 1), event("other", 1, 2))
    publish_model(stores, scope, "1", model_of())
    for job in (profile, precompute):
        job(stores, scope, unattended())
    assert counted(stores, scope) == [(1, 1), (3, 3)]

    merged = merge_users(stores, scope.tenant_id, "guest", "customer")
    assert (merged.events, merged.scenarios) == (2, [scope.scenario_id])
    line = stores.audit.list(scope.tenant_id, 1)[0]
    assert (line.action, line.detail) == ("user.merge", {}), "an erasure need not look for ids here"
    both = ["item/1", "item/2", "item/3"]
    assert items_of(stores, scope, "customer") == {"events": both, "history": both, "seen": both}
    assert items_of(stores, scope, "guest") == {"events": [], "history": [], "seen": []}
    assert counted(stores, scope) == [(1, 1), (3, 2)]
    assert stores.documents.get(PROFILES, scope, "guest") is None
    assert stores.precomputed.read(scope, "guest") is None
    answer = stores.precomputed.read(scope, "customer")
    assert answer is not None
    assert not answer.current

    # The same again, a replay of the log, and what the guest's device sends late.
    assert merge_users(stores, scope.tenant_id, "guest", "customer").events == 0
    take(stores, scope, *guests, event("guest", 4, HOUR + 5))
    four = [*both, "item/4"]
    assert items_of(stores, scope, "customer") == {"events": four, "history": four, "seen": four}
    assert items_of(stores, scope, "guest")["events"] == []
    assert counted(stores, scope) == [(2, 1), (3, 2)]
    training = stores.events.interactions(scope).to_pylist()
    assert sorted(row["user_id"] for row in training) == ["customer"] * 4 + ["other"]


def test_merges_form_neither_chains_nor_circles(stores: Stores, scope: Scope) -> None:
    take(stores, scope, *(event(user, at, at) for at, user in enumerate("abcd")))
    with pytest.raises(InvalidInput, match="itself"):
        merge_users(stores, scope.tenant_id, "a", "a")
    merge_users(stores, scope.tenant_id, "a", "b")
    with pytest.raises(Conflict, match="merged"):
        merge_users(stores, scope.tenant_id, "b", "a")
    with pytest.raises(Conflict, match="another one before"):
        merge_users(stores, scope.tenant_id, "a", "c")
    with pytest.raises(Conflict, match="itself merged into another"):
        merge_users(stores, scope.tenant_id, "d", "a")
    # Who took over may be merged on: its guests go along.
    merge_users(stores, scope.tenant_id, "b", "c", scope.scenario_id)
    take(stores, scope, event("a", 7, 70), event("b", 8, 80))
    assert items_of(stores, scope, "c")["events"] == [f"item/{n}" for n in (0, 1, 2, 7, 8)]


def test_of_full_histories_the_newest_interactions_stay(stores: Stores, scope: Scope) -> None:
    full = stores.settings.history_length
    stores.history.add([(scope, event("customer", n, 2 * n)) for n in range(full)])
    stores.history.add([(scope, event("guest", n + full, 2 * n + 1)) for n in range(full)])
    merge_users(stores, scope.tenant_id, "guest", "customer")
    moments = [each.timestamp_ms for each in stores.history.read(scope, "customer")]
    assert moments == [START + second * 1000 for second in range(2 * full - 1, full - 1, -1)]


@pytest.mark.parametrize("step", ["copy_events", pytest.param("erase_user", marks=pytest.mark.long)])
def test_a_merge_that_was_cut_short_is_completed_by_repeating_it(
    stores: Stores, scope: Scope, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    write_events(stores, scope, [event("guest", 1, 0), event("customer", 2, 1)])

    def gone(*_: object) -> None:
        raise EngineUnavailable("It is away.")

    with monkeypatch.context() as patch:
        patch.setattr(stores.removal, step, gone)
        with pytest.raises(EngineUnavailable):
            merge_users(stores, scope.tenant_id, "guest", "customer")
    assert counted(stores, scope)[0][0] == stores.events.count(scope) == 2
    merge_users(stores, scope.tenant_id, "guest", "customer")
    assert items_of(stores, scope, "customer")["events"] == ["item/1", "item/2"]
    assert counted(stores, scope) == [(2, 1)]
