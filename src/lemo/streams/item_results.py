"""Item results: messages that tell the senders of items which were accepted, stale or rejected."""

from collections.abc import Iterable
from typing import Any, Literal

import orjson

from lemo.domain.item import LONGEST_ID
from lemo.domain.scope import Scope
from lemo.streams import Message, Record
from lemo.streams.messages import BadMessage

Outcome = Literal["accepted", "stale", "rejected"]
"""Applied; not applied, as the item is newer; refused, and in a dead letter."""
Result = dict[str, Any]
"""What became of one item, and where the message stood that brought it."""
_TOGETHER = 100
"""Results of a message: few enough for any topic's limit; a message for each would slow down the taking in."""


def result_messages(results: Iterable[tuple[Scope, Result]]) -> list[Message]:
    """The messages that tell of items by scope, in order, up to 100 in each; keyed by the scope, which keeps order.

    The tenant of a scope is empty where the message names none that exists.
    """
    by_scope: dict[Scope, list[Result]] = {}
    for scope, result in results:
        by_scope.setdefault(scope, []).append(result)
    return [
        Message(
            orjson.dumps(
                {
                    "tenant_id": scope.tenant_id,
                    "scenario_id": scope.scenario_id,
                    "items": theirs[start : start + _TOGETHER],
                }
            ),
            str(scope).encode(),
        )
        for scope, theirs in by_scope.items()
        for start in range(0, len(theirs), _TOGETHER)
    ]


def taken_result(record: Record, item_id: str, version: int, *, accepted: bool) -> Result:
    """The result of an item that could be read; its version in Unix milliseconds."""
    outcome: Outcome = "accepted" if accepted else "stale"
    return {
        "item_id": item_id,
        "outcome": outcome,
        "version": version,
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.position,
    }


def refused_results(record: Record, error: BadMessage) -> list[Result]:
    """The results of all items of a message that was refused as a whole; one without an id where none can be read."""
    body = orjson.loads(record.value) if error.stage == "TRANSFORMATION" else {}
    items = body.get("items")
    if isinstance(items, list) and items:
        return [rejected_result(record, error, raw, index) for index, raw in enumerate(items)]
    return [rejected_result(record, error, body)]


def rejected_result(record: Record, error: BadMessage, raw: Any, index: int | None = None) -> Result:
    """The result of an item that was refused: as it came, and its place in the message's list, if it has one."""
    item_id = raw.get("item_id") if isinstance(raw, dict) else None
    outcome: Outcome = "rejected"
    result: Result = {
        "item_id": item_id[:LONGEST_ID] if isinstance(item_id, str) else "",
        "outcome": outcome,
        "fault": error.fault,
        "reason": error.message,
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.position,
    }
    return result if index is None else result | {"index": index}
