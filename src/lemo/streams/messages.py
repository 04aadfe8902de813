"""The JSON messages of the ingest log: what publishers build and the consumer reads.

An item message is `{"tenant_id", "scenario_id", "items": [...]}`, or one item with the two ids in it. An event message
is one event with the two ids in it. Lemo's own publishers write one item or event a message, keyed by what must stay in
order: an item's versions, a user's events.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import orjson
from pydantic import ValidationError

from lemo.domain.errors import InvalidInput
from lemo.domain.event import Event
from lemo.domain.item import Item
from lemo.domain.reasons import reason
from lemo.domain.scenario import Template
from lemo.domain.scope import Scope
from lemo.domain.time import CLOCK_SKEW, IMPLAUSIBLE, milliseconds
from lemo.streams import Message

MAX_MESSAGE_BYTES = 1_000_000
"""Largest value of an item or event message; Kafka's own default limit is just above."""
MAX_DEPTH = 32
"""Deepest nesting of attributes: document stores differ in what they bear beyond."""

_SCOPE_FIELDS = ("tenant_id", "scenario_id")

Fault = Literal[
    "not-json",
    "too-large",
    "invalid",
    "implausible-time",
    "unknown-tenant",
    "unknown-scenario",
    "unknown-action",
    "other-tenant",
]
"""The kinds of bad messages. `not-json` is all that RFC 8259 refuses: NaN and what is not UTF-8 too."""
FAULTS: tuple[Fault, ...] = get_args(Fault)


class BadMessage(InvalidInput):
    """A message that can never be taken in: broken JSON, a wrong type, something unknown.

    `scope` is the claimed one as far as it could be read.
    """

    def __init__(self, message: str, scope: Scope | None = None, fault: Fault = "invalid") -> None:
        super().__init__(message, "Correct the message and send it again.")
        self.scope = scope
        self.fault = fault

    @property
    def stage(self) -> str:
        """Kafka Connect's word for the step that failed."""
        return "VALUE_CONVERTER" if self.fault in ("not-json", "too-large") else "TRANSFORMATION"


@dataclass(frozen=True, slots=True)
class RejectedItem:
    """One bad item of a message whose other items may be good: its place in the list, itself, and why."""

    index: int
    raw: Any
    error: BadMessage


@dataclass(frozen=True, slots=True)
class ItemMessage:
    """An item message as read."""

    scope: Scope
    items: list[Item]
    rejected: list[RejectedItem]


def item_topic(topics: Sequence[str], template: Template) -> str:
    """The topic of `settings.kafka_item_ingest_topics` that takes items of a scenario with this template."""
    own = f"{template}-items"
    return own if own in topics else topics[0]


def item_message(scope: Scope, item: Item) -> Message:
    """The message that carries one item, with what was said of it and no more.

    Raises InvalidInput when it exceeds MAX_MESSAGE_BYTES or cannot be stored.
    """
    body = {"tenant_id": scope.tenant_id, "scenario_id": scope.scenario_id, **item.model_dump(exclude_unset=True)}
    check_attributes(item.attributes)
    return _message(body, f"{scope}/{item.item_id}")


def event_message(scope: Scope, event: Event) -> Message:
    """The message that carries one event; raises InvalidInput when it exceeds MAX_MESSAGE_BYTES or cannot be stored."""
    body: dict[str, Any] = {
        "tenant_id": scope.tenant_id,
        "scenario_id": scope.scenario_id,
        **event.model_dump(exclude_defaults=True),
        # Milliseconds are what stores keep and the quickest to read back.
        "timestamp": milliseconds(event.timestamp),
        # Validation derives it after the fields are set, so it may pass for a default.
        "event_id": event.event_id,
    }
    check_attributes(event.attributes)
    return _message(body, f"{scope}/{event.user_id}")


def read_event_message(value: bytes) -> tuple[Scope, Event]:
    """Reads an event message; raises BadMessage."""
    body = read_object(value)
    scope = take_scope(body)
    try:
        event = Event.model_validate(body)
        if event.attributes:
            check_attributes(event.attributes)
    except (ValueError, OverflowError, InvalidInput) as error:
        raise _bad(error, scope) from error
    return scope, event


def check_arrival(scope: Scope, event: Event, arrived_ms: int) -> None:
    """Raises BadMessage for an event that lay in the future when the log took it (Unix ms).

    Reading asks our clock, which would let the same message in when it is read again a day later: a replay of the log
    must decide as the first run did.
    """
    if milliseconds(event.timestamp) > arrived_ms + CLOCK_SKEW.total_seconds() * 1000:
        raise BadMessage(
            f"timestamp: was more than one hour in the future when the message arrived (got {event.timestamp}).",
            scope,
            "implausible-time",
        )


