"""A write of an item changes what it says and nothing else, however writes are batched and however often replayed."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lemo.domain.item import Item
from lemo.domain.scope import Scope
from lemo.stores.documents.catalogue import Items
from lemo.stores.documents.sqlite import SqliteDocuments
from lemo.streams.messages import item_message, read_item_message

ARRIVED = 1_760_000_000_000
FULL = {
    "item_id": "x",
    "title": "Tea",
    "categories": ["drinks"],
    "price": 3.5,
    "stock": 7,
    "published_at": 1_700_000_000,
}

writes = st.fixed_dictionaries(
    {"item_id": st.sampled_from(["x", "y"])},
    optional={
        "title": st.none() | st.sampled_from(["a", "b"]),
        "tags": st.none() | st.lists(st.sampled_from(["t", "u"]), max_size=2),
        "is_active": st.booleans(),
        "deleted": st.booleans(),
        "expires_at": st.none() | st.integers(1_800_000_000, 1_800_000_003),
        "updated_at": st.none() | st.integers(1_750_000_000, 1_750_000_003),
        "price": st.none() | st.integers(0, 3),
        "colour": st.none() | st.sampled_from(["red", "blue"]),
    },
)


def written(rows: Sequence[dict[str, Any]]) -> list[Item]:
    """As the consumer reads what the API publishes."""
    scope = Scope("tenant", "shop")
    return [read_item_message(item_message(scope, Item.model_validate(row)).value).items[0] for row in rows]


def stored(folder: Path, batches: Sequence[Sequence[tuple[dict[str, Any], int]]]) -> dict[str, Item]:
    """The items after these batches of writes, each with the time (ms) of its arrival."""
    with closing(SqliteDocuments(folder / "documents.sqlite")) as documents:
        items, place = Items(documents), Scope("tenant", "shop")
        for batch in batches:
            items.upsert(place, written([row for row, _ in batch]), [arrived for _, arrived in batch])
        return items.get_many(place, ["x", "y"])


def after(folder: Path, *rows: dict[str, Any]) -> Item:
    return stored(folder, [[(row, ARRIVED + place)] for place, row in enumerate(rows)])["x"]


@pytest.mark.parametrize(
    ("write", "changes"),
    [
        ({"is_active": False}, {"is_active": False}),
        ({"title": None}, {"title": ""}),
        ({"categories": None}, {"categories": []}),
        ({"published_at": None}, {"published_at": None}),
        ({"price": 4}, {"attributes": {"price": 4, "stock": 7}}),
        ({"price": None}, {"attributes": {"stock": 7}}),
        ({"attributes": {"stock": None, "size": "L"}}, {"attributes": {"price": 3.5, "size": "L"}}),
    ],
)
def test_what_a_write_leaves_out_stays(tmp_path: Path, write: dict[str, Any], changes: dict[str, Any]) -> None:
    assert after(tmp_path, FULL, {"item_id": "x"} | write) == Item.model_validate(FULL).model_copy(update=changes)


def test_a_deleted_item_begins_anew(tmp_path: Path) -> None:
    assert after(tmp_path, FULL, {"item_id": "x", "deleted": True}) == Item(item_id="x", deleted=True)
    found = after(tmp_path, FULL, {"item_id": "x", "deleted": True}, {"item_id": "x", "author": "Li"})
    assert found == Item(item_id="x", author="Li")


def test_an_older_write_is_refused_whole(tmp_path: Path) -> None:
    found = after(
        tmp_path, FULL | {"updated_at": 1_750_000_005}, {"item_id": "x", "url": "u", "updated_at": 1_740_000_000}
    )
    assert (found.title, found.url) == ("Tea", "")


@given(rows=st.lists(st.tuples(writes, st.integers(0, 2)), max_size=8), size=st.integers(1, 8))
@example(rows=[({"item_id": "x", "is_active": False}, 0), ({"item_id": "x", "deleted": True}, 1)], size=1)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_batches_and_replays_change_nothing(
    rows: list[tuple[dict[str, Any], int]], size: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    moment, log = ARRIVED, []
    for row, later in rows:
        moment += later
        log.append((row, moment))
    one_by_one = [[write] for write in log]
    batched = [log[start : start + size] for start in range(0, len(log), size)]
    expected = stored(tmp_path_factory.mktemp("one"), one_by_one)
    assert stored(tmp_path_factory.mktemp("batched"), batched) == expected
    assert stored(tmp_path_factory.mktemp("replayed"), batched + one_by_one) == expected
