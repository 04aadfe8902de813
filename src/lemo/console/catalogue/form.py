"""What a person edits of an item: values as texts, and texts as the changes that they make."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lemo.domain.errors import InvalidInput
from lemo.domain.item import Item
from lemo.serving.catalogue.schema import fits

FIELDS: Mapping[str, str] = {
    "title": "text",
    "author": "text",
    "categories": "list",
    "tags": "list",
    "description": "text",
    "url": "text",
    "image_url": "text",
    "published_at": "timestamp",
    "expires_at": "timestamp",
}
"""The fields of an item that are edited, by type."""
_TRUTHS = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Entry:
    """A field or attribute as it is edited."""

    name: str
    type: str
    text: str
    is_attribute: bool = False


def entries_of(item: Item, types: Mapping[str, str]) -> list[Entry]:
    """The fields of an item and all attributes of its scenario, as texts; empty where the item has none.

    `types` are those of the scenario's attributes.
    """
    body = item.model_dump(mode="json")
    found = [Entry(name, kind, text_of(body[name])) for name, kind in FIELDS.items()]
    for name in dict.fromkeys([*types, *sorted(item.attributes)]):
        value = item.attributes.get(name)
        known = types.get(name, "")
        # A value that is no such thing is edited as the JSON that it is.
        kind = known if value is None or (known and fits(value, known)) else "json"  # type: ignore[arg-type]
        text = json.dumps(value, ensure_ascii=False) if kind == "json" and value is not None else text_of(value)
        found.append(Entry(name, kind or "json", text, is_attribute=True))
    return found


def changes_of(entries: Sequence[Entry], texts: Sequence[str]) -> dict[str, Any]:
    """The changes (RFC 7396) that make the entries these texts: null removes, what is the same is left out.

    Raises InvalidInput, with the name, for a text that is not of its type.
    """
    fields: dict[str, Any] = {}
    attributes: dict[str, Any] = {}
    for entry, text in zip(entries, texts, strict=True):
        if text.strip() != entry.text.strip():
            (attributes if entry.is_attribute else fields)[entry.name] = value_of(entry.name, text, entry.type)
    return fields | ({"attributes": attributes} if attributes else {})


def text_of(value: Any) -> str:
    """A value as it is edited: lists with bars between their parts."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return " | ".join(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def value_of(name: str, text: str, kind: str) -> Any:
    """The value that a text stands for, None for an empty one; raises InvalidInput."""
    words = text.strip()
    if not words:
        return None
    match kind:
        case "number":
            return _number(name, words)
        case "boolean":
            if words.lower() not in _TRUTHS:
                raise InvalidInput(f"{name}: {words[:60]!r} is neither true nor false.", "Nothing was changed.")
            return _TRUTHS[words.lower()]
        case "list":
            return [part for part in (part.strip() for part in words.split("|")) if part]
        case "json":
            try:
                return json.loads(words)
            except ValueError:
                raise InvalidInput(f"{name}: this is no JSON.", 'Texts stand in quotes, such as "red".') from None
        case _:
            return words


def _number(name: str, words: str) -> int | float:
    try:
        return int(words)
    except ValueError:
        pass
    try:
        return float(words)
    except ValueError:
        raise InvalidInput(f"{name}: {words[:60]!r} is no number.", "Nothing was changed.") from None
