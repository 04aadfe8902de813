"""Rows of events that break no rule and need next to no conversion, written as messages without a model for each.

Validation and a model cost most of an import's time. What is not plain is left to them, which also know how to say what
is wrong: so both give the same message, or validation decides.
"""

import re
from collections.abc import Collection, Hashable
from datetime import UTC, datetime
from math import isfinite
from typing import Any

import orjson

from lemo.domain.event import LAST_POSITION, LONGEST_DEVICE, Event, derived_event_id
from lemo.domain.ids import is_canonical
from lemo.domain.item import LONGEST_ID
from lemo.domain.scope import Scope
from lemo.domain.time import CLOCK_SKEW, EARLIEST, milliseconds
from lemo.files.tally import Tally
from lemo.streams import Message
from lemo.streams.messages import MAX_MESSAGE_BYTES

_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?\Z")
_FIRST_MS = milliseconds(EARLIEST)
_SKEW_MS = int(CLOCK_SKEW.total_seconds() * 1000)
_FIELDS = frozenset(Event.model_fields)
_LARGEST = MAX_MESSAGE_BYTES // 8
"""Bytes of a plain message: a row of more is left to validation."""

Found = tuple[str, Hashable, Message]
"""The event's id, its contents, and its message."""


class PlainEvents:
    """Makes messages of plain rows; counts them and the items they name."""

    def __init__(self, scope: Scope, actions: Collection[str], tally: Tally, items: set[str]) -> None:
        self._head = {"tenant_id": scope.tenant_id, "scenario_id": scope.scenario_id}
        self._key = f"{scope}/"
        self._actions = frozenset(actions)
        self._tally = tally
        self._items = items
        # An import may take hours; a moment that is ahead of its beginning is left to validation.
        self._until = milliseconds(datetime.now(UTC)) + _SKEW_MS

    def __call__(self, row: dict[str, Any]) -> Found | None:
        """The event of a row, which is not changed; None where it is not plain."""
        get = row.get
        user, item, action = get("user_id"), get("item_id"), get("action")
        if type(user) is not str or type(item) is not str or type(action) is not str or action not in self._actions:
            return None
        if not 0 < len(user) <= LONGEST_ID or not 0 < len(item) <= LONGEST_ID or "attributes" in row:
            return None
        if not is_canonical(user) or not is_canonical(item):
            return None
        moment = _moment(get("timestamp"))
        if not _FIRST_MS <= moment <= self._until:
            return None
        body: dict[str, Any] = {**self._head, "user_id": user, "item_id": item, "action": action, "timestamp": moment}
        value, request, position = None, "", None
        if len(row) > 4:
            if (rest := _optional(row)) is None:
                return None
            value, request, position = rest.get("value"), rest.get("request_id", ""), rest.get("position")
            body.update(rest)
        event_id = body.get("event_id")
        try:
            if event_id is None:
                event_id = derived_event_id(user, item, action, moment, value, request, position)
                body["event_id"] = event_id
            text = orjson.dumps(body)
            key = f"{self._key}{user}".encode()
        except (orjson.JSONEncodeError, UnicodeEncodeError):
            return None
        if len(text) > _LARGEST:
            return None
        self._items.add(item)
        self._tally.add_event(user, item, action, moment)
        return event_id, (user, item, action, moment, value, request, position), Message(text, key)


def _moment(value: Any) -> int:
    """Unix milliseconds of whole seconds or milliseconds, of ISO 8601 and of a datetime; -1 for all else."""
    if type(value) is str:
        size = len(value)
        if value.isdecimal() and value.isascii():
            return int(value) * 1000 if size == 10 else int(value) if size == 13 else -1
        if size < 10 or value[4] != "-":
            return -1
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return -1
    if type(value) is int:
        return value * 1000 if 10**9 <= value < 10**10 else value if 10**12 <= value < 10**13 else -1
    if isinstance(value, datetime):
        try:
            return milliseconds(value if value.tzinfo else value.replace(tzinfo=UTC))
        except (OverflowError, ValueError):
            return -1
    return -1


def _optional(row: dict[str, Any]) -> dict[str, Any] | None:
    """The fields beside the four that every event has, as a message has them; None where they are not plain."""
    found: dict[str, Any] = {}
    attributes: dict[str, Any] = {}
    for name, cell in row.items():
        if name not in _FIELDS:
            kind = type(cell)
            if not name or "\0" in name or (kind is not str and kind is not bool):
                return None
            attributes[name] = cell
        elif name == "value":
            if (type(cell) is str and _NUMBER.match(cell)) or (type(cell) is int and -(2**53) < cell < 2**53):
                cell = float(cell)
            if type(cell) is not float or not isfinite(cell):
                return None
            found["value"] = cell
        elif name in ("event_id", "request_id"):
            if type(cell) is not str or not 0 < len(cell) <= LONGEST_ID or not is_canonical(cell):
                return None
            found[name] = cell
        elif name == "device":
            if type(cell) is not str or not 0 < len(cell) <= LONGEST_DEVICE:
                return None
            found["device"] = cell
        elif name == "position":
            if type(cell) is str and cell.isdecimal() and cell.isascii() and len(cell) < 8:
                cell = int(cell)
            if type(cell) is not int or not 0 <= cell <= LAST_POSITION:
                return None
            found["position"] = cell
    if attributes:
        found["attributes"] = attributes
    return found
