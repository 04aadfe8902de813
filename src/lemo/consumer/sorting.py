"""Sorts a batch of records into items, events and dead letters."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from lemo.consumer.known import Known
from lemo.domain.event import Event
from lemo.domain.item import Item
from lemo.domain.scope import Scope
from lemo.domain.time import milliseconds
from lemo.stores.aggregates import hour_of
from lemo.stores.catalog import item_version
from lemo.streams import Message, Record
from lemo.streams.dead_letters import dead_letter
from lemo.streams.messages import BadMessage, check_arrival, read_event_message, read_item_message, rewrapped


@dataclass(slots=True)
class Batch:
    """What is to be written."""

    items: dict[Scope, dict[str, tuple[Item, int]]] = field(default_factory=dict)
    """By scope and item id: the newest version in the batch, and the Unix ms of its arrival."""
    events: list[tuple[Scope, Event]] = field(default_factory=list)
    remembered: list[tuple[Scope, Event]] = field(default_factory=list)
    """Those of the events that belong into their user's recent history."""
    dead: list[Message] = field(default_factory=list)

    @property
    def item_count(self) -> int:
        """Items to write."""
        return sum(len(items) for items in self.items.values())

    def hours(self) -> set[tuple[Scope, int]]:
        """The scopes and hours (Unix seconds) of the events."""
        return {(scope, hour_of(milliseconds(event.timestamp))) for scope, event in self.events}

    def add_item(self, scope: Scope, item: Item, arrived_ms: int) -> None:
        """Takes the item in, unless the batch holds a newer version of it."""
        items = self.items.setdefault(scope, {})
        held = items.get(item.item_id)
        if held is None or item_version(item, arrived_ms) >= item_version(*held):
            items[item.item_id] = (item, arrived_ms)


def sort(records: Sequence[Record], item_topics: Collection[str], known: Known) -> Batch:
    """Reads and checks every record. A bad one becomes a dead letter and touches no other."""
    known.begin_batch()
    batch = Batch()
    for record in records:
        try:
            if record.topic in item_topics:
                _take_items(record, known, batch)
            else:
                scope, event = read_event_message(record.value)
                check_arrival(scope, event, record.timestamp)
                rule = known.rule(scope, event.action)
                batch.events.append((scope, event))
                if rule.remembered:
                    batch.remembered.append((scope, event))
        except BadMessage as error:
            batch.dead.append(_refused(record, error, known))
    return batch


def _take_items(record: Record, known: Known, batch: Batch) -> None:
    message = read_item_message(record.value)
    known.check(message.scope)
    for item in message.items:
        batch.add_item(message.scope, item, record.timestamp)
    batch.dead += (
        dead_letter(
            record,
            rejected.error,
            tenant_id=message.scope.tenant_id,
            scenario_id=message.scope.scenario_id,
            part=rejected.index,
            value=rewrapped(message.scope, rejected.raw),
        )
        for rejected in message.rejected
    )


def _refused(record: Record, error: BadMessage, known: Known) -> Message:
    claimed = error.scope or Scope("")
    return dead_letter(
        record,
        error,
        tenant_id=claimed.tenant_id if claimed.tenant_id and known.has_tenant(claimed.tenant_id) else "",
        scenario_id=claimed.scenario_id,
    )
