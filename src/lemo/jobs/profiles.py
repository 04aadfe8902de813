"""User profiles: each active user's preferences for categories, tags and authors, from the recent history."""

import pyarrow as pa

from lemo.domain.interaction import Interaction
from lemo.domain.scope import Scope
from lemo.jobs.ratings import with_scales
from lemo.jobs.report import NO_EVENTS, Done, Report, idle
from lemo.jobs.seen import restore_seen
from lemo.recommenders.profiles import Profiler
from lemo.stores.connect import Stores
from lemo.stores.documents import PROFILES

DAY_MS = 86_400_000
BATCH = 1_000


def profile(stores: Stores, scope: Scope, report: Report) -> Done:
    """Writes a profile for each active user, and restores histories that Redis has lost."""
    scenario = with_scales(stores, scope)
    seen_restored = restore_seen(stores, scope, scenario, report)
    now = stores.events.now(scope)
    if now is None:
        return idle(NO_EVENTS)
    report.stage("reading histories")
    since = now - scenario.active_days * DAY_MS
    in_history = [action for action, rule in scenario.actions.items() if rule.in_history]
    table = stores.events.histories(scope, since, stores.settings.history_length, in_history)
    profiler = Profiler(list(stores.items.scan(scope)), scenario.actions)
    histories = _by_user(table)
    users = sorted(histories)
    report.stage("writing profiles", len(users))
    for start in range(0, len(users), BATCH):
        # Of users who were erased since the events were read, nothing comes back.
        stores.user_changes.refresh()
        current = stores.user_changes.kept(scope, {user: histories[user] for user in users[start : start + BATCH]})
        batch = list(current)
        profiles = profiler.profiles(batch, [current[user] for user in batch])
        report.check()
        bodies = {one.user_id: one.model_dump(mode="json") for one in profiles}
        stores.documents.put_newer(PROFILES, scope, bodies, dict.fromkeys(bodies, report.fence))
        stores.history.replace_missing(scope, current)
        report.advance(len(users[start : start + BATCH]))
    return Done(table.num_rows, len(users), {"seen_put_right": seen_restored})


def _by_user(table: pa.Table) -> dict[str, list[Interaction]]:
    """The interactions of each user."""
    histories: dict[str, list[Interaction]] = {}
    columns = (table.column(name).to_pylist() for name in ("user_id", "item_id", "action", "value", "timestamp"))
    for user_id, item_id, action, value, timestamp in zip(*columns, strict=True):
        histories.setdefault(user_id, []).append(Interaction(item_id, action, value, timestamp))
    return histories
