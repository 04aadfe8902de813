"""Reads and checks a batch of records: items, events and dead letters to write.

It is long because every kind of record is taken here: items, events, answers, and what Flink computed.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lemo.domain.event import Event
from lemo.domain.event_columns import EventColumns, Repeats
from lemo.domain.interaction import interaction_weight
from lemo.domain.item import LONGEST_ID, Item
from lemo.domain.scenario import ActionRule
from lemo.domain.scope import Scope
from lemo.ingest.batch_trace import BatchTrace
from lemo.ingest.scenario_cache import ScenarioCache
from lemo.serving.assembly import source_of
from lemo.stores.clickhouse.aggregates import hour_of
from lemo.stores.clickhouse.served import ServedRow
from lemo.stores.documents.catalogue import item_version
from lemo.stores.documents.user_changes import UserChanges
from lemo.streams import Message, Record
from lemo.streams.dead_letters import dead_letter
from lemo.streams.event_messages import read_event_messages
from lemo.streams.item_results import Result as ItemResult
from lemo.streams.item_results import refused_results, rejected_result, result_messages, taken_result
from lemo.streams.messages import BadMessage, check_arrival, read_event_message, read_item_message, rewrapped
from lemo.streams.realtime_messages import Result, SessionResult, accepted_messages, acts_of, read_result
from lemo.streams.served_messages import read_served_message
from lemo.streams.topics import Topics


@dataclass(slots=True)
class Batch:
    """The contents of a batch, to be written."""

    items: dict[Scope, list[tuple[Item, Record]]] = field(default_factory=dict)
    """By scope the writes of items, in order, with their records."""
    events: EventColumns = field(default_factory=EventColumns)
    in_history: EventColumns = field(default_factory=EventColumns)
    """The events that belong into the recent history of their users."""
    filtering: EventColumns = field(default_factory=EventColumns)
    """The events whose items must not be recommended to their users again."""
    dead: list[Message] = field(default_factory=list)
    rejected: list[tuple[Scope, ItemResult]] = field(default_factory=list)
    """The results of refused items."""
    repeats: Repeats = field(default_factory=Repeats)
    """Events left out because their id is in the batch already."""
    conflicts: list[tuple[Scope, str]] = field(default_factory=list)
    """Ids that came in an earlier batch with other contents, as far as they are remembered (`recent_ids`)."""
    revision: str = ""
    """The newest change of users and scenarios when the batch was read."""
    erased: int = 0
    """Events and answers left out because their user was erased after they happened."""
    event_records: int = 0
    """Number of records from topics of events."""
    served: list[ServedRow] = field(default_factory=list)
    """What the API answered."""
    accepted: list[Message] = field(default_factory=list)
    """The events for Flink's jobs, where there are some."""
    computed: list[Result] = field(default_factory=list)
    """What Flink computed."""
    computed_records: int = 0
    """Number of records from the topic of what Flink computed."""
    served_records: int = 0
    """Number of records from the topic of answers."""
    trace: BatchTrace | None = None
    """Where traces are on and records of the batch belong to some."""

    @property
    def other_contents(self) -> int:
        """Events whose id came before with other contents, in this batch or one before."""
        return self.repeats.other + len(self.conflicts)

    @property
    def item_count(self) -> int:
        """Number of writes of items."""
        return sum(len(items) for items in self.items.values())

    def acts(self) -> list[tuple[str, str, str, int]]:
        """What is written of users: tenant, scenario, user and Unix ms of each row."""
        columns = self.events
        return [
            *zip(columns.tenant_id, columns.scenario_id, columns.user_id, columns.timestamp, strict=True),
            *((row.tenant_id, row.scenario_id, row.user_id, row.at) for row in self.served if row.user_id),
            *(
                (row.tenant_id, row.scenario_id, row.user_id, row.at_ms)
                for row in self.computed
                if isinstance(row, SessionResult)
            ),
        ]

    def hours(self) -> set[tuple[Scope, int]]:
        """The scopes and hours (Unix seconds) of the events and the answers."""
        columns = self.events
        found = {
            (tenant_id, scenario_id, hour_of(moment))
            for tenant_id, scenario_id, moment in zip(
                columns.tenant_id, columns.scenario_id, columns.timestamp, strict=True
            )
        }
        found |= {(row.tenant_id, row.scenario_id, hour_of(row.at)) for row in self.served}
        return {(Scope(tenant_id, scenario_id), hour) for tenant_id, scenario_id, hour in found}

    def results(self, accepted: Mapping[Scope, Sequence[bool]]) -> list[Message]:
        """The results of all items, where `accepted` says of each write in `items` whether the store applied it."""
        results = list(self.rejected)
        for scope, writes in self.items.items():
            for (item, record), applied in zip(writes, accepted[scope], strict=True):
                version = item_version(item, record.timestamp)
                results.append((scope, taken_result(record, item.item_id, version, accepted=applied)))
        return result_messages(results)


