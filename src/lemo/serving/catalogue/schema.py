"""The schema of a scenario's items: the type of each field and attribute that a filter may name."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from lemo.domain.scenario import AttributeType
from lemo.domain.time import Timestamp, milliseconds

FIELDS: Mapping[str, AttributeType] = {
    "item_id": "text",
    "title": "text",
    "author": "text",
    "categories": "list",
    "tags": "list",
    "published_at": "timestamp",
    "expires_at": "timestamp",
}
"""The fields of an item that a filter may name; an attribute of the same name is `item.attributes.NAME`."""
EXAMPLES = 3
"""Values that do not fit, of which a schema tells."""
_TRUTHS = {"true": True, "false": False}
_CODE = re.compile(r"\s*-?0\d")
_TIMES: TypeAdapter[datetime] = TypeAdapter(Timestamp)


@dataclass(slots=True)
class Attribute:
    """One attribute: its type, and how many values there are that do not fit it."""

    type: AttributeType
    values: int = 0
    unfit: int = 0
    examples: list[str] = field(default_factory=list)
    """Some values that do not fit."""

    def fitted(self, value: Any) -> Any:
        """The value as the type has it (timestamps as Unix ms); None, and counted, where it does not fit."""
        self.values += 1
        found = _fitted(value, self.type)
        if found is None:
            self.unfit += 1
            if len(self.examples) < EXAMPLES:
                self.examples.append(repr(value)[:60])
        return found


def steps_of(name: str) -> list[str]:
    """What stands behind `item` for a name of `Schema.names`; an attribute's own name may hold dots."""
    return ["attributes", name.removeprefix("attributes.")] if name.startswith("attributes.") else [name]


class Schema:
    """Attributes by name, beside the fields that every item has."""

    def __init__(self, attributes: Mapping[str, Attribute] | None = None) -> None:
        self.attributes = dict(attributes or {})

    @property
    def names(self) -> list[str]:
        """What may stand behind `item.`."""
        return [*FIELDS, *(f"attributes.{name}" if name in FIELDS else name for name in self.attributes)]

    def resolved(self, names: Sequence[str]) -> tuple[str, bool] | None:
        """The name that `item.NAME` or `item.attributes.NAME` means, and whether it is an attribute; None: nothing."""
        *before, name = names
        if not before and name in FIELDS:
            return name, False
        return (name, True) if name in self.attributes else None


class AttributeOverview(BaseModel):
    """One field or attribute that filters may name."""

    name: str
    type: AttributeType
    values: int | None = None
    """Values that were read; null for the fields that every item has."""
    unfit: int = 0
    """Values that do not fit the type, which filters take as missing."""
    examples: list[str] = []
    """Some of them."""


def overview(schema: Schema) -> list[AttributeOverview]:
    """What filters may name, fields first."""
    fields = [AttributeOverview(name=name, type=kind) for name, kind in FIELDS.items()]
    return fields + [
        AttributeOverview(name=name, type=each.type, values=each.values, unfit=each.unfit, examples=each.examples)
        for name, each in sorted(schema.attributes.items())
    ]


def attribute_of(values: Iterable[Any], fixed: AttributeType | None = None) -> Attribute:
    """An attribute of the type that most of the values have, unless it is fixed.

    Texts, which is all that CSV has, are numbers where all of them look like some, and true or false where all of
    them are. Numbers with leading zeros, such as 007, are texts.
    """
    if fixed:
        return Attribute(fixed)
    counts = Counter(_kind(value) for value in values)
    if not counts["text"] and not (counts["numeric"] and counts["truth"]):
        counts["number"] += counts["numeric"]
        counts["boolean"] += counts["truth"]
    else:
        counts["text"] += counts["numeric"] + counts["truth"]
    types: Sequence[AttributeType] = ("number", "boolean", "list", "text")
    return Attribute(max(types, key=lambda kind: counts[kind]))


def fits(value: Any, wanted: AttributeType) -> bool:
    """Whether a value is of the type, so that filters see it."""
    return _fitted(value, wanted) is not None


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        if value.strip().lower() in _TRUTHS:
            return "truth"
        return "numeric" if _number(value) is not None and not _CODE.match(value) else "text"
    return "list" if isinstance(value, list) else "object"


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _fitted(value: Any, wanted: AttributeType) -> Any:
    match wanted:
        case "number":
            if isinstance(value, bool):
                return None
            return (
                _number(value) if isinstance(value, str) else float(value) if isinstance(value, int | float) else None
            )
        case "boolean":
            return value if isinstance(value, bool) else _TRUTHS.get(str(value).strip().lower())
        case "text":
            if isinstance(value, bool | list | dict):
                return None
            return value if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)
        case "list":
            if isinstance(value, list):
                return [str(each) for each in value if isinstance(each, str | int | float)]
            return [part.strip() for part in value.split("|")] if isinstance(value, str) else None
        case "timestamp":
            try:
                return milliseconds(_TIMES.validate_python(value))
            except ValidationError:
                return None
