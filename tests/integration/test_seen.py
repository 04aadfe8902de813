"""What a user has seen is never answered again, however long ago it was and whatever Redis has lost."""

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lemo.domain.event import Event
from lemo.domain.interaction import Interaction, filtered_items
from lemo.domain.item import Item
from lemo.domain.scenario import scenario_from_template
from lemo.domain.scope import Scope
from lemo.ingest.batch import read_batch
from lemo.ingest.scenario_cache import ScenarioCache
from lemo.jobs.cleanup import clean
from lemo.jobs.precompute import precompute
from lemo.jobs.profiles import profile
from lemo.jobs.report import unattended
from lemo.jobs.training import train
from lemo.serving.service import RecommendationService
from lemo.settings import Settings
from lemo.stores.connect import Stores
from lemo.streams import Record
from lemo.streams.topics import Topics

START = datetime(2024, 1, 1, tzinfo=UTC)
MANY = 201
ITEMS = [f"i{number}" for number in range(MANY + 1)]


@pytest.fixture(scope="module")
def stores(
    tmp_path_factory: pytest.TempPathFactory, redis_url: str, clickhouse_url: str, milvus_uri: str
) -> Iterator[Stores]:
    home: Path = tmp_path_factory.mktemp("seen")
    stores = Stores(Settings(home=home, redis_url=redis_url, clickhouse_url=clickhouse_url, milvus_uri=milvus_uri))
    stores.events.migrate()
    yield stores
    stores.close()


def new_scope(stores: Stores) -> Scope:
    scope = Scope(f"tenant-{uuid.uuid4().hex[:12]}", "shop")
    stores.tenants.create(scope.tenant_id)
    stores.scenarios.create(scope.tenant_id, scenario_from_template("shop", "ecommerce"))
    return scope


def take_in(stores: Stores, scope: Scope, *events: Event) -> None:
    """What the consumer makes of events, from its sorting to its writes."""
    topics = Topics(stores.settings)
    values = [
        json.dumps(event.model_dump(mode="json") | {"tenant_id": scope.tenant_id, "scenario_id": scope.scenario_id})
        for event in events
    ]
    now = round(datetime.now(UTC).timestamp() * 1000)
    records = [Record(topics.events, 0, str(at), now, value.encode(), b"", {}) for at, value in enumerate(values)]
    batch = read_batch(records, topics, ScenarioCache(stores.tenants, stores.scenarios), stores.user_changes)
    assert not batch.dead
    stores.events.insert(batch.events)
    stores.history.add(batch.in_history)
    stores.seen.add(batch.filtering)


def bought(user_id: str, item_id: str, second: int, action: str = "purchase") -> Event:
    return Event(user_id=user_id, item_id=item_id, action=action, timestamp=START + timedelta(seconds=second))


def answered(stores: Stores, scope: Scope, user_id: str = "u") -> dict[str, list[str]]:
    """The items of the user's answer, by the path that makes it."""
    with RecommendationService(stores, watch=False) as served:
        computed = served.recommend(scope, user_id, 10)
        precompute(stores, scope, unattended())
        assert stores.precomputed.read(scope, user_id) is not None
        answers = {
            "computed": computed,
            "precomputed": served.recommend(scope, user_id, 10),
            "batch": dict(served.recommend_many(scope, [user_id], 10))[user_id],
        }
    return {path: [item.item_id for item in answer.items] for path, answer in answers.items()}


def stocked(stores: Stores) -> Scope:
    """A scenario whose user `u` has bought all items but the last, and `rater` has rated all but the last."""
    scope = new_scope(stores)
    items = [Item(item_id=item_id) for item_id in ITEMS]
    stores.items.upsert(scope, items, [1_767_000_000_000] * len(items))
    stores.availability.add(scope, items, [1_767_000_000_000] * len(items))
    take_in(stores, scope, *(bought("u", item_id, second) for second, item_id in enumerate(ITEMS[:MANY])))
    ratings = [
        bought("rater", item_id, second, "rate").model_copy(update={"value": float(second % 5 + 1)})
        for second, item_id in enumerate(ITEMS[:MANY])
    ]
    take_in(stores, scope, *ratings)
    return scope


@pytest.fixture(scope="module")
def shop(stores: Stores) -> Scope:
    """The same with other users, whom a model was trained on."""
    scope = stocked(stores)
    others = [
        bought(f"other{user}", ITEMS[(user * 7 + step) % len(ITEMS)], 1000 + user * 10 + step)
        for user in range(80)
        for step in range(6)
    ]
    take_in(stores, scope, *others)
    train(stores, scope, unattended())
    return scope


@pytest.mark.parametrize("user", ["u", "rater"])
def test_what_was_bought_or_rated_before_the_history_is_answered_by_no_path(
    stores: Stores, shop: Scope, user: str
) -> None:
    assert len(stores.history.read(shop, user)) < MANY
    assert answered(stores, shop, user) == {path: [ITEMS[MANY]] for path in ("computed", "precomputed", "batch")}


