"""Hourly and daily aggregates of events, which always equal the raw events: docs/decisions/0011-aggregates.md."""
# ruff: noqa: S608 - only names of our own tables are put into the text of queries; values travel as bound parameters

import uuid
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from lemo.domain.deadlines import FOR_JOBS, Deadlines
from lemo.domain.scope import Scope
from lemo.domain.time import from_milliseconds
from lemo.stores.clickhouse.client import WHERE_SCOPE, ClickHouse

HOUR = 3_600
ALL = 0
"""The hour that stands for all hours of a scope, in a mark."""
MANY_HOURS = 500
"""From so many marked hours on, it is cheaper to read all events of the scope once."""
MANY_EVENTS = 1_000_000

Period = Literal["hour", "day"]


@dataclass(slots=True)
class PeriodCounts:
    """What happened in one hour or day (UTC): events, and how many different users and items they are of."""

    start: datetime
    events: int = 0
    users: int = 0
    items: int = 0
    actions: dict[str, int] = field(default_factory=dict)
    """Events by action."""


class Aggregates(ClickHouse):
    """Counts of events by hour, kept beside the events and made anew, from the events, for each hour that changes.

    Whoever writes events marks their hours first, in an epoch of its own, and later refreshes the epoch: its hours are
    computed from the deduplicated events, then its marks are dropped. While an hour is marked, by whomever, readers
    compute it from the events. So what is read equals the events at any moment, whatever crashes in between.
    """

    def __init__(
        self,
        url: str,
        database: str,
        deadlines: Deadlines = FOR_JOBS,
        also: Callable[[Scope, Collection[int]], None] | None = None,
    ) -> None:
        """`also` refreshes what else stands on the rows of hours (or ALL) of a scope, before the marks are dropped."""
        super().__init__(url, database, deadlines)
        self._also = also
        self._events = f"{self._database}.events"
        self._hourly = f"{self._database}.events_hourly"
        self._marks = f"{self._database}.events_marks"

    def mark(self, epoch: str, hours: Iterable[tuple[Scope, int]]) -> None:
        """Marks hours (their first Unix second, or ALL) of which events are about to be written or deleted.

        An epoch's name is of hexadecimal digits and hyphens, and nobody else's.
        """
        rows = [(epoch, scope.tenant_id, scope.scenario_id, hour) for scope, hour in hours]
        names = ["epoch", "tenant_id", "scenario_id", "hour"]
        types = ["String", "LowCardinality(String)", "LowCardinality(String)", "DateTime('UTC')"]
        if rows:
            self._ask(lambda client: client.insert(self._marks, rows, column_names=names, column_type_names=types))

    def recount(self, scope: Scope) -> None:
        """Has the next consumer that looks, within a minute, count all of a scope anew."""
        rows = [(uuid.uuid4().hex, scope.tenant_id, scope.scenario_id, ALL, 0)]
        names = ["epoch", "tenant_id", "scenario_id", "hour", "marked_at"]
        types = [
            "String",
            "LowCardinality(String)",
            "LowCardinality(String)",
            "DateTime('UTC')",
            "DateTime64(3, 'UTC')",
        ]
        self._ask(lambda client: client.insert(self._marks, rows, column_names=names, column_type_names=types))

    def refresh(self, epoch: str) -> int:
        """Computes the marked hours of an epoch anew, and drops its marks; returns how many hours those were.

        Only for an epoch that nobody adds to any more, and none of whose events is still being written.
        """
        query = (
            "SELECT tenant_id, scenario_id, toUnixTimestamp(min(hour)), toUnixTimestamp(max(hour)), uniqExact(hour) "
            f"FROM {self._marks} WHERE epoch = {{epoch:String}} GROUP BY tenant_id, scenario_id"
        )
        found = self._ask(lambda client: client.query(query, parameters={"epoch": epoch}).result_rows)
        for tenant_id, scenario_id, first, last, hours in found:
            scope = Scope(tenant_id, scenario_id)
            if first == ALL:
                self._rebuild(scope)
            else:
                self._compute(scope, epoch, first, last + HOUR, hours)
            if self._also:
                self._also(scope, {ALL} if first == ALL else self._hours_of(scope, epoch))
        # The name of a partition cannot be a bound parameter.
        self._ask(lambda client: client.command(f"ALTER TABLE {self._marks} DROP PARTITION '{_checked(epoch)}'"))
        return sum(int(row[4]) for row in found)

    @contextmanager
    def changing(self, scope: Scope, hours: Iterable[int] = (ALL,)) -> Iterator[None]:
        """Around what deletes rows of hours of the scope, by default of all: afterwards they are counted anew.

        Hours need not be all where no event is deleted: one that loses all events of an action keeps its count.

        If it dies in between, `abandoned` finds the mark, and until then readers compute from the events.
        """
        epoch = uuid.uuid4().hex
        self.mark(epoch, [(scope, hour) for hour in hours])
        yield
        self.refresh(epoch)

    def abandoned(self, seconds: int, prefix: str = "") -> list[str]:
        """Epochs, of those whose name begins so, that nobody has added to for so many seconds."""
        rows = self._ask(
            lambda client: (
                client.query(
                    f"SELECT epoch FROM {self._marks} WHERE startsWith(epoch, {{prefix:String}}) GROUP BY epoch "
                    "HAVING max(marked_at) <= now64(3) - toIntervalSecond({seconds:UInt32}) ORDER BY epoch",
                    parameters={"prefix": prefix, "seconds": seconds},
                ).result_rows
            )
        )
        return [epoch for (epoch,) in rows]

    def counts(
        self, scope: Scope, by: Period, limit: int = 100, since_ms: int = 0, until_ms: int = 2**43
    ) -> list[PeriodCounts]:
        """The newest `limit` hours or days with events, of those that begin in [since, until) (Unix ms), newest first.

        Days, and users and items of a day, are counted exactly, from the hours' sets of ids; all in UTC.
        """
        # The marks are read first: an hour whose mark has just been dropped has its aggregate already.
        marked = [
            hour
            for (hour,) in self._query(
                f"SELECT DISTINCT toUnixTimestamp(hour) FROM {self._marks} WHERE {WHERE_SCOPE}", scope
            )
        ]
        if ALL in marked or len(marked) > MANY_HOURS:
            source = _hours_of(
                f"SELECT timestamp, user_id, item_id, toString(action) AS action "
                f"FROM {self._events} AS events FINAL WHERE {WHERE_SCOPE}"
            )
        else:
            source = (
                f"SELECT hour, toString(action) AS action, events, users, items FROM {self._hourly} FINAL "
                f"WHERE {WHERE_SCOPE} AND toUnixTimestamp(hour) NOT IN {{marked:Array(UInt32)}}"
            )
            if marked:
                inside = "toUnixTimestamp(toStartOfHour(timestamp)) IN {marked:Array(UInt32)}"
                source += f" UNION ALL {_hours_of(self._first_of_each_id(inside), inside)}"
        start = {"hour": "hour", "day": "toStartOfDay(hour)"}[by]
        rows = self._query(
            f"""
            SELECT toUnixTimestamp(start), action, sum(events), uniqExactMerge(users), uniqExactMerge(items)
            FROM (SELECT {start} AS start, action, events, users, items FROM ({source}))
            WHERE toUnixTimestamp(start) >= {{since:Int64}} AND toUnixTimestamp(start) < {{until:Int64}}
            GROUP BY GROUPING SETS ((start, action), (start))
            QUALIFY dense_rank() OVER (ORDER BY start DESC) <= {{limit:UInt32}}
            ORDER BY start DESC, action
            """,
            scope,
            marked=marked,
            since=-(-since_ms // 1000),
            until=-(-until_ms // 1000),
            limit=limit,
            first=min(marked, default=0),
            end=max(marked, default=0) + HOUR,
        )
        periods: dict[int, PeriodCounts] = {}
        for start, action, events, users, items in rows:
            period = periods.setdefault(start, PeriodCounts(from_milliseconds(start * 1000)))
            if action:
                period.actions[action] = events
            else:
                period.events, period.users, period.items = events, users, items
        return list(periods.values())

    def _hours_of(self, scope: Scope, epoch: str) -> set[int]:
        query = (
            f"SELECT DISTINCT toUnixTimestamp(hour) FROM {self._marks} WHERE epoch = {{epoch:String}} AND {WHERE_SCOPE}"
        )
        return {int(hour) for (hour,) in self._query(query, scope, epoch=epoch)}

    def _compute(self, scope: Scope, epoch: str, first: int, end: int, hours: int) -> None:
        """Writes the aggregates of the epoch's hours, which lie in [first, end) Unix seconds."""
        version = self._version(scope)
        marked = f"SELECT hour FROM {self._marks} WHERE epoch = {{epoch:String}} AND {WHERE_SCOPE}"
        inside = f"toStartOfHour(timestamp) IN ({marked})"
        parameters: dict[str, Any] = {"epoch": epoch, "first": first, "end": end}
        within = (
            f"{WHERE_SCOPE} AND timestamp >= fromUnixTimestamp64Milli({{first:Int64}} * 1000) "
            f"AND timestamp < fromUnixTimestamp64Milli({{end:Int64}} * 1000)"
        )
        count = f"SELECT count() FROM {self._events} WHERE {within}"
        if hours > MANY_HOURS or self._query(count, scope, **parameters)[0][0] > MANY_EVENTS:
            source = (
                f"SELECT timestamp, user_id, item_id, action FROM {self._events} AS events FINAL WHERE {WHERE_SCOPE}"
            )
        else:
            source = self._first_of_each_id(inside)
        self._insert_hours(scope, version, source, inside, **parameters)

    def _rebuild(self, scope: Scope) -> None:
        """Makes all aggregates of the scope anew. Readers compute from the events meanwhile: the scope is marked."""
        version = self._version(scope)
        self._command(f"ALTER TABLE {self._hourly} DELETE WHERE {WHERE_SCOPE}", scope)
        source = f"SELECT timestamp, user_id, item_id, action FROM {self._events} AS events FINAL WHERE {WHERE_SCOPE}"
        self._insert_hours(scope, version, source)

    def _insert_hours(self, scope: Scope, version: int, source: str, inside: str = "1", **parameters: Any) -> None:
        # Nobody waits for it, and others use the engine.
        modest = "SETTINGS max_threads = 1, max_bytes_before_external_group_by = 1000000000"
        self._command(
            f"INSERT INTO {self._hourly} SELECT {{tenant:String}}, {{scenario:String}}, *, {{version:UInt64}} "
            f"FROM ({_hours_of(source, inside)}) {modest}",
            scope,
            version=version,
            **parameters,
        )

    def _first_of_each_id(self, inside: str) -> str:
        """The rows that FINAL shows of the ids with a row inside, in [first, end), without merging all of the scope.

        The index on time finds the ids, the primary key their other rows.
        """
        return f"""
            SELECT found.1 AS timestamp, found.2 AS user_id, found.3 AS item_id, found.4 AS action FROM (
                SELECT argMax((events.timestamp, user_id, item_id, toString(action)), precedence) AS found
                FROM {self._events} AS events
                WHERE {WHERE_SCOPE} AND event_id IN (
                    SELECT event_id FROM {self._events}
                    WHERE {WHERE_SCOPE} AND {inside}
                        AND timestamp >= fromUnixTimestamp64Milli({{first:Int64}} * 1000)
                        AND timestamp < fromUnixTimestamp64Milli({{end:Int64}} * 1000)
                )
                GROUP BY event_id
            )"""

    def _version(self, scope: Scope) -> int:
        """A number that is higher than that of every aggregate whose computation began earlier."""
        return int(
            self._one(
                "SELECT greatest(toUInt64(toUnixTimestamp64Micro(now64(6))), "
                f"(SELECT max(version) + 1 FROM {self._hourly} WHERE {WHERE_SCOPE}))",
                scope,
            )
        )


def hour_of(moment_ms: int) -> int:
    """The first Unix second of the hour (UTC) that a moment (Unix ms) is in."""
    return moment_ms // 1000 // HOUR * HOUR


def _checked(epoch: str) -> str:
    if not set(epoch) <= set("0123456789abcdef-"):
        raise ValueError(f"{epoch!r} is no epoch")
    return epoch


def _hours_of(source: str, inside: str = "1") -> str:
    """The aggregates of rows (timestamp, user_id, item_id, action), of those that lie inside."""
    return (
        "SELECT toStartOfHour(timestamp) AS hour, action, count() AS events, uniqExactState(user_id) AS users, "
        f"uniqExactState(item_id) AS items FROM ({source}) WHERE {inside} GROUP BY hour, action"
    )
