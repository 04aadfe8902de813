"""Categories in memory are those of the documents at every question that follows a write of the consumer."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from lemo.domain.item import Item
from lemo.domain.scope import Scope
from lemo.settings import Settings
from lemo.stores.connect import Stores


@pytest.fixture
def stores(redis_url: str, tmp_path: Path, scope: Scope) -> Iterator[Stores]:
    settings = Settings(home=tmp_path, redis_url=SecretStr(redis_url))
    settings.state.mkdir(parents=True, exist_ok=True)
    opened = Stores(settings)
    yield opened
    opened.close()


def written(stores: Stores, scope: Scope, version: int, feed: bool = True, **categories: list[str]) -> None:
    items = [Item(item_id=item_id, categories=names) for item_id, names in categories.items()]
    stores.items.upsert(scope, items, [version] * len(items))
    if feed:
        stores.item_feed.add(scope, list(categories))


def test_a_written_item_is_read_again_and_no_other(
    stores: Stores, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    categories = stores.items.categories

    def reading(asked: Scope, ids: list[str]) -> dict[str, set[str]]:
        read.extend(ids)
        return categories(asked, ids)

    monkeypatch.setattr(stores.items, "categories", reading)
    written(stores, scope, 1, a=["x"], b=["y", "x"], c=[])
    known = stores.item_categories
    assert known.of(scope, ["a", "b", "c", "gone"]) == {"a": ("x",), "b": ("x", "y"), "c": (), "gone": ()}
    assert known.of(Scope(scope.tenant_id, "other"), ["a"]) == {"a": ()}, "of each scenario its own"
    read.clear()
    assert known.of(scope, ["b", "a"]) == {"b": ("x", "y"), "a": ("x",)}
    assert not read
    written(stores, scope, 2, b=["z"], gone=["x"])
    assert known.of(scope, ["a", "b", "gone"]) == {"a": ("x",), "b": ("z",), "gone": ("x",)}
    assert sorted(read) == ["b", "gone"]


def test_where_the_feed_is_lost_or_away_all_is_read(stores: Stores, scope: Scope) -> None:
    known = stores.item_categories
    written(stores, scope, 1, feed=False, a=["x"])
    assert known.of(scope, ["a"]) == {"a": ("x",)}
    written(stores, scope, 2, feed=False, a=["y"])
    assert known.of(scope, ["a"]) == {"a": ("y",)}, "no feed was written: nothing may be kept"
    written(stores, scope, 3, a=["z"])
    assert known.of(scope, ["a"]) == {"a": ("z",)}
    written(stores, scope, 4, a=["emptied"])
    for key in stores.redis.scan_iter(f"*{scope.tenant_id}*", count=10_000):
        stores.redis.delete(key)
    assert known.of(scope, ["a"]) == {"a": ("emptied",)}
    written(stores, scope, 5, a=["after"])
    assert known.of(scope, ["a"]) == {"a": ("after",)}
    stores.redis.connection_pool.disconnect()
    away = Stores(stores.settings.model_copy(update={"redis_url": SecretStr("redis://127.0.0.1:1")}), interactive=True)
    assert away.item_categories.of(scope, ["a"]) == {"a": ("after",)}
    away.close()
