"""Event messages read many at a time, column by column: what the consumer's speed hangs on.

Only what breaks no rule and needs next to no conversion is read here. Everything else is left to the reader of single
messages, which also knows how to say what is wrong: so both give the same event, or the slow one decides.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from operator import le
from typing import Any

import orjson

from lemo.domain.errors import InvalidInput
from lemo.domain.event import LAST_POSITION, LONGEST_ACTION, LONGEST_DEVICE, Event, derived_event_id
from lemo.domain.event_columns import NAMES, EventColumns, attributes_text, row_of
from lemo.domain.item import LONGEST_ID
from lemo.domain.scope import Scope
from lemo.domain.time import CLOCK_SKEW, EARLIEST, MILLISECONDS_FROM, milliseconds, past_milliseconds
from lemo.streams.messages import MAX_MESSAGE_BYTES, check_attributes

Row = tuple[Any, ...]
Raw = dict[str, Any]
"""The values of a chunk of messages by field, as they came, in tuples; None where a message lacks the field."""

_CHUNK = 200
"""Messages read together: enough to work by columns, few enough to keep short what one odd message holds up."""
_FIELDS = frozenset(NAMES)
_NOTHING: Row = (None,) * len(NAMES)
_TEXTS = {
    # name: shortest, longest, may be missing
    "tenant_id": (1, LONGEST_ID, False),
    "scenario_id": (1, LONGEST_ID, False),
    "user_id": (1, LONGEST_ID, False),
    "item_id": (1, LONGEST_ID, False),
    "action": (1, LONGEST_ACTION, False),
    "event_id": (0, LONGEST_ID, True),
    "request_id": (0, LONGEST_ID, True),
    "device": (0, LONGEST_DEVICE, True),
}
_Types = frozenset[type[Any]]
_NUMBERS: _Types = frozenset({int, float, type(None)})
_WHOLE: _Types = frozenset({int, type(None)})
_OBJECTS: _Types = frozenset({dict, type(None)})
_SIMPLE: _Types = frozenset({str, float, bool, type(None)})
_SKEW_MS = int(CLOCK_SKEW.total_seconds() * 1000)
_FIRST_MS = max(milliseconds(EARLIEST), MILLISECONDS_FROM)


def read_event_messages(
    values: Sequence[bytes],
    arrived_ms: Sequence[int],
    now_ms: int,
    known: Callable[[str, str, str], bool],
    read_slowly: Callable[[int], tuple[Scope, Event] | None],
) -> EventColumns:
    """Reads messages, in order, into columns.

    `known` says whether tenant, scenario and action exist and the action is well-formed; `read_slowly` reads the
    message at an index on its own, and returns None where it is no good. `arrived_ms` holds, message by message, when
    the log took it, `now_ms` is our clock, both in Unix milliseconds: an event that is ahead of either is not plain.
    """
    arrivals = [moment + _SKEW_MS for moment in arrived_ms]
    columns = EventColumns()
    for start in range(0, len(values), _CHUNK):
        rows = [_row(value) for value in values[start : start + _CHUNK]]
        raw = _by_field(rows)
        odd = _odd(raw, arrivals[start : start + _CHUNK], now_ms + _SKEW_MS, known)
        if odd:
            slowly = {index: read_slowly(start + index) for index in sorted(odd)}
            plain = [row if index not in odd else _plain(slowly[index]) for index, row in enumerate(rows)]
            raw = _by_field([row for row in plain if row is not None])
        columns.extend(_columns(raw))
    return columns


def _row(value: bytes) -> Row:
    """The message's fields in the order of `NAMES`, as they came; all None where it is no JSON object."""
    try:
        body = orjson.loads(value) if len(value) <= MAX_MESSAGE_BYTES else None
    except orjson.JSONDecodeError:
        return _NOTHING
    if type(body) is not dict:
        return _NOTHING
    get = body.get
    # Written out, because a loop over the names takes three times as long.
    return (
        get("tenant_id"),
        get("scenario_id"),
        get("event_id"),
        get("user_id"),
        get("item_id"),
        get("action"),
        get("timestamp"),
        get("value"),
        get("request_id"),
        get("position"),
        get("device"),
        get("attributes") if body.keys() <= _FIELDS else _gathered(body),
    )


