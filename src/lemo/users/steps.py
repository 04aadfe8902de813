"""Where a user leaves traces, store by store: how they are removed, and how they are looked for.

A new store with users in it is one line of `STEPS`; a table of ClickHouse is one line of `removal.TABLES`.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from lemo.domain.scope import Scope
from lemo.domain.time import from_milliseconds
from lemo.recommenders.data.strings import unpack_strings
from lemo.stores.clickhouse.removal import ANSWERS, EVENTS, USER_TABLES, Table
from lemo.stores.connect import Stores
from lemo.stores.documents import PROFILES
from lemo.stores.objects.snapshots import SIMILARITY_STATE
from lemo.streams import Record
from lemo.streams.dead_letters import read_dead_letter
from lemo.streams.topics import Topics


@dataclass(frozen=True, slots=True)
class Target:
    """Whom to erase: a user of one scenario, or in a scope without one, of all that the tenant's stores share."""

    scope: Scope
    user_id: str
    before_ms: int
    """Unix ms; what the user did from then on stays."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one step removed, and what its engine's files may still hold."""

    removed: int
    remains: str = ""
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One store: `erase` removes the user, `count` says how much is left. Both raise EngineUnavailable.

    `count` is None where nobody can search: the receipt says what remains until when.
    """

    store: str
    erase: Callable[[Stores, Target], Outcome]
    count: Callable[[Stores, Target], int | None]


def _count_rows(table: Table, stores: Stores, target: Target) -> int:
    return stores.removal.count_user(table, target.scope, target.user_id, target.before_ms)


def _erase_rows(table: Table, stores: Stores, target: Target) -> Outcome:
    count = _count_rows(table, stores, target)
    if not count:
        return Outcome(0)
    if table == EVENTS:
        with stores.aggregates.changing(target.scope):
            stores.removal.erase_user(table, target.scope, target.user_id, target.before_ms)
    elif table == ANSWERS:
        with stores.aggregates.changing(target.scope, stores.removal.hours(target.scope, target.user_id, table)):
            stores.removal.erase_user(table, target.scope, target.user_id, target.before_ms)
        stores.traffic.drop_replaced(target.scope)  # they hold hashes of users
    else:
        stores.removal.erase_user(table, target.scope, target.user_id, target.before_ms)
    parts = stores.removal.replaced_parts(table)
    remains = f"{parts} replaced parts, which the engine deletes from its disk within minutes (old_parts_lifetime)."
    return Outcome(count, remains if parts else "")


def _erase_history(stores: Stores, target: Target) -> Outcome:
    return Outcome(stores.history.erase_before(target.scope, target.user_id, target.before_ms))


def _count_history(stores: Stores, target: Target) -> int:
    return stores.history.count_before(target.scope, target.user_id, target.before_ms)


def _erase_seen(stores: Stores, target: Target) -> Outcome:
    held = stores.seen.counts(target.scope, [target.user_id])[0]
    stores.seen.delete(target.scope, [target.user_id])
    return Outcome(held)


def _count_seen(stores: Stores, target: Target) -> int:
    # Items of events since the erasure are those of a new user.
    since = {each.item_id for each in stores.events.history(target.scope, target.user_id, 100_000)}
    since |= {each.item_id for each in stores.history.read(target.scope, target.user_id)}
    return len(stores.seen.read_many(target.scope, [target.user_id])[0] - since)


def _erase_precomputed(stores: Stores, target: Target) -> Outcome:
    return Outcome(int(stores.precomputed.delete(target.scope, target.user_id)))


def _count_precomputed(stores: Stores, target: Target) -> int:
    stored = stores.precomputed.read(target.scope, target.user_id)
    return int(stored is not None and not stores.events.history(target.scope, target.user_id, 1))


def _erase_profile(stores: Stores, target: Target) -> Outcome:
    return Outcome(stores.documents.delete(PROFILES, target.scope, [target.user_id]))


def _count_profile(stores: Stores, target: Target) -> int:
    body = stores.documents.get(PROFILES, target.scope, target.user_id)
    if body is None:
        return 0
    last = body.get("last_event_at")
    return int(last is None or datetime.fromisoformat(last) < from_milliseconds(target.before_ms))


def _erase_state(stores: Stores, target: Target) -> Outcome:
    if not _count_state(stores, target):
        return Outcome(0)
    stores.snapshots.delete_kind(target.scope, SIMILARITY_STATE)
    return Outcome(1, "A worker on another machine may hold a copy in its cache until the next run of the job.")


def _count_state(stores: Stores, target: Target) -> int:
    version = stores.snapshots.current(target.scope, SIMILARITY_STATE)
    if version is None:
        return 0
    users = unpack_strings("user_ids", stores.snapshots.open(target.scope, SIMILARITY_STATE, version).arrays)
    return int(target.user_id in users)


def _event_topics(stores: Stores, target: Target) -> list[str]:
    topics = Topics(stores.settings)
    own = f"{topics.tenant_prefix}{target.scope.tenant_id}"
    tenants = [topic for topic in topics.read_of(stores.log) if topic == own]
    return [topics.events, *tenants, *(topic for topic in (topics.accepted, topics.realtime) if topic)]


def _of_user(topics: Topics, target: Target, record: Record) -> bool:
    """Whether a record of an event topic is about the user, and from before the erasure."""
    if record.timestamp >= target.before_ms:
        return False
    return _about(target, record.value, topics.tenant_of(record.topic) == target.scope.tenant_id)


def _in_answers(target: Target, record: Record) -> bool:
    """Whether a message of what was served tells of the user, and is from before the erasure."""
    return record.timestamp < target.before_ms and _about(target, record.value, of_tenant=False)


def _in_letter(topics: Topics, target: Target, record: Record) -> bool:
    """Whether a dead letter from a topic of events is about the user."""
    letter = read_dead_letter(record)
    if letter.topic in topics.items or letter.tenant_id not in ("", target.scope.tenant_id):
        return False
    return _about(target, record.value, letter.tenant_id == target.scope.tenant_id)


def _about(target: Target, message: bytes, of_tenant: bool) -> bool:
    """Whether an event message is about the user; `of_tenant` says that only the tenant can have sent it.

    What is no JSON is, where it holds the ids as words.
    """
    scope = target.scope
    try:
        body = json.loads(message)
    except ValueError:
        text = message.decode(errors="replace")
        words = [target.user_id, *([] if of_tenant else [scope.tenant_id])]
        return all(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) for word in words)
    if not isinstance(body, dict):
        return False
    answers = body["answers"] if isinstance(body.get("answers"), list) else []
    users = [body.get("user_id"), *(each.get("user_id") for each in answers if isinstance(each, dict))]
    if target.user_id not in map(str, users):
        return False
    tenant_id = scope.tenant_id if of_tenant else body.get("tenant_id")
    return tenant_id == scope.tenant_id and scope.scenario_id in ("", body.get("scenario_id"))


def _erase_log(stores: Stores, target: Target) -> Outcome:
    wanted = partial(_of_user, Topics(stores.settings), target)
    done = [stores.log.remove(topic, wanted) for topic in _event_topics(stores, target)]
    last = max((each.until for each in done if each.until), default=None)
    words = " ".join(dict.fromkeys(each.remains for each in done if each.remains))
    return Outcome(sum(each.count for each in done), words, from_milliseconds(last) if last else None)


def _count_log(stores: Stores, target: Target) -> int | None:
    if stores.settings.kafka_bootstrap_servers:
        return None  # nothing was deleted, and it would take days of records to read
    wanted = partial(_of_user, Topics(stores.settings), target)
    return sum(wanted(record) for topic in _event_topics(stores, target) for record in stores.log.scan(topic))


def _erase_answers(stores: Stores, target: Target) -> Outcome:
    # With the message go the answers to others that it holds, where no consumer has taken them in yet.
    done = stores.log.remove(stores.settings.kafka_served_topic, partial(_in_answers, target))
    return Outcome(done.count, done.remains, from_milliseconds(done.until) if done.until else None)


def _count_answers(stores: Stores, target: Target) -> int | None:
    if stores.settings.kafka_bootstrap_servers:
        return None
    return sum(_in_answers(target, record) for record in stores.log.scan(stores.settings.kafka_served_topic))


def _erase_letters(stores: Stores, target: Target) -> Outcome:
    wanted = partial(_in_letter, Topics(stores.settings), target)
    done = stores.log.remove(stores.settings.kafka_dead_letter_topic, wanted)
    return Outcome(done.count, done.remains, from_milliseconds(done.until) if done.until else None)


def _count_letters(stores: Stores, target: Target) -> int | None:
    if stores.settings.kafka_bootstrap_servers:
        return None
    wanted = partial(_in_letter, Topics(stores.settings), target)
    return sum(map(wanted, stores.log.scan(stores.settings.kafka_dead_letter_topic)))


def _erase_redis_file(stores: Stores, _: Target) -> Outcome:
    return Outcome(0, stores.key_removal.rewrite_file())


def _erase_document_files(stores: Stores, _: Target) -> Outcome:
    return Outcome(0, stores.documents.scrub())


def _not_searched(_: Stores, __: Target) -> None:
    return None


STEPS = (
    *(
        Step(f"ClickHouse: {table.name}", partial(_erase_rows, table), partial(_count_rows, table))
        for table in USER_TABLES
    ),
    Step("Redis: history", _erase_history, _count_history),
    Step("Redis: seen items", _erase_seen, _count_seen),
    Step("Redis: precomputed recommendations", _erase_precomputed, _count_precomputed),
    Step("documents: profile", _erase_profile, _count_profile),
    Step("snapshots: state of the similarity job", _erase_state, _count_state),
)
"""For each scenario."""
SHARED_STEPS = (
    Step("log: events", _erase_log, _count_log),
    Step("log: answers", _erase_answers, _count_answers),
    Step("log: dead letters", _erase_letters, _count_letters),
    Step("files of Redis", _erase_redis_file, _not_searched),
    Step("files of the documents", _erase_document_files, _not_searched),
)
"""Once, after those of all scenarios."""
