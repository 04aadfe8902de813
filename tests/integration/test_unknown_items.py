"""Ids that events name and the catalogue does not hold: counted, told, and in no answer of any path."""

import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lemo.cli.stats import _totals
from lemo.diagnostics.job_probes import probe_unknown_items
from lemo.domain.event import Event
from lemo.domain.item import Item
from lemo.domain.scenario import Catalogue, scenario_from_template
from lemo.domain.scope import Scope
from lemo.jobs.precompute import precompute
from lemo.jobs.report import unattended
from lemo.jobs.similarity import compute_similarity
from lemo.jobs.training import train
from lemo.scheduling import restoring
from lemo.serving.service import RecommendationService
from lemo.settings import Settings
from lemo.stores.connect import Stores
from sites import wait_for

ITEMS = [f"i{n}" for n in range(8)]
USERS = [f"u{n}" for n in range(30)]


@pytest.fixture
def stores(
    tmp_path: Path, redis_url: str, clickhouse_url: str, milvus_uri: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Stores]:
    monkeypatch.setattr(restoring, "request_embedding", lambda _stores, _scope: None)
    settings = Settings(home=tmp_path, redis_url=redis_url, clickhouse_url=clickhouse_url, milvus_uri=milvus_uri)
    stores = Stores(settings)
    stores.events.migrate()
    yield stores
    stores.close()


def shop(stores: Stores, items: list[str], catalogue: Catalogue = "auto") -> Scope:
    """A scenario with these items, whose users bought a few of `ITEMS` and, most of them, `typo`."""
    scope = Scope(f"tenant-{uuid.uuid4().hex[:12]}", "shop")
    stores.tenants.create(scope.tenant_id)
    scenario = scenario_from_template(scope.scenario_id, "ecommerce").model_copy(update={"catalogue": catalogue})
    stores.scenarios.create(scope.tenant_id, scenario)
    add(stores, scope, *items)
    now = time.time_ns() // 1_000_000
    bought = [(user, ITEMS[(place + step) % 8]) for place, user in enumerate(USERS) for step in range(3)]
    bought += [(user, "typo") for user in USERS[:-5]]
    events = [
        (scope, Event(user_id=user, item_id=item, action="purchase", timestamp=now - 1000 * place))
        for place, (user, item) in enumerate(bought)
    ]
    stores.events.insert(events)
    stores.history.add(events)
    return scope


def add(stores: Stores, scope: Scope, *item_ids: str) -> None:
    """What the consumer does with items."""
    items = [Item(item_id=item_id) for item_id in item_ids]
    arrived = [time.time_ns() // 1_000_000] * len(items)
    stores.items.upsert(scope, items, arrived)
    stores.availability.add(scope, items, arrived)


def every_run(stores: Stores, scope: Scope) -> None:
    for job in (train, compute_similarity, precompute):
        job(stores, scope, unattended())


def every_path(stores: Stores, scope: Scope) -> dict[str, set[str]]:
    def ids(answer: Any) -> set[str]:
        return {item.item_id for item in answer.items}

    with RecommendationService(stores, watch=False) as served:
        ((_, exported),) = served.recommend_many(scope, [USERS[-1]], 50)
        return {
            "recommendations": ids(served.recommend(scope, USERS[-1], 50)),
            "of a stranger": ids(served.recommend(scope, "stranger", 50)),
            "export": ids(exported),
            "similar": ids(served.similar(scope, "i0", 50)),
            "popular": ids(served.popular(scope, 50)),
        }


def test_an_unknown_id_is_in_no_answer_counted_and_told(stores: Stores) -> None:
    scope = shop(stores, ITEMS)
    every_run(stores, scope)
    assert {path for path, found in every_path(stores, scope).items() if "typo" in found} == set()
    assert stores.availability.unknown(scope) == 1
    assert stores.items.unknown(scope, ["i0", "typo"]) == ["typo"]
    assert _totals(stores, scope)["unknown_items"] == 1
    told = probe_unknown_items(stores.settings)
    assert (told.state, told.version) == ("warning", "1")
    add(stores, scope, "typo")
    assert "typo" in every_path(stores, scope)["popular"], "it counts as soon as it is an item"
    assert probe_unknown_items(stores.settings).state == "ok"
    every_run(stores, scope)
    assert {path for path, found in every_path(stores, scope).items() if "typo" not in found} == set()


def test_with_a_partial_catalogue_only_its_items_are_answered(stores: Stores) -> None:
    scope = shop(stores, ITEMS[:3])
    every_run(stores, scope)
    assert set().union(*every_path(stores, scope).values()) <= set(ITEMS[:3])
    assert stores.availability.unknown(scope) == 6


def test_without_a_catalogue_events_alone_decide_until_the_first_item_comes(stores: Stores) -> None:
    scope = shop(stores, [])
    every_run(stores, scope)
    assert all("typo" in found for found in every_path(stores, scope).values())
    with RecommendationService(stores, refresh_seconds=0.05) as served:
        assert "typo" in {item.item_id for item in served.popular(scope, 3).items}
        add(stores, scope, *ITEMS)
        assert restoring.restore_all(stores) == [scope], "the model in service is older than the catalogue"
        wait_for(lambda: "typo" not in {item.item_id for item in served.popular(scope, 50).items})
    assert {path for path, found in every_path(stores, scope).items() if "typo" in found} == set()


@pytest.mark.parametrize(("catalogue", "answered"), [("none", True), ("required", False)])
def test_the_scenario_may_say_whether_the_catalogue_decides(
    stores: Stores, catalogue: Catalogue, answered: bool
) -> None:
    scope = shop(stores, [] if catalogue == "required" else ITEMS, catalogue)
    every_run(stores, scope)
    assert all(("typo" in found) is answered for found in every_path(stores, scope).values())
