"""Items and events as rows of files that `lemo import` reads back."""

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa
from pydantic_core import to_json

from lemo.domain.event import Event
from lemo.domain.item import Item
from lemo.domain.time import from_milliseconds

_KINDS = {
    "bool": pa.bool_(),
    "int": pa.int64(),
    "float": pa.float64(),
    "str": pa.string(),
    "list": pa.list_(pa.string()),
}
_ITEM_COLUMNS = [
    ("item_id", pa.string()),
    ("title", pa.string()),
    ("description", pa.string()),
    ("categories", pa.list_(pa.string())),
    ("tags", pa.list_(pa.string())),
    ("author", pa.string()),
    ("published_at", pa.string()),
    ("expires_at", pa.string()),
    ("is_active", pa.bool_()),
    ("url", pa.string()),
    ("image_url", pa.string()),
]
"""Without `updated_at`: a row that is corrected and imported again would be refused as no newer than what is stored."""
EVENT_SCHEMA = pa.schema(
    [
        ("event_id", pa.string()),
        ("user_id", pa.string()),
        ("item_id", pa.string()),
        ("action", pa.string()),
        ("timestamp", pa.string()),
        ("value", pa.float64()),
        ("request_id", pa.string()),
        ("position", pa.int64()),
        ("device", pa.string()),
        ("attributes", pa.string()),
    ]
)
"""The columns of exported events; `attributes` is a JSON object as text."""
_MOST_COLUMNS = 500


class ItemColumns:
    """The columns of a catalogue: the fields, and a column for each attribute whose values are of one type.

    Other attributes stand together in the column `attributes`, a JSON object as text. JSON lines keep all as it is.
    """

    def __init__(self, items: Iterable[Item]) -> None:
        kinds: dict[str, set[str]] = {}
        for item in items:
            for name, value in item.attributes.items():
                kinds.setdefault(name, set()).add(_kind(value))
        self._apart = {
            name: _KINDS["float" if kind == {"int", "float"} else next(iter(kind))]
            for name, kind in sorted(kinds.items())[:_MOST_COLUMNS]
            if _is_one(kind) and name not in Item.model_fields
        }
        together = [("attributes", pa.string())] if len(self._apart) < len(kinds) else []
        self.schema = pa.schema([*_ITEM_COLUMNS, *self._apart.items(), *together])

    def row(self, item: Item) -> dict[str, Any]:
        """The item as a row of CSV or Parquet."""
        row = _fields(item)
        row |= {name: value for name, value in item.attributes.items() if name in self._apart}
        if rest := {name: value for name, value in item.attributes.items() if name not in self._apart}:
            row["attributes"] = to_json(rest).decode()
        return row


def item_object(item: Item) -> dict[str, Any]:
    """The item as an object of JSON lines."""
    plain = {name: value for name, value in item.attributes.items() if name not in Item.model_fields}
    rest = {name: value for name, value in item.attributes.items() if name in Item.model_fields}
    return _fields(item) | plain | ({"attributes": rest} if rest else {})


def _fields(item: Item) -> dict[str, Any]:
    found = {name: getattr(item, name) for name, _ in _ITEM_COLUMNS}
    for name in ("published_at", "expires_at"):
        found[name] = found[name] and found[name].isoformat()
    return {name: value for name, value in found.items() if value not in (None, "", [])}


def event_row(row: Mapping[str, Any], as_object: bool) -> dict[str, Any]:
    """A stored event, its moment in Unix ms and its attributes as JSON text, as a row; `as_object` for JSON lines."""
    found = {name: row[name] for name in EVENT_SCHEMA.names if row[name] not in (None, "")}
    found["timestamp"] = from_milliseconds(row["timestamp"]).isoformat(timespec="milliseconds")
    if as_object and "attributes" in found:
        import orjson

        attributes = orjson.loads(found.pop("attributes"))
        found |= {name: value for name, value in attributes.items() if name not in Event.model_fields}
        if rest := {name: value for name, value in attributes.items() if name in Event.model_fields}:
            found["attributes"] = rest
    return found


def _is_one(kinds: set[str]) -> bool:
    return "other" not in kinds and (len(kinds) == 1 or kinds == {"int", "float"})


def _kind(value: Any) -> str:
    if isinstance(value, list):
        return (
            "list" if value and all(isinstance(part, str) and part and "|" not in part for part in value) else "other"
        )
    name = type(value).__name__
    return name if name in _KINDS else "other"
