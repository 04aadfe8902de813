"""`lemo export` writes files that `lemo import` reads back."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars
import pytest
from typer.testing import CliRunner

from lemo.cli.main import app
from lemo.domain.errors import InvalidInput, NotFound
from lemo.domain.event import Event
from lemo.domain.item import Item
from lemo.domain.scope import Scope
from lemo.files.reading import read_events, read_items
from lemo.recommenders.similar_items import SimilarItems
from lemo.settings import Settings
from lemo.stores.bootstrap import credential, ensure_admin
from lemo.stores.connect import Stores
from sites import NOW, model_of, publish_model

FORMS = ("csv", "jsonl", "parquet")
ITEMS = [
    Item(
        item_id="a/1", title='标题 "x", y\nz', categories=["one", "two"], published_at=datetime(1813, 1, 28, tzinfo=UTC)
    ),
    Item(item_id="007", is_active=False, author="李", attributes={"price": 9, "sku": "007", "sizes": ["s", "m"]}),
    Item(item_id="b", attributes={"price": 9.5, "mixed": 1, "deep": {"x": [1]}, "fair": True, "title": "no field"}),
    Item(item_id="c", description="d", attributes={"mixed": "one", "fair": False, "sizes": ["a|b"]}),
    Item(item_id="gone", deleted=True),
]
EVENTS = [
    Event(user_id="u 1", item_id="a/1", action="click", timestamp=NOW.timestamp() + 0.25, value=4.5),
    Event(
        user_id="用户",
        item_id="b",
        action="click",
        timestamp=NOW,
        event_id="7",
        request_id="r",
        position=3,
        device="phone",
        attributes={"colour": "red", "deep": {"x": [1]}, "value": "no field"},
    ),
]


@pytest.fixture
def shop(
    tmp_path: Path,
    redis_url: str,
    clickhouse_url: str,
    milvus_uri: str,
    scope: Scope,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[str]:
    """The name of a scenario with items and events."""
    monkeypatch.setenv("LEMO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LEMO_REDIS_URL", redis_url)
    monkeypatch.setenv("LEMO_CLICKHOUSE_URL", clickhouse_url)
    monkeypatch.setenv("LEMO_MILVUS_URI", milvus_uri)
    settings = Settings()
    ensure_admin(settings)
    stores = Stores(settings)
    stores.events.migrate()
    mine = Scope(credential(settings, stores.api_keys), scope.scenario_id)
    stores.items.upsert(mine, ITEMS, [1] * len(ITEMS))
    stores.events.insert([(mine, each) for each in EVENTS])
    run("scenarios", "create", scope.scenario_id, "--template", "ecommerce")
    yield scope.scenario_id
    stores.close()


def run(*arguments: object) -> None:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output


def as_text(value: Any) -> Any:
    """A value of an attribute as CSV holds it."""
    if isinstance(value, list):
        return "|".join(value)
    return str(value).lower() if isinstance(value, bool) else value if isinstance(value, str) else f"{float(value)}"


@pytest.mark.parametrize("form", FORMS)
def test_items_and_events_are_read_back(form: str, shop: str, tmp_path: Path) -> None:
    run("export", "items", tmp_path / f"items.{form}", "--scenario", shop)
    run("export", "events", tmp_path / f"events.{form}", "--scenario", shop)
    reading = read_items(tmp_path / f"items.{form}")
    found = {item.item_id: item for item in reading}
    assert reading.rejects.first == []
    assert found.keys() == {"a/1", "007", "b", "c"}
    for written in ITEMS[:-1]:
        item, expected = found[written.item_id], written.attributes
        if form == "csv":  # its cells are texts, but for what stands together in one column of JSON
            together = {"mixed", "deep", "title", "sizes"}
            expected = {name: value if name in together else as_text(value) for name, value in expected.items()}
            numbers = {name: f"{float(value)}" for name, value in item.attributes.items() if name == "price"}
            item = item.model_copy(update={"attributes": item.attributes | numbers})
        assert item.attributes == expected
        fields = Item.model_fields.keys() - {"attributes"}
        assert item.model_dump(include=fields) == written.model_dump(include=fields)
    events = list(read_events(tmp_path / f"events.{form}"))
    assert events == sorted(EVENTS, key=lambda each: each.timestamp)


def test_what_was_made_of_the_data_can_be_had(shop: str, tmp_path: Path) -> None:
    """Every form tells the same of similar items, embeddings, histories and recommendations."""

    readers: dict[str, Any] = {
        "csv": polars.read_csv,
        "jsonl": polars.read_ndjson,
        "parquet": polars.read_parquet,
    }

    def exported(kind: str, *options: object) -> Any:
        found = []
        for form, read in readers.items():
            path = tmp_path / f"{kind}.{form}"
            run("export", kind, path, "--scenario", shop, *options)
            found.append(read(path, schema_overrides={"item_id": polars.String}) if form == "csv" else read(path))
        if kind == "embeddings":  # in CSV a list of numbers is a text
            return found
        assert found[0].rows() == found[1].rows() == found[2].rows()
        return found[2]

    with pytest.raises(NotFound, match="Nothing was compared"):
        run("export", "similarities", tmp_path / "none.csv", "--scenario", shop)
    with pytest.raises(NotFound, match="has an embedding"):
        run("export", "embeddings", tmp_path / "none.csv", "--scenario", shop)
    settings = Settings()
    with closing(Stores(settings)) as stores:
        scope = Scope(credential(settings, stores.api_keys), shop)
        ids = ["007", "a/1", "b"]
        near = np.array([[1, 2], [0, -1], [0, -1]], np.int32)
        scores = np.array([[0.5, 0.25], [0.5, 0], [0.25, 0]], np.float32)
        similar = SimilarItems(ids, near, scores, np.array([1, 1, 0], np.int32))
        arrays, manifest = similar.to_arrays()
        stores.snapshots.publish(scope, "similar", "1", arrays, manifest)
        stores.snapshots.point(scope, "similar", "1", 1)
        stores.vectors.create(scope, "1", 2)
        stores.vectors.write(scope, "1", ["b"], np.array([[0.6, 0.8]], np.float32), ["digest"])
        stores.vectors.switch(scope, "1")
        stores.history.add([(scope, each) for each in EVENTS])
        publish_model(stores, scope, "1m", model_of())
        stores.availability.rebuild(scope, stores.items.entries(scope))
    pairs = exported("similarities").rows()
    assert pairs == [
        ("007", 1, "a/1", 0.5, "behaviour"),
        ("007", 2, "b", 0.25, "content"),
        ("a/1", 1, "007", 0.5, "behaviour"),
        ("b", 1, "007", 0.25, "content"),
    ]
    for frame in exported("embeddings"):
        ((item_id, embedding),) = frame.rows()
        numbers = embedding.split("|") if isinstance(embedding, str) else embedding
        assert item_id == "b"
        assert [float(number) for number in numbers] == pytest.approx([0.6, 0.8])
    histories = exported("histories")
    assert histories.select("user_id", "rank", "item_id", "action", "weight").rows() == [
        ("u 1", 1, "a/1", "click", 1.0),
        ("用户", 1, "b", "click", 1.0),
    ]
    lists = exported("recommendations", "-n", 2)
    assert lists.columns == ["user_id", "rank", "item_id", "score", "reason", "model_version"]
    assert set(lists["user_id"]) == {"u 1", "用户"}
    assert set(lists["rank"]) <= {1, 2}
    assert set(lists["model_version"]) == {"1m"}


def test_a_file_that_cannot_be_written_is_told(shop: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be written in this form"):
        run("export", "items", tmp_path / "items.xlsx", "--scenario", shop)
    with pytest.raises(InvalidInput, match="no folder"):
        run("export", "events", tmp_path / "none" / "events.csv", "--scenario", shop)
