"""Redis may be emptied at any moment: within the next runs everything is as before."""

import ast
import re
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import lemo
import servers
from lemo.domain.item import Item
from lemo.domain.scenario import scenario_from_template
from lemo.domain.scope import Scope
from lemo.jobs.embeddings import embed
from lemo.jobs.precompute import precompute
from lemo.jobs.profiles import profile
from lemo.jobs.report import unattended
from lemo.jobs.similarity import compute_similarity
from lemo.jobs.training import train
from lemo.scheduling import restoring
from lemo.serving.service import RecommendationService
from lemo.settings import Settings
from lemo.simulator.world import World
from lemo.stores.connect import Stores
from lemo.stores.redis.key_patterns import KEY_PATTERNS, key_pattern

Site = tuple[Stores, Scope]


@pytest.fixture
def site(
    tmp_path: Path, own_redis: servers.OwnEngine, clickhouse_url: str, milvus_uri: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Site]:
    """A small shop as the consumer wrote it, on a Redis of its own; some items are off, in the future or expired."""
    monkeypatch.setattr(restoring, "request_embedding", lambda _stores, _scope: None)  # no worker reads the broker here
    stores = Stores(
        Settings(
            home=tmp_path,
            redis_url=own_redis.url,
            clickhouse_url=clickhouse_url,
            milvus_uri=milvus_uri,
            embedding_dimensions=8,
        )
    )
    stores.events.migrate()
    scope = Scope(f"tenant-{uuid.uuid4().hex[:12]}", "shop")
    stores.tenants.create(scope.tenant_id)
    stores.scenarios.create(scope.tenant_id, scenario_from_template(scope.scenario_id, "ecommerce"))
    dataset = World(seed=3, scale=0.1).datasets()[2]
    now = datetime.now(UTC)
    changes: list[dict[str, Any]] = [
        {"is_active": False},
        {"deleted": True},
        {"published_at": now + timedelta(days=2)},
        {"expires_at": now - timedelta(days=1)},
        {"expires_at": now + timedelta(hours=3)},
    ]
    items = [
        item.model_copy(update=changes[place] if place < len(changes) else {})
        for place, item in enumerate(list(dataset.items)[:-3])  # the last ones only events know
    ]
    arrived = [time.time_ns() // 1_000_000] * len(items)
    stores.items.upsert(scope, items, arrived)
    stores.availability.add(scope, items, arrived)
    stores.embedding_queue.add(scope, [item.item_id for item in items])
    stores.events.insert([(scope, event) for event in dataset.events])
    rules = stores.scenarios.get(scope).actions
    stores.history.add([(scope, event) for event in dataset.events if rules[event.action].in_history])
    yield stores, scope
    stores.close()


def every_run(stores: Stores, scope: Scope) -> None:
    restoring.restore_all(stores)
    for job in (profile, embed, train, compute_similarity, precompute):
        job(stores, scope, unattended())


def state_of(stores: Stores, scope: Scope) -> dict[str, Any]:
    """What of Redis shows outside."""
    found = stores.availability.read(scope)
    users = stores.events.active_users(scope)
    version = stores.snapshots.current(scope, "embedding")
    with RecommendationService(stores, watch=False) as served:
        answers = {
            user: [item.item_id for item in answer.items] for user, answer in served.recommend_many(scope, users, 20)
        }
        return {
            "hidden": found.unavailable(),
            "gone": found.gone(),
            "unknown": found.unknown,
            "newest": found.newest,
            "soon expired": found.unavailable(time.time_ns() // 1_000_000 + 4 * 3_600_000),
            "histories": dict(zip(users, stores.history.read_many(scope, users), strict=True)),
            "seen": dict(zip(users, stores.seen.read_many(scope, users), strict=True)),
            "precomputed": {user: stores.precomputed.read(scope, user) is not None for user in users},
            "answers": answers,
            "popular": [item.item_id for item in served.popular(scope, 50).items],
            "latest": [item.item_id for item in served.latest(scope, 50).items],
            "waiting": stores.embedding_queue.count(scope),
            "vectors": stores.vectors.count(scope) if version else 0,
        }


def nothing(_stores: Stores, _scope: Scope) -> None:
    pass


MOMENTS: dict[str, Callable[[Stores, Scope], Any]] = {
    "at rest": nothing,
    "after availability is back": lambda stores, _scope: restoring.restore_all(stores),
    "after embedding": lambda stores, scope: embed(stores, scope, unattended()),
    "after training": lambda stores, scope: train(stores, scope, unattended()),
    "after similarity": lambda stores, scope: compute_similarity(stores, scope, unattended()),
}


def test_after_redis_was_emptied_between_any_two_runs_everything_is_as_before(site: Site) -> None:
    stores, scope = site
    every_run(stores, scope)
    before = state_of(stores, scope)
    assert len(before["unknown"]) == 3
    assert len(before["hidden"]) == 4 + 3
    assert all(before["precomputed"].values())
    for moment, work in MOMENTS.items():
        stores.redis.flushall()
        work(stores, scope)
        stores.redis.flushall()
        every_run(stores, scope)
        after = state_of(stores, scope)
        assert {part for part in before if before[part] != after[part]} == set(), moment


def test_items_that_waited_for_their_vector_are_embedded_though_redis_forgot_them(site: Site) -> None:
    stores, scope = site
    stores.redis.flushall()
    assert restoring.restore_all(stores) == [scope]
    embed(stores, scope, unattended())
    on = {entry.item_id for entry in stores.items.entries(scope) if entry.recommendable}
    assert stores.vectors.count(scope) == len(on)
    stores.redis.flushall()
    changed = Item(item_id=sorted(on)[0], title="quite another thing", updated_at=datetime.now(UTC))
    stores.items.upsert(scope, [changed], [time.time_ns() // 1_000_000])
    assert restoring.restore_all(stores) == [scope]
    done = embed(stores, scope, unattended())
    assert done.rows_written == 1, "what has its vector is not embedded again"
    assert restoring.restore_all(stores) == []


def test_an_export_from_an_emptied_redis_holds_nothing_that_is_hidden(site: Site) -> None:
    stores, scope = site
    every_run(stores, scope)
    before = state_of(stores, scope)
    stores.redis.flushall()
    with RecommendationService(stores, watch=False) as served:
        ((_, answer),) = served.recommend_many(scope, ["stranger"], 1000)
    assert not {item.item_id for item in answer.items} & before["hidden"]


def test_every_key_that_is_found_in_redis_is_listed(site: Site) -> None:
    stores, scope = site
    every_run(stores, scope)
    names = [name.decode().removeprefix(stores.keys.prefix) for name in stores.redis.scan_iter(count=10_000)]
    assert {name for name in names if key_pattern(0, name) is None} == set()


def test_every_key_that_the_code_makes_is_listed() -> None:
    made = set()
    for path in Path(lemo.__path__[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                called = ast.unparse(node.func)
                if called in ("keys", "self._keys", "stores.keys", "Keys()") and isinstance(node.args[0].value, str):
                    made.add(node.args[0].value)
    assert made >= {"availability", "embed"}
    assert {name for name in made if key_pattern(0, name) is None and key_pattern(0, f"{name}:x") is None} == set()


def test_the_documentation_lists_every_key() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reliability.md").read_text()
    rows = set(re.findall(r"^\| (\d) \| `([^`]+)` \| (.*) \| (.*) \|$", page, re.MULTILINE))
    assert rows == {(str(each.database), each.pattern, each.holds, each.comes_back) for each in KEY_PATTERNS}
