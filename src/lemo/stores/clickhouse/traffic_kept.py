"""What is kept of days, hours and answers as it is read: which of it holds, and the queries of its numbers.

docs/decisions/0026-days-of-analytics.md and 0028-while-rows-arrive.md.
"""
# ruff: noqa: S608 - names of our own tables and expressions of our own are put into queries; values travel as parameters

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from lemo.domain.counting import CountingRules
from lemo.domain.deadlines import FOR_JOBS, Deadlines
from lemo.domain.scope import Scope
from lemo.stores.clickhouse.aggregates import ALL
from lemo.stores.clickhouse.client import WHERE_SCOPE
from lemo.stores.clickhouse.traffic_metrics import ATTRIBUTED, DIRECT, sums
from lemo.stores.clickhouse.traffic_periods import HOUR_MS, Part, Period
from lemo.stores.clickhouse.traffic_plan import Slice, State, day_numbered, day_of, days_touched, number_of
from lemo.stores.clickhouse.traffic_rows import TrafficRows

PARTS: tuple[Part, ...] = ("attributed", "direct")
COMMITTED = "counted"
"""What the row of a day or hour that says that all its others are written is grouped `by`."""
_DIRECT = 1_000_000
"""What is added to the number of a day of the part `direct`, so that one number says both."""