def _by_field(rows: Sequence[Row]) -> Raw:
    return dict(zip(NAMES, zip(*rows, strict=True) if rows else repeat(()), strict=False))


def _gathered(body: dict[str, Any]) -> Any:
    """The attributes of a body with fields that are not an event's."""
    given = body.get("attributes")
    extra = {name: value for name, value in body.items() if name not in _FIELDS}
    return {**(given or {}), **extra} if given is None or type(given) is dict else given


def _odd(raw: Raw, until_ms: Sequence[int], last_ms: int, known: Callable[[str, str, str], bool]) -> set[int]:
    """Rows with anything that is not plain."""
    odd: set[int] = set()
    for name, (shortest, longest, optional) in _TEXTS.items():
        odd.update(_odd_texts(raw[name], shortest, longest, optional))
    odd.update(_of_other_types(raw["value"], _NUMBERS))
    odd.update(_of_other_types(raw["position"], _WHOLE))
    odd.update(_of_other_types(raw["attributes"], _OBJECTS))
    odd.update(_odd_moments(raw["timestamp"], until_ms, last_ms))
    # What follows trusts the types.
    rows = [index for index in range(len(raw["action"])) if index not in odd]
    positions, attributes = raw["position"], raw["attributes"]
    odd.update([row for row in rows if (place := positions[row]) is not None and not 0 <= place <= LAST_POSITION])
    odd.update([row for row in rows if (given := attributes[row]) and not _bearable(given)])
    acts = list(zip(raw["tenant_id"], raw["scenario_id"], raw["action"], strict=True))
    unknown = {act for act in {acts[row] for row in rows} if not known(*act)}
    if unknown:
        odd.update([row for row in rows if acts[row] in unknown])
    return odd


def _odd_texts(values: Sequence[Any], shortest: int, longest: int, optional: bool) -> Iterable[int]:
    if set(map(type, values)) == {str} and shortest <= min(map(len, values)) and max(map(len, values)) <= longest:
        return ()
    return [
        index
        for index, value in enumerate(values)
        if not (shortest <= len(value) <= longest if type(value) is str else optional and value is None)
    ]


def _of_other_types(values: Sequence[Any], types: _Types) -> Iterable[int]:
    if types.issuperset(map(type, values)):
        return ()
    return [index for index, value in enumerate(values) if type(value) not in types]


def _odd_moments(values: Sequence[Any], until_ms: Sequence[int], last_ms: int) -> Iterable[int]:
    if _are_milliseconds(values) and max(values) <= last_ms and all(map(le, values, until_ms)):
        return ()
    return [index for index, value in enumerate(values) if not _is_until(value, min(until_ms[index], last_ms))]


def _are_milliseconds(values: Sequence[Any]) -> bool:
    return set(map(type, values)) == {int} and min(values) >= _FIRST_MS


def _is_until(value: Any, until_ms: int) -> bool:
    try:
        return past_milliseconds(value) <= until_ms
    except (ValueError, OverflowError):
        return False


def _bearable(attributes: dict[str, Any]) -> bool:
    """Whether every store bears the attributes."""
    for name, value in attributes.items():
        if type(value) not in _SIMPLE or not name or "\0" in name:
            break
    else:
        return True
    try:
        check_attributes(attributes)
    except InvalidInput:
        return False
    return True


def _columns(raw: Raw) -> EventColumns:
    """The columns of plain rows."""
    if not _are_milliseconds(raw["timestamp"]):
        raw["timestamp"] = [past_milliseconds(value) for value in raw["timestamp"]]
    if int in set(map(type, raw["value"])):
        raw["value"] = [None if value is None else float(value) for value in raw["value"]]
    for name in ("request_id", "device"):
        raw[name] = [given or "" for given in raw[name]]
    if not all(raw["event_id"]):
        parts = ("user_id", "item_id", "action", "timestamp", "value", "request_id", "position")
        described = zip(*(raw[name] for name in parts), strict=True)
        raw["event_id"] = [
            given or derived_event_id(*event) for given, event in zip(raw["event_id"], described, strict=True)
        ]
    raw["attributes"] = [attributes_text(given) for given in raw["attributes"]]
    return EventColumns(**raw)


def _plain(read: tuple[Scope, Event] | None) -> Row | None:
    """The row of an event that was read in another way."""
    return None if read is None else (*row_of(*read)[:-1], read[1].attributes)
