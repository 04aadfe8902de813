"""A list that is bounded is filtered before it is trimmed: as long as enough is left, an answer is full."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lemo.domain.item import Item
from lemo.domain.pipeline import Cap, Pipeline
from lemo.domain.recommendation import Answer, ChosenAnswer
from lemo.domain.request import SimilarRequest
from lemo.domain.scope import Scope
from lemo.recommenders.similar_items import similar_items
from lemo.serving.service import RecommendationService
from lemo.stores.connect import Stores
from recommender_worlds import best_first, similarity_of
from sites import ITEMS, NOW, model_of, publish_model, settings_of, touch

some = st.sets(st.sampled_from(ITEMS), max_size=len(ITEMS))


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[Stores]:
    folder: Path = tmp_path_factory.mktemp("home")
    opened = Stores(settings_of(folder, redis_url))
    yield opened
    opened.close()


@given(brand=st.sets(st.sampled_from(ITEMS), min_size=1), seen=some, n=st.integers(1, 50))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_list_of_what_matches_a_filter_is_full_as_long_as_enough_matches(
    stores: Stores, brand: set[str], seen: set[str], n: int
) -> None:
    scope = Scope(f"tenant-{uuid4().hex[:12]}", "scenario")
    publish_model(stores, scope, "1", model_of())
    nearest = similar_items(list(ITEMS), best_first(similarity_of(model_of()).transpose), None, 3)
    stores.snapshots.publish(scope, "similar", "1", *nearest.to_arrays())
    stores.snapshots.point(scope, "similar", "1", 1)
    items = [Item(item_id=each, attributes={"brand": "a" if each in brand else "b"}) for each in ITEMS]
    arrived = [round(NOW.timestamp() * 1000) + place for place in range(len(items))]
    stores.items.upsert(scope, items, arrived)
    stores.availability.add(scope, items, arrived)
    # Only the three newest are kept as such: a longer list must be filled from the catalogue.
    stores.redis.zremrangebyrank(stores.keys("latest", scope.tenant_id, scope.scenario_id), 0, -4)
    touch(stores, scope, "u", *sorted(seen))
    stores.pipelines.put(scope, Pipeline(filter='item.brand == "a"', cap=[Cap(by="title", most=1)]), "test")
    with RecommendationService(stores, watch=False) as served:
        near = served.choices.similar(scope, SimilarRequest(item_ids=[ITEMS[0]], n=n), {})
        lists: dict[str, tuple[Answer | ChosenAnswer, set[str]]] = {
            "recommendations": (served.recommend(scope, "u", n), brand - seen),
            "batch": (dict(served.recommend_many(scope, ["u"], n))["u"], brand - seen),
            "popular": (served.popular(scope, n), brand),
            "latest": (served.latest(scope, n), brand),
            "similar": (near, brand - {ITEMS[0]}),
        }
    for name, (answer, allowed) in lists.items():
        ids = [item.item_id for item in answer.items]
        assert len(set(ids)) == len(ids) == min(n, len(allowed)), name
        assert set(ids) <= allowed, name


def put(stores: Stores, scope: Scope, off: set[str]) -> None:
    """The whole catalogue, as the consumer puts it into Redis; those `off` are not to be shown."""
    items = [Item(item_id=item_id, is_active=item_id not in off) for item_id in ITEMS]
    stores.availability.add(scope, items, [round(NOW.timestamp() * 1000) + place for place in range(len(items))])


@given(off=some, later=some, seen=some, exclude=some, n=st.integers(1, 50))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_list_is_full_as_long_as_enough_is_left(
    stores: Stores, off: set[str], later: set[str], seen: set[str], exclude: set[str], n: int
) -> None:
    scope = Scope(f"tenant-{uuid4().hex[:12]}", "scenario")
    publish_model(stores, scope, "1", model_of())
    nearest = similar_items(list(ITEMS), best_first(similarity_of(model_of()).transpose), None, 3)
    stores.snapshots.publish(scope, "similar", "1", *nearest.to_arrays())
    stores.snapshots.point(scope, "similar", "1", 1)
    put(stores, scope, off)
    touch(stores, scope, "u", *sorted(seen))
    with RecommendationService(stores, watch=False) as served:
        for made in served.precompute(scope, ["u", "stranger"]):
            stores.precomputed.write_many(scope, made.answers, made.marks)
    put(stores, scope, off | later)  # after the answers were made
    shown = set(ITEMS) - off - later
    with RecommendationService(stores, watch=False) as served:
        lists = {
            "recommendations": (served.recommend(scope, "u", n, exclude), shown - seen - exclude),
            "a stranger's": (served.recommend(scope, "stranger", n, exclude), shown - exclude),
            "batch": (dict(served.recommend_many(scope, ["u"], n))["u"], shown - seen),
            "popular": (served.popular(scope, n), shown),
            "latest": (served.latest(scope, n), shown),
        }
        near = served.similar(scope, ITEMS[0], n)
    for name, (answer, allowed) in lists.items():
        ids = [item.item_id for item in answer.items]
        assert len(set(ids)) == len(ids) == min(n, len(allowed)), name
        assert set(ids) <= allowed, name
    behind = [item_id for item_id in (ITEMS[1], ITEMS[2], ITEMS[3]) if item_id in shown]
    if behind:
        assert [item.item_id for item in near.items] == behind[:n]
    assert {item.item_id for item in near.items} <= shown - {ITEMS[0]}
