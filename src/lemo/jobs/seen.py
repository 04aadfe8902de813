"""Keeps what users have seen in Redis as the events say it: whatever is lost or no longer holds there is put right."""

from collections.abc import Iterator, Sequence
from hashlib import blake2b

import structlog

from lemo.domain.interaction import filtered_items
from lemo.domain.scenario import Scenario
from lemo.domain.scope import Scope
from lemo.jobs.report import Report
from lemo.stores.connect import Stores

log = structlog.get_logger()

COUNTED = 10_000
"""Users whose counts are compared at once."""
WRITTEN = 1_000
"""Users whose items are read at once."""


def restore_seen(stores: Stores, scope: Scope, scenario: Scenario, report: Report) -> int:
    """Makes every user's set of seen items what the events and rules say; returns how many users were written.

    All users with an event are looked at, not the active ones alone: who comes back after years is not to be answered
    what was bought then. Costs one count by user; items are read of users alone whose counts differ (Redis was emptied
    or lost its last writes, events were deleted), and of all after the rules have changed, as counts may be equal then.
    """
    report.stage("comparing what users have seen")
    counts = stores.events.barred_counts(scope, scenario.actions)
    basis = _basis(scenario)
    same_rules = stores.seen.basis(scope) == basis
    differing: list[str] = []
    users = list(counts)
    for batch in _batches(users, COUNTED):
        held = stores.seen.counts(scope, batch)
        differing += [user for user, count in zip(batch, held, strict=True) if not same_rules or counts[user] != count]
        report.check()
    for batch in _batches(differing, WRITTEN):
        _restore(stores, scope, scenario, batch)
        report.check()
    if not same_rules:
        stores.seen.set_basis(scope, basis)
    if differing:
        log.info("what users have seen was put right", scope=str(scope), users=len(differing))
    return len(differing)


def drop_departed(stores: Stores, scope: Scope, scenario: Scenario) -> int:
    """Clears the sets of users of whom the events say nothing any more (past their retention); returns how many."""
    counts = stores.events.barred_counts(scope, scenario.actions)
    gone = sorted({user for user in stores.seen.users(scope) if user not in counts})
    for batch in _batches(gone, WRITTEN):
        _restore(stores, scope, scenario, batch)
    return len(gone)


def _basis(scenario: Scenario) -> str:
    """Names the part of the rules that says which items are barred."""
    rules = {action: rule.seen or rule.weighing for action, rule in sorted(scenario.actions.items())}
    return blake2b(repr(rules).encode(), digest_size=12).hexdigest()


def _restore(stores: Stores, scope: Scope, scenario: Scenario, users: Sequence[str]) -> None:
    said = stores.events.barred(scope, scenario.actions, users)
    held = dict(zip(users, stores.seen.read_many(scope, users), strict=True))
    # The consumer writes to Redis and to the event store at once, so the newest acts may be in Redis alone.
    recent = dict(zip(users, stores.history.read_many(scope, users), strict=True))
    missing = {user: items - held[user] for user, items in said.items() if items - held[user]}
    extra = {
        user: items
        for user in users
        if (items := held[user] - said.get(user, set()) - filtered_items(recent[user], scenario.actions))
    }
    stores.seen.add_items(scope, missing)
    stores.seen.remove_items(scope, extra)


def _batches(users: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(users), size):
        yield users[start : start + size]
