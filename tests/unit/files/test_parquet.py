"""Parquet: the types that data frames write, and row numbers for what is bad."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lemo.domain.errors import InvalidInput
from lemo.files.reading import read_events, read_items

MOMENT = datetime(2024, 5, 1, 12, tzinfo=UTC)


def written(path: Path, columns: dict[str, Any]) -> Path:
    pq.write_table(pa.table(columns), path, row_group_size=2)
    return path


@pytest.mark.parametrize(
    "column",
    [
        pa.array([MOMENT], pa.timestamp("ns", "UTC")),
        pa.array([MOMENT.replace(tzinfo=None)], pa.timestamp("us")),
        pa.array([int(MOMENT.timestamp())]),
        pa.array([MOMENT.timestamp() * 1000]),
        pa.array(["2024-05-01T12:00:00Z"]),
        pa.array([MOMENT], pa.timestamp("us", "Asia/Shanghai")),
    ],
    ids=str,
)
def test_times(tmp_path: Path, column: pa.Array) -> None:
    path = written(tmp_path / "e.parquet", {"user_id": ["u"], "item_id": ["i"], "action": ["x"], "timestamp": column})
    (event,) = read_events(path)
    assert event.timestamp == MOMENT


def test_columns_become_fields_and_attributes(tmp_path: Path) -> None:
    path = written(
        tmp_path / "items.parquet",
        {
            "item_id": pa.array([17850.0]),
            "title": pa.array(["标题"]).dictionary_encode(),
            "tags": [["x", "y"]],
            "published_at": pa.array([date(2024, 5, 1)]),
            "expires_at": pa.array([datetime(2024, 6, 1, tzinfo=UTC)]),
            "price": pa.array([Decimal("9.50")]),
            "ratio": [float("nan")],
            "nested": [{"a": float("inf"), "b": [1]}],
            "raw": [b"\xff\x00"],
            "nothing": pa.array([None], pa.string()),
        },
    )
    (item,) = read_items(path)
    assert (item.item_id, item.title, item.tags) == ("17850", "标题", ["x", "y"])
    assert item.published_at == datetime(2024, 5, 1, tzinfo=UTC)
    assert item.expires_at == datetime(2024, 6, 1, tzinfo=UTC)
    assert item.attributes == {"price": 9.5, "nested": {"a": None, "b": [1]}, "raw": "_wA="}


def test_bad_rows_have_numbers(tmp_path: Path) -> None:
    path = written(
        tmp_path / "e.parquet",
        {
            "user_id": ["a", None, "c", "d\x00", "e"],
            "item_id": [1, 2, 3, 4, 5],
            "action": ["x"] * 5,
            "timestamp": [1.7e9] * 5,
            "value": [1.0, 1.0, float("nan"), 1.0, None],
        },
    )
    reading = read_events(path)
    assert [(event.user_id, event.item_id, event.value) for event in reading] == [("a", "1", 1.0), ("e", "5", None)]
    assert [reject.line for reject in reading.rejects.first] == [2, 3, 4]
    assert reading.done == reading.total == 5


def test_missing_columns(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no column item_id"):
        read_items(written(tmp_path / "items.parquet", {"number": ["a"]}))


def test_damage_says_how_far_it_went(tmp_path: Path) -> None:
    path = tmp_path / "items.parquet"
    ids = [f"{n}-{n * 7919 % 10007}" for n in range(50_000)]
    pq.write_table(pa.table({"item_id": ids}), path, row_group_size=10_000, compression="zstd", use_dictionary=False)
    content = bytearray(path.read_bytes())
    middle = len(content) * 2 // 3
    content[middle : middle + 2_000] = bytes(2_000)
    path.write_bytes(content)
    reading = read_items(path)
    with pytest.raises(InvalidInput, match="rows before the damage were read"):
        list(reading)
    assert reading.good >= 10_000
