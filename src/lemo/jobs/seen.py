"""Keeps the sets of seen items in Redis equal to the events: restores lost items, removes obsolete ones."""

from collections.abc import Iterator, Sequence
from hashlib import blake2b

import structlog

from lemo.domain.interaction import filtered_items
from lemo.domain.scenario import Scenario
from lemo.domain.scope import Scope
from lemo.jobs.report import Report
from lemo.stores.connect import Stores

log = structlog.get_logger()

COUNT_BATCH = 10_000
"""Users whose counts are compared in one batch."""
WRITE_BATCH = 1_000
"""Users whose items are read in one batch."""


def restore_seen(stores: Stores, scope: Scope, scenario: Scenario, report: Report) -> int:
    """Makes each user's set of seen items follow the events and rules. Returns the number of users written.

    All users with an event are checked, not only active ones: a user who returns after years must not get what was
    bought then. The check is one count per user. Items are read only for users whose counts differ (Redis was emptied
    or lost its last writes, events were deleted), and for all users after a change of rules, as counts may be equal.
    """
    report.stage("comparing what users have seen")
    counts = stores.events.filtered_counts(scope, scenario.actions)
    rules_digest = _rules_digest(scenario)
    same_rules = stores.seen.basis(scope) == rules_digest
    differing: list[str] = []
    users = list(counts)
    for batch in _batches(users, COUNT_BATCH):
        held = stores.seen.counts(scope, batch)
        differing += [user for user, count in zip(batch, held, strict=True) if not same_rules or counts[user] != count]
        report.check()
    for batch in _batches(differing, WRITE_BATCH):
        _restore(stores, scope, scenario, batch)
        report.check()
    if not same_rules:
        stores.seen.set_basis(scope, rules_digest)
    if differing:
        log.info("sets of seen items corrected", scope=str(scope), users=len(differing))
    return len(differing)


def drop_users_without_events(stores: Stores, scope: Scope, scenario: Scenario) -> int:
    """Clears the sets of users without events (past their retention). Returns their number."""
    counts = stores.events.filtered_counts(scope, scenario.actions)
    without_events = sorted({user for user in stores.seen.users(scope) if user not in counts})
    for batch in _batches(without_events, WRITE_BATCH):
        _restore(stores, scope, scenario, batch)
    return len(without_events)


def _rules_digest(scenario: Scenario) -> str:
    """Digest of the part of the rules that decides which items are filtered."""
    rules = {action: rule.seen or rule.weighing for action, rule in sorted(scenario.actions.items())}
    return blake2b(repr(rules).encode(), digest_size=12).hexdigest()


def _restore(stores: Stores, scope: Scope, scenario: Scenario, users: Sequence[str]) -> None:
    expected = stores.events.filtered_items(scope, scenario.actions, users)
    held = dict(zip(users, stores.seen.read_many(scope, users), strict=True))
    # The consumer writes to Redis and to the event store in parallel: the newest interactions may be only in Redis.
    recent = dict(zip(users, stores.history.read_many(scope, users), strict=True))
    missing = {user: items - held[user] for user, items in expected.items() if items - held[user]}
    extra = {
        user: items
        for user in users
        if (items := held[user] - expected.get(user, set()) - filtered_items(recent[user], scenario.actions))
    }
    stores.seen.add_items(scope, missing)
    stores.seen.remove_items(scope, extra)


def _batches(users: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(users), size):
        yield users[start : start + size]
