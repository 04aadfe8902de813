"""Sorts a batch of records into items, events and dead letters."""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from lemo.consumer.known import Known
from lemo.domain.event import Event
from lemo.domain.event_columns import EventColumns, Repeats
from lemo.domain.item import LONGEST_ID, Item
from lemo.domain.scenario import ActionRule
from lemo.domain.scope import Scope
from lemo.domain.touch import taste_weight
from lemo.stores.aggregates import hour_of
from lemo.stores.catalog import item_version
from lemo.streams import Message, Record
from lemo.streams.dead_letters import dead_letter
from lemo.streams.event_messages import read_event_messages
from lemo.streams.item_results import Result, refused_results, rejected_result, result_messages, taken_result
from lemo.streams.messages import BadMessage, check_arrival, read_event_message, read_item_message, rewrapped
from lemo.streams.topics import Topics


@dataclass(slots=True)
class Batch:
    """What is to be written."""

    items: dict[Scope, dict[str, tuple[Item, int]]] = field(default_factory=dict)
    """By scope and item id: the newest version in the batch, and the Unix ms of its arrival."""
    events: EventColumns = field(default_factory=EventColumns)
    remembered: EventColumns = field(default_factory=EventColumns)
    """Those of the events that belong into their user's recent history."""
    barring: EventColumns = field(default_factory=EventColumns)
    """Those of the events after which their item is not to be recommended to the user again."""
    dead: list[Message] = field(default_factory=list)
    taken: list[tuple[Scope, Item, Record]] = field(default_factory=list)
    """Every good item with the record that brought it, also those that a newer version in the batch outdid."""
    rejected: list[tuple[Scope, Result]] = field(default_factory=list)
    """The results of items that were refused."""
    repeats: Repeats = field(default_factory=Repeats)
    """Events left out because the batch brought their id before."""
    event_records: int = 0
    """How many of the records came from topics of events."""

    @property
    def item_count(self) -> int:
        """Items to write."""
        return sum(len(items) for items in self.items.values())

    def hours(self) -> set[tuple[Scope, int]]:
        """The scopes and hours (Unix seconds) of the events."""
        columns = self.events
        found = {
            (tenant_id, scenario_id, hour_of(moment))
            for tenant_id, scenario_id, moment in zip(
                columns.tenant_id, columns.scenario_id, columns.timestamp, strict=True
            )
        }
        return {(Scope(tenant_id, scenario_id), hour) for tenant_id, scenario_id, hour in found}

    def results(self, accepted: Mapping[Scope, Collection[str]]) -> list[Message]:
        """What became of the items, when of those to write the ones with the `accepted` ids were stored."""
        told = list(self.rejected)
        for scope, item, record in self.taken:
            stored = item is self.items[scope][item.item_id][0] and item.item_id in accepted[scope]
            version = item_version(item, record.timestamp)
            told.append((scope, taken_result(record, item.item_id, version, accepted=stored)))
        return result_messages(told)

    def add_item(self, scope: Scope, item: Item, record: Record) -> None:
        """Takes the item in, unless the batch holds a newer version of it."""
        self.taken.append((scope, item, record))
        arrived_ms = record.timestamp
        items = self.items.setdefault(scope, {})
        held = items.get(item.item_id)
        if held is None or item_version(item, arrived_ms) >= item_version(*held):
            items[item.item_id] = (item, arrived_ms)


def sort(records: Sequence[Record], topics: Topics, known: Known) -> Batch:
    """Reads and checks every record. A bad one becomes a dead letter and touches no other."""
    known.begin_batch()
    batch = Batch()
    events: dict[str | None, list[Record]] = {}
    owners: dict[str, str | None] = {}
    for record in records:
        topic = record.topic
        if topic in topics.items:
            try:
                _take_items(record, known, batch)
            except BadMessage as error:
                batch.dead.append(_refused(record, error, known))
                claimed = _shown_to(error, known)
                # A name that nobody checked may be as long as the message.
                scope = Scope(claimed.tenant_id, claimed.scenario_id[:LONGEST_ID])
                batch.rejected += ((scope, result) for result in refused_results(record, error))
        else:
            if topic not in owners:
                # A topic by prefix whose ending cannot be a tenant's name carries nobody's events, not everybody's.
                owners[topic] = None if topic == topics.events else topic.removeprefix(topics.tenant_prefix)
            events.setdefault(owners[topic], []).append(record)
    for owner, theirs in events.items():
        batch.event_records += len(theirs)
        batch.events.extend(_take_events(theirs, owner, known, batch.dead))
    batch.events, batch.repeats = batch.events.once()
    columns = batch.events
    acts = list(zip(columns.tenant_id, columns.scenario_id, columns.action, strict=True))
    remembered = {act: bool(known.remembers(*act)) for act in set(acts)}
    batch.remembered = columns if all(remembered.values()) else columns.where([remembered[act] for act in acts])
    rules = {act: known.rule_of(*act) for act in remembered}
    if all(rule is not None and rule.seen for rule in rules.values()):
        batch.barring = columns
    else:
        batch.barring = columns.where(
            [_bars(rules[act], value) for act, value in zip(acts, columns.value, strict=True)]
        )
    return batch


def _bars(rule: ActionRule | None, value: float | None) -> bool:
    """Whether the item is kept from the user, at least until the events say that a later opinion spoke for it."""
    return rule is not None and (rule.seen or taste_weight(rule, value) < 0)


def _take_events(records: Sequence[Record], owner: str | None, known: Known, dead: list[Message]) -> EventColumns:
    """The good events of the records. Those of a tenant's own topic (`owner`) may be of no other tenant."""

    def is_known(tenant_id: str, scenario_id: str, action: str) -> bool:
        return owner in (None, tenant_id) and known.remembers(tenant_id, scenario_id, action) is not None

    def read_slowly(index: int) -> tuple[Scope, Event] | None:
        try:
            scope, event = read_event_message(records[index].value)
            if owner not in (None, scope.tenant_id):
                raise BadMessage(
                    f"tenant_id: this topic carries only events of tenant {owner!r}; "
                    f"the message claims {scope.tenant_id[:80]!r}.",
                    scope,
                    "other-tenant",
                )
            check_arrival(scope, event, records[index].timestamp)
            known.rule(scope, event.action)
        except BadMessage as error:
            dead.append(_refused(records[index], error, known, owner))
            return None
        return scope, event

    return read_event_messages(
        [record.value for record in records],
        [record.timestamp for record in records],
        time.time_ns() // 1_000_000,
        is_known,
        read_slowly,
    )


def _take_items(record: Record, known: Known, batch: Batch) -> None:
    message = read_item_message(record.value)
    known.check(message.scope)
    for item in message.items:
        batch.add_item(message.scope, item, record)
    batch.rejected += (
        (message.scope, rejected_result(record, rejected.error, rejected.raw, rejected.index))
        for rejected in message.rejected
    )
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


def _refused(record: Record, error: BadMessage, known: Known, owner: str | None = None) -> Message:
    """The dead letter of the topic's tenant where the topic is one's own, else of the tenant that it claims."""
    scope = _shown_to(error, known, owner)
    return dead_letter(record, error, tenant_id=scope.tenant_id, scenario_id=scope.scenario_id)


def _shown_to(error: BadMessage, known: Known, owner: str | None = None) -> Scope:
    """The claimed scenario, of a tenant that exists: the topic's own, else the claimed one, else none."""
    claimed = error.scope or Scope("")
    tenant_id = owner or claimed.tenant_id
    return Scope(tenant_id if tenant_id and known.has_tenant(tenant_id) else "", claimed.scenario_id)