def test_before_there_is_a_model_the_newest_items_leave_out_what_was_seen(stores: Stores) -> None:
    scope = stocked(stores)
    with RecommendationService(stores, watch=False) as served:
        assert [item.item_id for item in served.recommend(scope, "u", 10).items] == [ITEMS[MANY]]


def test_a_precomputed_answer_is_filtered_by_what_was_seen_since(stores: Stores, shop: Scope) -> None:
    precompute(stores, shop, unattended())
    with RecommendationService(stores, watch=False) as served:
        first = served.recommend(shop, "other3", 10).items[0].item_id
        stores.seen.add_items(shop, {"other3": [first]})
        after = [item.item_id for item in served.recommend(shop, "other3", 10).items]
        stores.seen.remove_items(shop, {"other3": [first]})
    assert first not in after
    assert len(after) == 10


def test_an_emptied_redis_is_filled_again_for_users_who_left_long_ago(stores: Stores, shop: Scope) -> None:
    take_in(stores, shop, bought("now", ITEMS[0], 3600 * 24 * 500))  # "u" is no active user any more
    profile(stores, shop, unattended())
    names = [key for user in ("u", "now") for key in (stores.seen.key(shop, user), stores.history.key(shop, user))]
    stores.redis.delete(*names)
    assert profile(stores, shop, unattended()).detail["seen_put_right"] == 2
    assert profile(stores, shop, unattended()).detail["seen_put_right"] == 0
    with RecommendationService(stores, watch=False) as served:
        assert [item.item_id for item in served.recommend(shop, "u", 10).items] == [ITEMS[MANY]]
    assert stores.redis.ttl(stores.seen.key(shop, "u")) == -1, "it outlives the history"


def test_precomputing_does_not_wait_for_profiles_to_fill_an_emptied_redis(stores: Stores, shop: Scope) -> None:
    precompute(stores, shop, unattended())
    stores.redis.delete(stores.seen.key(shop, "other5"))
    precompute(stores, shop, unattended())
    assert stores.seen.counts(shop, ["other5"]) == [6]


def test_changed_rules_reach_what_was_seen_long_ago(stores: Stores) -> None:
    scope = new_scope(stores)
    take_in(stores, scope, bought("u", "a", 0, "view"), bought("u", "b", 1), bought("u", "c", 2, "impression"))
    assert stores.seen.read_many(scope, ["u"]) == [{"a", "b"}]
    stores.scenarios.edit(scope, {"actions": {"view": {"seen": False}, "impression": {"seen": True}}})
    profile(stores, scope, unattended())
    assert stores.seen.read_many(scope, ["u"]) == [{"b", "c"}]


def test_sets_of_users_without_events_are_dropped(stores: Stores) -> None:
    scope = new_scope(stores)
    take_in(stores, scope, bought("stays", "a", 0))
    stores.seen.add_items(scope, {"gone": ["a"], "just come": ["a"]})
    stores.history.replace_missing(scope, {"just come": [Interaction("a", "purchase", None, 0)]})
    clean(stores, scope, unattended())
    assert set(stores.seen.users(scope)) == {"stays", "just come"}


RULES = {
    "buy": {"weight": 5},
    "skip": {"weight": -1, "seen": False},
    "hear": {"weight": 2, "seen": False},
    "grade": {"weight": 3, "seen": False, "scale": [1, 5]},
    "show": {"weight": 0, "seen": False},
}
ACTS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c/ 猫"]),
        st.sampled_from(list(RULES)),
        st.sampled_from([None, 1.0, 3.0, 5.0]),
        st.integers(0, 4),
    ),
    max_size=12,
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ACTS)
def test_redis_events_and_history_bar_the_same(stores: Stores, acts: list[tuple[str, str, float | None, int]]) -> None:
    scope = new_scope(stores)
    changes = {"actions": dict.fromkeys(stores.scenarios.get(scope).actions) | RULES}
    rules = stores.scenarios.edit(scope, changes)[1].actions
    events = [
        Event(user_id="u", item_id=item, action=action, value=value, timestamp=START + timedelta(seconds=second))
        for item, action, value, second in acts
    ]
    expected = filtered_items([Interaction.of(event) for event in events], rules)
    if events:
        take_in(stores, scope, *events)
        take_in(stores, scope, *events[::-1])  # again, and in another order
    assert stores.events.filtered_items(scope, rules, ["u"]).get("u", set()) == expected
    # What a later opinion takes back waits for the next comparison.
    assert stores.seen.read_many(scope, ["u"])[0] >= expected
    profile(stores, scope, unattended())
    held = stores.seen.read_many(scope, ["u"])[0]
    assert held == expected
