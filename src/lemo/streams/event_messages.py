"""Event messages read many at a time, column by column: what the consumer's speed hangs on.

Only what breaks no rule and needs next to no conversion is read here. Everything else is left to the reader of single
messages, which also knows how to say what is wrong: so both give the same event, or the slow one decides.
"""

from collections.abc import Callable, Sequence
from math import isfinite
from typing import Annotated, Any

import msgspec
import orjson
from msgspec import Meta, Struct
from msgspec.structs import astuple

from lemo.domain.errors import InvalidInput
from lemo.domain.event import LAST_POSITION, LONGEST_ACTION, LONGEST_DEVICE, Event, derived_event_id
from lemo.domain.event_columns import CONTENTS, NAMES, EventColumns, attributes_text, row_of
from lemo.domain.ids import is_canonical
from lemo.domain.item import LONGEST_ID
from lemo.domain.scope import Scope
from lemo.domain.time import CLOCK_SKEW, EARLIEST, MILLISECONDS_FROM, milliseconds, past_milliseconds
from lemo.streams.messages import MAX_MESSAGE_BYTES, check_attributes

_SIMPLE = frozenset({str, bool, type(None)})
_SKEW_MS = int(CLOCK_SKEW.total_seconds() * 1000)
_FIRST_MS = max(milliseconds(EARLIEST), MILLISECONDS_FROM)

_Id = Annotated[str, Meta(min_length=1, max_length=LONGEST_ID)]


class _Message(Struct, forbid_unknown_fields=True, gc=False, kw_only=True):
    """A message whose fields have the types and lengths of an event's; they are those of `NAMES`, in that order."""

    tenant_id: _Id
    scenario_id: _Id
    event_id: Annotated[str, Meta(max_length=LONGEST_ID)] | None = None
    user_id: _Id
    item_id: _Id
    action: Annotated[str, Meta(min_length=1, max_length=LONGEST_ACTION)]
    timestamp: int | float | str
    value: float | None = None
    request_id: Annotated[str, Meta(max_length=LONGEST_ID)] | None = None
    position: Annotated[int, Meta(ge=0, le=LAST_POSITION)] | None = None
    device: Annotated[str, Meta(max_length=LONGEST_DEVICE)] | None = None
    attributes: dict[str, Any] | None = None


Row = tuple[Any, ...]
_FIELDS = frozenset(NAMES)
_decode = msgspec.json.Decoder(_Message).decode


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
    acts: dict[tuple[str, str, str], bool] = {}
    untils = [min(moment, now_ms) + _SKEW_MS for moment in arrived_ms]
    rows: list[Row] = []
    for index, (value, until) in enumerate(zip(values, untils, strict=True)):
        message = _read(value)
        if message is not None:
            act = (message.tenant_id, message.scenario_id, message.action)
            if (is_known := acts.get(act)) is None:
                is_known = acts[act] = known(*act)
            if is_known and _is_plain(message, until):
                rows.append(astuple(message))
                continue
        if (event := read_slowly(index)) is not None:
            rows.append(row_of(*event))
    return _columns(rows)


def _read(value: bytes) -> _Message | None:
    if len(value) > MAX_MESSAGE_BYTES:
        return None
    try:
        # As text, because of bytes it would not see that they are no UTF-8.
        return _decode(value.decode())
    except msgspec.ValidationError:
        return _gathered(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _gathered(value: bytes) -> _Message | None:
    """The message with the fields that are not an event's among its attributes."""
    try:
        body = orjson.loads(value)
    except orjson.JSONDecodeError:
        return None
    if type(body) is not dict or body.keys() <= _FIELDS:
        return None
    extra = {name: body.pop(name) for name in body.keys() - _FIELDS}
    given = body.get("attributes")
    if given is None or type(given) is dict:
        body["attributes"] = {**(given or {}), **extra}
    try:
        return msgspec.convert(body, _Message)
    except msgspec.ValidationError:
        return None


def _is_plain(message: _Message, until_ms: int) -> bool:
    moment = message.timestamp
    if type(moment) is int and moment >= _FIRST_MS:
        if moment > until_ms:
            return False
    else:
        try:
            message.timestamp = past_milliseconds(moment)
        except (ValueError, OverflowError):
            return False
        if message.timestamp > until_ms:
            return False
    if not is_canonical(message.user_id) or not is_canonical(message.item_id):
        return False
    if (message.event_id and not is_canonical(message.event_id)) or (
        message.request_id and not is_canonical(message.request_id)
    ):
        return False
    # A number beyond a double is read as infinity.
    if message.value is not None and not isfinite(message.value):
        return False
    return not message.attributes or _is_bearable(message.attributes)


def _is_bearable(attributes: dict[str, Any]) -> bool:
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


def _columns(rows: Sequence[Row]) -> EventColumns:
    """The columns of rows, whose texts may be None and whose attributes may be objects still."""
    raw = dict(zip(NAMES, map(list, zip(*rows, strict=True)), strict=False))
    if not raw:
        return EventColumns()
    for name in ("request_id", "device"):
        raw[name] = [given or "" for given in raw[name]]
    if not all(raw["event_id"]):
        described = zip(*(raw[name] for name in CONTENTS), strict=True)
        raw["event_id"] = [
            given or derived_event_id(*event) for given, event in zip(raw["event_id"], described, strict=True)
        ]
    raw["attributes"] = [given if type(given) is str else attributes_text(given) for given in raw["attributes"]]
    return EventColumns(**raw)
