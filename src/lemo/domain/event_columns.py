"""Events as columns: how many of them travel from the ingest log into the stores, without an object for each."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from itertools import compress
from typing import Any

import orjson

from lemo.domain.event import Event
from lemo.domain.scope import Scope
from lemo.domain.time import milliseconds


@dataclass(slots=True)
class EventColumns:
    """Valid events, of any scopes, column by column: row `n` of every list belongs to the same event."""

    tenant_id: list[str] = field(default_factory=list)
    scenario_id: list[str] = field(default_factory=list)
    event_id: list[str] = field(default_factory=list)
    user_id: list[str] = field(default_factory=list)
    item_id: list[str] = field(default_factory=list)
    action: list[str] = field(default_factory=list)
    timestamp: list[int] = field(default_factory=list)
    """Unix milliseconds."""
    value: list[float | None] = field(default_factory=list)
    request_id: list[str] = field(default_factory=list)
    position: list[int | None] = field(default_factory=list)
    device: list[str] = field(default_factory=list)
    attributes: list[str] = field(default_factory=list)
    """JSON objects as text; empty where there are none."""

    @classmethod
    def of(cls, rows: Iterable[tuple[Scope, Event]]) -> "EventColumns":
        """The columns of single events."""
        columns = cls()
        for scope, event in rows:
            columns.append(scope, event)
        return columns

    def append(self, scope: Scope, event: Event) -> None:
        """Adds one event at the end."""
        row = row_of(scope, event)
        for column, value in zip(self.lists(), row, strict=True):
            column.append(value)

    def extend(self, others: "EventColumns") -> None:
        """Adds the rows of others at the end."""
        for column, values in zip(self.lists(), others.lists(), strict=True):
            column.extend(values)

    def where(self, chosen: Sequence[bool]) -> "EventColumns":
        """The rows whose place in `chosen` is true, in order."""
        return EventColumns(*(list(compress(column, chosen)) for column in self.lists()))

    def once(self) -> tuple["EventColumns", "Repeats"]:
        """The first event of each id, and how many came again."""
        ids = list(zip(self.tenant_id, self.scenario_id, self.event_id, strict=True))
        if len(set(ids)) == len(ids):
            return self, Repeats()
        contents = list(zip(*(getattr(self, name) for name in CONTENTS), strict=True))
        first: dict[tuple[str, str, str], int] = {}
        for row, event_id in enumerate(ids):
            first.setdefault(event_id, row)
        chosen = [first[event_id] == row for row, event_id in enumerate(ids)]
        other = sum(contents[first[event_id]] != contents[row] for row, event_id in enumerate(ids))
        return self.where(chosen), Repeats(same=len(ids) - len(first) - other, other=other)

    def lists(self) -> list[list[Any]]:
        """The columns, in the order of their names."""
        return [getattr(self, name) for name in NAMES]

    def __len__(self) -> int:
        return len(self.event_id)


@dataclass(frozen=True, slots=True)
class Repeats:
    """Events whose id came before."""

    same: int = 0
    other: int = 0
    """Those with other contents than the first event of the id: somebody gave one id to several events."""


CONTENTS = ("user_id", "item_id", "action", "timestamp", "value", "request_id", "position")
"""The columns of `Event.contents`."""
NAMES = tuple(column.name for column in fields(EventColumns))
"""The names of the columns, in order."""


def row_of(scope: Scope, event: Event) -> tuple[Any, ...]:
    """One event's values, in the order of `NAMES`."""
    return (
        scope.tenant_id,
        scope.scenario_id,
        event.event_id,
        event.user_id,
        event.item_id,
        event.action,
        milliseconds(event.timestamp),
        event.value,
        event.request_id,
        event.position,
        event.device,
        attributes_text(event.attributes),
    )


def attributes_text(attributes: dict[str, Any] | None) -> str:
    """Attributes as the JSON that stores keep; empty where there are none."""
    return orjson.dumps(attributes).decode() if attributes else ""
