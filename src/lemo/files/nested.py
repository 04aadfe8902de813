"""Columns inside the objects and lists of JSON rows: `user.id`, `properties.product_id`, a session's list of events."""

from collections.abc import Iterator, Sequence
from typing import Any

from lemo.files.rows import Row, Unreadable

_MOST = 0.8
"""Part of the rows in which a list of objects must stand."""
_MOST_COLUMNS = 200


def inner_columns(sample: Sequence[dict[str, Any]]) -> list[str]:
    """The columns inside objects, as `object.column`."""
    found: dict[str, None] = {}
    for row in sample:
        for name, value in row.items():
            if isinstance(value, dict) and len(found) < _MOST_COLUMNS:
                found |= dict.fromkeys(f"{name}.{inner}" for inner in value)
    return list(found)


def value_at(row: dict[str, Any], column: str) -> Any:
    """The value at `object.column`; None where there is none."""
    outer, _, inner = column.partition(".")
    value = row.get(outer)
    if not isinstance(value, dict):
        return None
    return value[inner] if inner in value else value_at(value, inner)


def column_of_rows(sample: Sequence[dict[str, Any]]) -> str:
    """The one column that holds a list of objects in most rows; empty where there is none, or several."""
    names = [
        name
        for name in dict.fromkeys(name for row in sample for name in row)
        if sum(_is_rows(row.get(name)) for row in sample) >= _MOST * len(sample)
    ]
    return names[0] if len(names) == 1 else ""


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(entry, dict) for entry in value)


def entries(row: dict[str, Any], column: str) -> Iterator[dict[str, Any]]:
    """The rows in a row's list, each with what stands beside the list."""
    beside = {name: value for name, value in row.items() if name != column}
    listed = row.get(column)
    for entry in listed if isinstance(listed, list) else ():
        if isinstance(entry, dict):
            yield {**beside, **entry}


def spread(rows: Iterator[Row], column: str) -> Iterator[Row]:
    """The rows in the lists of rows, under the numbers of these."""
    for number, row in rows:
        if isinstance(row, Unreadable):
            yield number, row
        elif column not in row or not isinstance(row[column], list):
            yield number, Unreadable(f"has no list {column}", str(row)[:200])
        else:
            for entry in entries(row, column):
                yield number, entry


def cell_of(row: dict[str, Any], column: str) -> Any:
    """A row's cell in a column, which may be inside an object; None where there is none."""
    return row[column] if column in row else value_at(row, column) if "." in column else None


def values_of(sample: Sequence[dict[str, Any]], column: str) -> list[Any]:
    """A column's cells that are not empty."""
    return [value for row in sample if (value := cell_of(row, column)) not in (None, "")]
