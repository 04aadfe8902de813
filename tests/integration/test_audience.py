"""The users who most likely want an item, from real events and histories."""

import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from lemo.domain.audience import AudienceRequest
from lemo.domain.errors import InvalidInput, NotFound
from lemo.domain.event import Event
from lemo.domain.item import Item
from lemo.domain.scenario import scenario_from_template
from lemo.domain.scope import Scope
from lemo.recommenders.similar_items import similar_items
from lemo.serving.service import RecommendationService
from lemo.stores.connect import Stores
from sites import ITEMS, model_of, publish_model, settings_of


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory, redis_url: str, clickhouse_url: str
) -> Iterator[tuple[RecommendationService, Scope]]:
    home: Path = tmp_path_factory.mktemp("home")
    settings = settings_of(home, redis_url).model_copy(update={"clickhouse_url": clickhouse_url})
    stores = Stores(type(settings)(**settings.model_dump()))
    stores.events.migrate()
    scope = Scope(f"tenant-{uuid.uuid4().hex[:12]}", "shop")
    stores.tenants.create(scope.tenant_id)
    stores.scenarios.create(scope.tenant_id, scenario_from_template(scope.scenario_id, "vlog"))
    publish_model(stores, scope, "1", model_of())
    before = (np.arange(len(ITEMS))[:, None] - [1, 2, 3]) % len(ITEMS)
    scores = np.tile(np.array([0.9, 0.6, 0.3], dtype=np.float32), (len(ITEMS), 1))
    nearest = similar_items(list(ITEMS), (before.astype(np.int32), scores), None, 3)
    stores.snapshots.publish(scope, "similar", "1", *nearest.to_arrays())
    stores.snapshots.point(scope, "similar", "1", 1)
    now = time.time_ns() // 1_000_000
    items = [Item(item_id=each, attributes={"price": number}) for number, each in enumerate(ITEMS)]
    stores.items.upsert(scope, items, [now] * len(items))
    acts = [("near", 2), ("nearest", 4), ("has it", 4), ("has it", 5), ("far", 30)]
    events = [
        (scope, Event(user_id=user, item_id=ITEMS[item], action="like", timestamp=now - 1_000 * place))
        for place, (user, item) in enumerate(acts)
    ]
    stores.events.insert(events)
    stores.history.add(events)
    with RecommendationService(stores, watch=False) as service:
        yield service, scope
    stores.close()


def test_the_likeliest_users_come_first_and_whoever_has_the_item_is_left_out(
    served: tuple[RecommendationService, Scope],
) -> None:
    service, scope = served
    found = service.audience(scope, AudienceRequest(item_ids=[ITEMS[5]]))
    assert found.model_version == "1"
    assert [each.user_id for each in found.users] == ["nearest", "near"]
    assert [each.because for each in found.users] == [[ITEMS[4]], [ITEMS[2]]]
    assert found.users[0].score > found.users[1].score
    assert {each.item_id for each in found.users} == {ITEMS[5]}
    everybody = service.audience(scope, AudienceRequest(item_ids=[ITEMS[5]], seen=True))
    assert "has it" in [each.user_id for each in everybody.users]
    assert len(service.audience(scope, AudienceRequest(item_ids=[ITEMS[5]], n=1)).users) == 1


def test_of_several_items_each_user_has_the_one_that_it_wants_most(
    served: tuple[RecommendationService, Scope],
) -> None:
    service, scope = served
    wanted = AudienceRequest(filter="item.price == 5 || item.price == 31")
    found = {each.user_id: each.item_id for each in service.audience(scope, wanted).users}
    assert (found["nearest"], found["far"]) == (ITEMS[5], ITEMS[31])


def test_what_is_wrong_is_told(served: tuple[RecommendationService, Scope]) -> None:
    service, scope = served
    with pytest.raises(NotFound, match="does not know 'no such item'"):
        service.audience(scope, AudienceRequest(item_ids=["no such item"]))
    with pytest.raises(InvalidInput, match="prise"):
        service.audience(scope, AudienceRequest(filter="item.prise > 1"))
    with pytest.raises(ValueError, match="either item_ids or filter"):
        AudienceRequest(item_ids=["a"], filter="true")


def test_users_with_rare_items_in_common_are_the_most_similar(served: tuple[RecommendationService, Scope]) -> None:
    service, scope = served
    found = service.similar_users(scope, "has it", 10)
    assert [(each.user_id, each.because) for each in found.users] == [("nearest", [ITEMS[4]])]
    assert 0 < found.users[0].score < 1
    assert found.looked_at == 1
    assert [each.user_id for each in service.similar_users(scope, "nearest", 1).users] == ["has it"]
    with pytest.raises(NotFound, match="has liked nothing"):
        service.similar_users(scope, "nobody", 10)