class TrafficKept(TrafficRows):
    """Reads what `TrafficDays` keeps. Each call raises EngineUnavailable."""

    def __init__(self, url: str, database: str, deadlines: Deadlines = FOR_JOBS) -> None:
        super().__init__(url, database, deadlines)
        self._days = f"{self._database}.analytics_numbers"
        self._hours = f"{self._database}.analytics_hours"
        self._marks = f"{self._database}.events_marks"
        self._raw: Mapping[Part, tuple[str, str]] = {
            "attributed": (self._answers, "at"),
            "direct": (self._events, "timestamp"),
        }
        """The table of a part's raw rows, and its column of moments."""

    def _state(self, scope: Scope, period: Period, rules: CountingRules) -> State:
        """Which days of a period are counted."""
        # The marks are read first: a day whose mark has just been dropped is counted already.
        marked = self._marked(scope)
        zone = ZoneInfo(rules.zone)
        spans = self._spans(scope, rules, day_of(period.since_ms, zone), day_of(period.until_ms - 1, zone))
        changing = {part: set() if ALL in marked else days_touched(part, marked, rules) for part in PARTS}

        def has_rows(part: Part, period: Period) -> bool:
            table, column = self._raw[part]
            query = (
                f"SELECT 1 FROM {table} WHERE {WHERE_SCOPE} AND {column} >= fromUnixTimestamp64Milli({{since:Int64}}) "
                f"AND {column} < fromUnixTimestamp64Milli({{until:Int64}}) LIMIT 1"
            )
            return bool(self._query(query, scope, since=period.since_ms, until=period.until_ms))

        hours = self._hours_there(scope, rules, period) - marked if marked and ALL not in marked else set()
        return State(zone, ALL in marked, digest(rules), marked, hours, changing, spans, has_rows)

    def _marked(self, scope: Scope) -> set[int]:
        """The marked hours (Unix seconds), maybe ALL."""
        rows = self._query(f"SELECT DISTINCT toUnixTimestamp(hour) FROM {self._marks} WHERE {WHERE_SCOPE}", scope)
        return {int(hour) for (hour,) in rows}

    def _spans(
        self, scope: Scope, rules: CountingRules, first: date, last: date
    ) -> dict[Part, dict[date, tuple[int, int] | None]]:
        """`State.spans` of the days from the first to the last."""
        rows = self._query(
            f"""
            SELECT part, groupArrayIf(
                (number, toUnixTimestamp64Milli(begin), toUnixTimestamp64Milli(end), by_rules = {{rules:UInt64}}),
                number >= {{first:Int64}} AND number <= {{last:Int64}})
            FROM (
                SELECT part, toInt64(toRelativeDayNum(day)) AS number, argMax(first, version) AS begin,
                       argMax(last, version) AS end, argMax(rules, version) AS by_rules
                FROM {self._days} WHERE {WHERE_SCOPE} AND by = '{COMMITTED}' GROUP BY part, day
            )
            GROUP BY part
            """,
            scope,
            rules=digest(rules),
            first=number_of(first),
            last=number_of(last),
        )
        return {
            part: {day_numbered(number): (begin, end) if current else None for number, begin, end, current in days}
            for part, days in rows
        }

    def _as_now(self, part: Part, scope: Scope, rules: CountingRules, days: Sequence[date]) -> list[date]:
        """Those of some days that were counted last by these rules and this program."""
        found = self._spans(scope, rules, days[0], days[-1]).get(part, {})
        return [day for day in days if found.get(day) is not None]

    def _hours_there(self, scope: Scope, rules: CountingRules, period: Period) -> set[int]:
        """The hours (Unix seconds) of a period of which events are counted."""
        rows = self._query(
            f"""
            SELECT toUnixTimestamp(hour) FROM {self._hours}
            WHERE {WHERE_SCOPE} AND by = '{COMMITTED}' AND hour >= toDateTime({{since:Int64}}, 'UTC')
                AND hour < toDateTime({{until:Int64}}, 'UTC')
            GROUP BY hour HAVING argMax(rules, version) = {{rules:UInt64}}
            """,
            scope,
            rules=digest(rules),
            since=max(0, period.since_ms - HOUR_MS) // 1000,
            until=min(period.until_ms // 1000 + 1, 2**32 - 1),
        )
        return {int(hour) for (hour,) in rows}

    def _stored(self, by: Iterable[str], days: Sequence[tuple[Part, bool, date]]) -> tuple[str, dict[str, Any]]:
        """One query of the kept numbers of days, each of a part, of the period (False) or of the one before.

        It has the columns part, before and raw (0), and those of `_rolled` but the moments.
        """
        query = f"""
            SELECT part, place IN {{then:Array(Int64)}} AS before, 0 AS raw, by, key, sums, distinct, users, items,
                   took, item_hashes, item_counts
            FROM (
                SELECT *, toRelativeDayNum(day) + if(part = 'direct', {_DIRECT}, 0) AS place FROM {self._days}
                WHERE {WHERE_SCOPE} AND by IN {{by:Array(String)}}
                    AND day >= addDays(toDate('1970-01-01'), {{first:Int64}})
                    AND day <= addDays(toDate('1970-01-01'), {{last:Int64}})
            )
            WHERE place IN {{places:Array(Int64)}} AND (part, day, version) IN (
                SELECT part, day, max(version) FROM {self._days}
                WHERE {WHERE_SCOPE} AND by = '{COMMITTED}' GROUP BY part, day
            )
        """
        places = [(number_of(day) + (_DIRECT if part == "direct" else 0), before) for part, before, day in days]
        numbers = [number_of(day) for *_, day in days]
        return query, {
            "by": list(by),
            "first": min(numbers),
            "last": max(numbers),
            "places": [place for place, _ in places],
            "then": [place for place, before in places if before] or [-1],
        }

    def _stored_hours(self, by: Iterable[str], slices: Sequence[Slice]) -> tuple[str, dict[str, Any]]:
        """A query of the kept numbers of events of hours, with the columns of `_rolled`, and its parameters."""
        query = f"""
            SELECT by, key, sums, emptyArrayFloat64() AS distinct, users, emptyArrayUInt64() AS items,
                   emptyArrayUInt32() AS took, item_hashes, item_counts
            FROM {self._hours}
            WHERE {WHERE_SCOPE} AND by IN {{by:Array(String)}}
                AND (toRelativeDayNum(day) * 4294967296 + toUnixTimestamp(hour)) IN {{slices:Array(Int64)}}
                AND (hour, version) IN (
                    SELECT hour, max(version) FROM {self._hours}
                    WHERE {WHERE_SCOPE} AND by = '{COMMITTED}' GROUP BY hour
                )
        """
        return query, {"by": list(by), "slices": [(number_of(day) << 32) + hour for day, hour in slices]}


def digest(rules: CountingRules) -> int:
    """A number that differs where days were counted by other rules, or by another version of the definitions."""
    definitions = [(each.name, each.sql, each.place) for part in (ATTRIBUTED, DIRECT) for each in sums(part)]
    text = repr((sorted(rules.goal.items()), rules.zone, rules.window_hours, definitions, "with outcomes and hours"))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