def read_batch(records: Sequence[Record], topics: Topics, scenarios: ScenarioCache, user_changes: UserChanges) -> Batch:
    """Reads and checks every record. An invalid record becomes a dead letter and affects no other.

    Records without a value (tombstones of Kafka Connect) say nothing and are passed over.

    Events of users who were merged become those of the user they were merged into; what erased users did before their
    erasure is left out.
    """
    scenarios.begin_batch()
    batch = Batch()
    events: dict[str | None, list[Record]] = {}
    owners: dict[str, str | None] = {}
    for record in records:
        topic = record.topic
        if topic in topics.items:
            try:
                _take_items(record, scenarios, batch)
            except BadMessage as error:
                if record.is_tombstone:
                    continue
                batch.dead.append(_dead_letter(record, error, scenarios))
                scope = _dead_letter_scope(error, scenarios)
                # The claimed name is not checked, and may be as long as the message.
                scope = Scope(scope.tenant_id, scope.scenario_id[:LONGEST_ID])
                batch.rejected += ((scope, result) for result in refused_results(record, error))
        elif topic == topics.served:
            batch.served_records += 1
            try:
                batch.served += _served_rows(record, scenarios)
            except BadMessage as error:
                batch.dead.append(_dead_letter(record, error, scenarios))
        elif topic == topics.realtime:
            batch.computed_records += 1
            try:
                batch.computed.append(read_result(record.value))
            except BadMessage as error:
                batch.dead.append(_dead_letter(record, error, scenarios))
        else:
            if topic not in owners:
                # A topic with an ending that no tenant can have carries no tenant's events.
                owners[topic] = None if topic == topics.events else topic.removeprefix(topics.tenant_prefix)
            events.setdefault(owners[topic], []).append(record)
    for owner, owned in events.items():
        batch.event_records += len(owned)
        batch.events.extend(_take_events(owned, owner, scenarios, batch.dead))
    batch.events, batch.repeats = batch.events.once()
    columns = user_changes.applied(batch.events)
    batch.erased = len(batch.events) - len(columns)
    batch.events = columns
    served = [row for row in batch.served if not _is_erased(row, user_changes)]
    batch.erased += len(batch.served) - len(served)
    batch.served = served
    if topics.accepted:
        batch.accepted = accepted_messages(acts_of(columns, scenarios.judge))
    batch.computed = [each for each in batch.computed if _still_holds(each, scenarios, user_changes)]
    actions = list(zip(columns.tenant_id, columns.scenario_id, columns.action, strict=True))
    in_history = {action: bool(scenarios.in_history(*action)) for action in set(actions)}
    batch.in_history = (
        columns if all(in_history.values()) else columns.where([in_history[action] for action in actions])
    )
    rules = {action: scenarios.rule_of(*action) for action in in_history}
    if all(rule is not None and rule.seen for rule in rules.values()):
        batch.filtering = columns
    else:
        batch.filtering = columns.where(
            [_filters(rules[action], value) for action, value in zip(actions, columns.value, strict=True)]
        )
    return batch


def _is_erased(row: ServedRow, user_changes: UserChanges) -> bool:
    """Whether the user whom the row tells of was erased after it."""
    return bool(row.user_id) and row.at < user_changes.erased_before(Scope(row.tenant_id, row.scenario_id), row.user_id)


