"""What became of each item that was sent: messages for whoever sends items and wants to know."""

from typing import Any, Literal

import orjson

from lemo.domain.item import LONGEST_ID
from lemo.domain.scope import Scope
from lemo.streams import Message, Record
from lemo.streams.messages import BadMessage

Outcome = Literal["accepted", "stale", "rejected"]
"""Stored; not stored, as something newer is or came in its batch; refused, and in a dead letter."""


def taken_result(record: Record, scope: Scope, item_id: str, version: int, *, accepted: bool) -> Message:
    """The result of an item that could be read, keyed as the item is; its version in Unix milliseconds."""
    outcome: Outcome = "accepted" if accepted else "stale"
    body = {"item_id": item_id, "outcome": outcome, "version": version}
    return _message(record, scope, body, f"{scope}/{item_id}".encode())


def refused_results(record: Record, scope: Scope, error: BadMessage) -> list[Message]:
    """The results of all items of a message that was refused as a whole; one without an id where none can be read.

    The tenant of `scope` is empty where the message names none that exists.
    """
    body = orjson.loads(record.value) if error.stage == "TRANSFORMATION" else {}
    items = body.get("items")
    if isinstance(items, list) and items:
        return [rejected_result(record, scope, error, raw, index) for index, raw in enumerate(items)]
    return [rejected_result(record, scope, error, body)]


def rejected_result(record: Record, scope: Scope, error: BadMessage, raw: Any, index: int | None = None) -> Message:
    """The result of an item that was refused: as it came, and its place in the message's list, if it has one."""
    item_id = raw.get("item_id") if isinstance(raw, dict) else None
    outcome: Outcome = "rejected"
    body: dict[str, Any] = {
        "item_id": item_id[:LONGEST_ID] if isinstance(item_id, str) else "",
        "outcome": outcome,
        "fault": error.fault,
        "reason": error.message,
    }
    if index is not None:
        body["index"] = index
    return _message(record, scope, body, record.key)


def _message(record: Record, scope: Scope, body: dict[str, Any], key: bytes) -> Message:
    source = {"topic": record.topic, "partition": record.partition, "offset": record.position}
    ids = {"tenant_id": scope.tenant_id, "scenario_id": scope.scenario_id}
    return Message(orjson.dumps({**ids, **body, **source}), key)
