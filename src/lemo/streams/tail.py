"""The newest event messages of a tenant, as they stand in the log: also those that the consumer will refuse."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lemo.streams import Log
from lemo.streams.messages import BadMessage, read_event_message, read_object, take_scope

LOOKED_AT = 200
"""Newest messages of a topic among which a tenant's are looked for."""


@dataclass(frozen=True, slots=True)
class TailedEvent:
    """One event message."""

    id: str
    """`topic:partition:position`."""
    at_ms: int
    """Unix ms at which the log took it."""
    scenario_id: str
    """As the message claims it."""
    event: dict[str, Any]
    """Its fields as they came, without tenant and scenario."""
    fault: str = ""
    """What is wrong with its form; empty for nothing. Whether its scenario and action exist is not looked up."""


def newest_events(
    log: Log, topics: Sequence[str], tenant_id: str, scenario_id: str = "", limit: int = 50
) -> list[TailedEvent]:
    """The tenant's newest event messages, newest first; raises EngineUnavailable.

    They are among the newest `LOOKED_AT` messages of each topic: where other tenants send much more, fewer are found.
    Messages that name no tenant belong to nobody and are left out.
    """
    found = []
    for topic in topics:
        for record in log.read_all(topic, LOOKED_AT):
            try:
                body = read_object(record.value)
                scope = take_scope(body)
            except BadMessage:
                continue
            if scope.tenant_id != tenant_id or scenario_id not in ("", scope.scenario_id):
                continue
            fault = ""
            try:
                read_event_message(record.value)
            except BadMessage as error:
                fault = error.message
            place = f"{record.topic}:{record.partition}:{record.position}"
            found.append(TailedEvent(place, record.timestamp, scope.scenario_id, body, fault))
    # By time alone: topics are read one after the other, and within one the order is the log's.
    found.reverse()
    return sorted(found, key=lambda each: each.at_ms, reverse=True)[:limit]
