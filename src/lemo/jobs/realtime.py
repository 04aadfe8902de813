"""Real time without Flink: sessions, metrics of minutes and hot scores, every minute, from the events.

Where Flink's jobs run, it finds their rows and writes what they lack: neither undoes the other (docs/realtime.md).
"""

from lemo.domain.counting import goal_of
from lemo.domain.realtime import HALF_LIVES
from lemo.domain.scope import Scope
from lemo.jobs.report import Done, Report, idle
from lemo.stores.clickhouse.events import UNDER_WAY_MS
from lemo.stores.clickhouse.realtime import BUCKET_EVENTS
from lemo.stores.connect import Stores
from lemo.stores.redis.hot_scores import KEPT
from lemo.stores.redis.minute_metrics import KEPT_SECONDS

_KEPT_RUNS = 5
"""Runs of a scenario that stay in the history; they would crowd out those of all other jobs."""


def aggregate(stores: Stores, scope: Scope, report: Report) -> Done:
    """Computes what the events that came in since the last run change.

    The first run, and a full one, goes through all events. A run that dies is repeated: every write is idempotent.
    """
    stores.events.migrate()
    since = 0 if report.full else stores.realtime.position(scope)
    new = stores.realtime.arrived(scope, since)
    stores.runs.keep_newest(scope, "aggregate-realtime-minutely", _KEPT_RUNS)
    if not new.events:
        stores.hot_scores.raise_to(scope, {}, new.now_ms)
        return idle("No events came in since the last run.")
    scenario = stores.scenarios.get(scope)
    report.stage("hot scores")
    levels = stores.realtime.hot_levels(scope, new.now_ms, scenario.actions, KEPT)
    report.check()
    stores.hot_scores.raise_to(scope, levels, new.now_ms)
    report.stage("metrics of minutes")
    minutes = stores.realtime.make_minutes(scope, since, new, goal_of(scenario))
    stores.minute_metrics.put(scope, stores.realtime.minutes(scope, new.now_ms - KEPT_SECONDS * 1000))
    buckets = 1 + new.events // BUCKET_EVENTS
    report.stage("sessions", buckets)
    sessions = 0
    for bucket in range(buckets):
        report.check()
        sessions += stores.realtime.make_sessions(scope, since, new, bucket, buckets)
        report.advance()
    report.check()
    # An insert may be under way whose events bear an earlier moment.
    stores.realtime.advance(scope, new.now_ms - UNDER_WAY_MS)
    hot = len(levels[next(iter(HALF_LIVES))])
    return Done(new.events, sessions + minutes, {"session_rows": sessions, "minute_rows": minutes, "hot_items": hot})