def read_item_message(value: bytes) -> ItemMessage:
    """Reads an item message; bad items of a list are handed back as `rejected`. Raises BadMessage when none can be."""
    body = read_object(value)
    scope = take_scope(body)
    if "items" not in body:
        try:
            return ItemMessage(scope, [_item(body)], [])
        except (ValueError, OverflowError, InvalidInput) as error:
            raise _bad(error, scope) from error
    raw_items = body.pop("items")
    if not isinstance(raw_items, list) or not raw_items:
        raise BadMessage("items: must be a list of at least one item.", scope)
    if body:
        raise BadMessage(
            f"A message with `items` holds nothing else but tenant_id and scenario_id; found {_names(body)}.", scope
        )
    items: list[Item] = []
    rejected: list[RejectedItem] = []
    for index, raw in enumerate(raw_items):
        try:
            items.append(_item(raw))
        except (ValueError, OverflowError, InvalidInput) as error:
            rejected.append(RejectedItem(index, raw, _bad(error, scope).with_traceback(error.__traceback__)))
    return ItemMessage(scope, items, rejected)


def rewrapped(scope: Scope, raw_item: Any) -> bytes:
    """An item message that holds just one, still unread, item of a longer one."""
    return orjson.dumps({"tenant_id": scope.tenant_id, "scenario_id": scope.scenario_id, "items": [raw_item]})


def check_attributes(attributes: dict[str, Any]) -> None:
    """Raises InvalidInput for what not every document store bears: NaN, NUL in names, 65-bit integers, deep nesting."""
    open_values: list[tuple[Any, int]] = [(attributes, 1)]
    while open_values:
        value, depth = open_values.pop()
        if depth > MAX_DEPTH:
            raise InvalidInput(f"attributes: nested more than {MAX_DEPTH} deep")
        if isinstance(value, dict):
            for name, inner in value.items():
                if not isinstance(name, str) or not name or "\0" in name:
                    raise InvalidInput("attributes: a name is empty or holds a NUL character")
                open_values.append((inner, depth + 1))
        elif isinstance(value, list):
            open_values.extend((inner, depth + 1) for inner in value)
        elif isinstance(value, float) and not math.isfinite(value):
            raise InvalidInput("attributes: a number is NaN or infinite, which JSON cannot say")
        elif isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise InvalidInput("attributes: an integer does not fit into 64 bits; send it as text")


def _message(body: dict[str, Any], key: str) -> Message:
    try:
        value = orjson.dumps(body)
    except (orjson.JSONEncodeError, UnicodeEncodeError) as error:
        raise InvalidInput(f"attributes: cannot be written as JSON ({error})") from error
    if len(value) > MAX_MESSAGE_BYTES:
        raise InvalidInput(
            f"This is {len(value):,} bytes of JSON; the limit is {MAX_MESSAGE_BYTES:,}.", "Shorten its texts."
        )
    return Message(value, key.encode())


def read_object(value: bytes) -> dict[str, Any]:
    """The JSON object in a message; raises BadMessage."""
    if len(value) > MAX_MESSAGE_BYTES:
        raise BadMessage(
            f"The message has {len(value):,} bytes; the limit is {MAX_MESSAGE_BYTES:,}.", fault="too-large"
        )
    try:
        # orjson follows RFC 8259 to the letter: no NaN, no Infinity, no number beyond a double, UTF-8 only.
        body = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise BadMessage(f"The message is not JSON: {error}.", fault="not-json") from error
    if not isinstance(body, dict):
        raise BadMessage("The message is JSON, but no object.", fault="not-json")
    return body


def take_scope(body: dict[str, Any]) -> Scope:
    """Takes the scope out of a message; raises BadMessage."""
    tenant_id, scenario_id = (body.pop(field, None) for field in _SCOPE_FIELDS)
    claimed = Scope(tenant_id) if isinstance(tenant_id, str) and tenant_id else None
    if claimed is None:
        raise BadMessage(_envelope(body) or "tenant_id: must be the name of a tenant.")
    if not isinstance(scenario_id, str) or not scenario_id:
        raise BadMessage("scenario_id: must be the name of a scenario.", claimed)
    return Scope(claimed.tenant_id, scenario_id)


def _envelope(body: dict[str, Any]) -> str:
    """What is wrong with a message that is Kafka Connect's or Debezium's envelope; empty for any other."""
    if body.keys() == {"schema", "payload"}:
        return "Kafka Connect's schema stands around the message: set value.converter.schemas.enable=false."
    if {"before", "after", "op"} <= body.keys():
        return "This is Debezium's envelope: `lemo connect` prints the settings that take the row out of it."
    return ""


def _item(raw: Any) -> Item:
    item = Item.model_validate(raw)
    if item.attributes:
        check_attributes(item.attributes)
    return item


def _bad(error: Exception, scope: Scope) -> BadMessage:
    """What the reader raises for an error of validation."""
    if isinstance(error, ValidationError):
        times = any(fault["type"] == IMPLAUSIBLE for fault in error.errors(include_input=False, include_url=False))
        return BadMessage(reason(error), scope, "implausible-time" if times else "invalid")
    return BadMessage(error.message if isinstance(error, InvalidInput) else str(error)[:300], scope)


def _names(body: dict[str, Any]) -> str:
    return ", ".join(repr(name[:40]) for name in list(body)[:5])