def _still_holds(result: Result, scenarios: ScenarioCache, user_changes: UserChanges) -> bool:
    """Whether the scenario is there, and the user of a row was not erased or merged since.

    What a merge changes is computed by the worker: the events of the guest come in again.
    """
    scope = Scope(result.tenant_id, result.scenario_id)
    try:
        scenarios.check(scope)
    except BadMessage:
        return False
    if not isinstance(result, SessionResult):
        return True
    erased = result.at_ms < user_changes.erased_before(scope, result.user_id)
    return not erased and result.user_id not in user_changes.merged(scope)


def _filters(rule: ActionRule | None, value: float | None) -> bool:
    """Whether the item is filtered for the user, at least until a later positive event is read from the event store."""
    return rule is not None and (rule.seen or interaction_weight(rule, value) < 0)


def _take_events(
    records: Sequence[Record], owner: str | None, scenarios: ScenarioCache, dead: list[Message]
) -> EventColumns:
    """The valid events of the records. Records of a tenant's own topic (`owner`) must be of that tenant."""

    def is_known(tenant_id: str, scenario_id: str, action: str) -> bool:
        return owner in (None, tenant_id) and scenarios.in_history(tenant_id, scenario_id, action) is not None

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
            scenarios.rule(scope, event.action)
        except BadMessage as error:
            if not records[index].is_tombstone:
                dead.append(_dead_letter(records[index], error, scenarios, owner))
            return None
        return scope, event

    return read_event_messages(
        [record.value for record in records],
        [record.timestamp for record in records],
        time.time_ns() // 1_000_000,
        is_known,
        read_slowly,
    )


def _served_rows(record: Record, scenarios: ScenarioCache) -> list[ServedRow]:
    scope, share, answers = read_served_message(record.value, record.timestamp)
    scenarios.check(scope)
    rows = []
    for each in answers:
        sent = each.answer
        rows.append(
            ServedRow(
                tenant_id=scope.tenant_id,
                scenario_id=scope.scenario_id,
                at=each.at,
                request_id=sent.request_id,
                kind=each.kind,
                user_id=each.user_id,
                session=each.session,
                of_items=each.of_items,
                placement=each.placement or "",
                item_ids=[item.item_id for item in sent.items],
                sources=[item.source or source_of(item.reason) for item in sent.items],
                explored=[item.explored for item in sent.items],
                propensities=[item.propensity for item in sent.items],
                model_version=sent.model_version or "",
                pipeline_version=each.pipeline_version if sent.pipeline_version is None else sent.pipeline_version,
                experiment=sent.experiment or "",
                arm=sent.arm or "",
                degraded=sent.degraded,
                took_us=each.took_us,
                share=share,
                session_id=each.session_id,
                scores=[item.score for item in sent.items if item.score is not None],
                teams=[item.team for item in sent.items] if any(item.team for item in sent.items) else [],
            )
        )
    return rows


def _take_items(record: Record, scenarios: ScenarioCache, batch: Batch) -> None:
    message = read_item_message(record.value)
    scenarios.check(message.scope)
    if message.items:
        batch.items.setdefault(message.scope, []).extend((item, record) for item in message.items)
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


def _dead_letter(record: Record, error: BadMessage, scenarios: ScenarioCache, owner: str | None = None) -> Message:
    """The dead letter of a record: of the tenant of the topic, else of the tenant that the record claims."""
    scope = _dead_letter_scope(error, scenarios, owner)
    return dead_letter(record, error, tenant_id=scope.tenant_id, scenario_id=scope.scenario_id)


def _dead_letter_scope(error: BadMessage, scenarios: ScenarioCache, owner: str | None = None) -> Scope:
    """The claimed scenario, with the tenant of the topic, else the claimed tenant if it exists, else none."""
    claimed = error.scope or Scope("")
    tenant_id = owner or claimed.tenant_id
    return Scope(tenant_id if tenant_id and scenarios.has_tenant(tenant_id) else "", claimed.scenario_id)
