"""Writes what Flink computed: sessions and minutes to ClickHouse, hot scores and the last minutes to Redis.

Each write may be repeated and may come late: rows of fewer events change nothing (`domain/realtime.py`).
"""

from collections.abc import Sequence

from lemo.domain.scope import Scope
from lemo.stores.connect import Stores
from lemo.streams.realtime_messages import HotResult, MinuteResult, Result, SessionResult, scopes_of


def write_computed(stores: Stores, results: Sequence[Result]) -> None:
    """Writes results of any scopes; raises EngineUnavailable."""
    sessions: dict[tuple[Scope, str], SessionResult] = {}
    minutes: dict[tuple[Scope, int, str], MinuteResult] = {}
    levels: dict[tuple[Scope, str], HotResult] = {}
    # Of the rows of one key in a batch the one of most events, as the stores would keep it.
    for each in results:
        scope = Scope(each.tenant_id, each.scenario_id)
        if isinstance(each, SessionResult):
            known = sessions.get((scope, each.event_id))
            if known is None or known.row.version <= each.row.version:
                sessions[scope, each.event_id] = each
        elif isinstance(each, MinuteResult):
            before = minutes.get((scope, each.minute, each.placement))
            if before is None or before.events <= each.events:
                minutes[scope, each.minute, each.placement] = each
        else:
            last = levels.get((scope, each.item_id))
            if last is None or last.until_ms <= each.until_ms:
                levels[scope, each.item_id] = each
    stores.realtime.insert_sessions([(scope, each.row) for (scope, _), each in sessions.items()])
    stores.realtime.insert_minutes([(scope, each.row) for (scope, *_), each in minutes.items()])
    for scope in scopes_of(results):
        stores.minute_metrics.put(scope, (each.row for (of, *_), each in minutes.items() if of == scope))
        hot = {item: each for (of, item), each in levels.items() if of == scope}
        if hot:
            half_lives = {name for each in hot.values() for name in each.levels}
            by_life = {
                name: {item: each.levels[name] for item, each in hot.items() if name in each.levels}
                for name in sorted(half_lives)
            }
            stores.hot_scores.raise_to(scope, by_life, max(each.until_ms for each in hot.values()))
