"""Numbers of whole days, counted from answers and events: docs/decisions/0026-days-of-analytics.md.

It is long because the query that counts a day is written out.
"""
# ruff: noqa: S608 - names of our own tables and expressions of our own are put into queries; values travel as parameters

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from lemo.domain.counting import CountingRules
from lemo.domain.deadlines import FOR_JOBS, Deadlines
from lemo.domain.scope import Scope
from lemo.stores.clickhouse.aggregates import ALL
from lemo.stores.clickhouse.client import WHERE_SCOPE
from lemo.stores.clickhouse.traffic_metrics import ATTRIBUTED, DIRECT, sums
from lemo.stores.clickhouse.traffic_plan import (
    MOST_STRETCHES,
    State,
    day_numbered,
    day_of,
    days_touched,
    number_of,
    stretch_of,
    stretches_of,
)
from lemo.stores.clickhouse.traffic_rows import KEPT, Part, Period, TrafficRows

PARTS: tuple[Part, ...] = ("attributed", "direct")
_ROWS_AT_ONCE: Mapping[Part, int] = {"attributed": 200_000, "direct": 1_500_000}
"""Answers or events that are counted in one query, about: it holds what followed from answers in memory, and ends long
before a client gives up waiting, on a busy machine too."""
_DAYS_AT_ONCE = 1_000
_LAST_DAY = 65_535
"""The last day that ClickHouse's type of days knows, in 2149."""
_COMMITTED = "counted"
"""What the row of a day that says that all its others are written is grouped `by`."""

_STATES = (
    "AggregateFunction(uniqExact, UInt64)",
    "AggregateFunction(uniqExactArray, Array(UInt64))",
    "AggregateFunction(quantilesExact(0.5, 0.99), UInt32)",
)
TABLES = (
    # Replaced by NUMBERS_TABLES: states are read by one insertion into a hash table for each user of each day.
    f"""
    CREATE TABLE IF NOT EXISTS {{database}}.analytics_days (
        tenant_id LowCardinality(String),
        scenario_id LowCardinality(String),
        part LowCardinality(String),
        by LowCardinality(String),
        day Date,
        key String,
        sums Array(Float64),
        users {_STATES[0]},
        items {_STATES[1]},
        took {_STATES[2]},
        distinct Array(Float64),
        item_hashes Array(UInt64),
        item_counts Array(UInt64),
        first DateTime64(3, 'UTC'),
        last DateTime64(3, 'UTC'),
        rules UInt64,
        version UInt64
    )
    ENGINE = ReplacingMergeTree(version)
    ORDER BY (tenant_id, scenario_id, part, by, day, key)
    SETTINGS index_granularity = 64
    """,
    # What was there before is counted by the next consumer, and read from the raw rows until then.
    """
    INSERT INTO {database}.events_marks (epoch, tenant_id, scenario_id, hour, marked_at)
    SELECT 'bef1', tenant_id, scenario_id, toDateTime(0, 'UTC'), toDateTime64(0, 3, 'UTC') FROM (
        SELECT DISTINCT tenant_id, scenario_id FROM {database}.events
        UNION DISTINCT SELECT DISTINCT tenant_id, scenario_id FROM {database}.served_answers
    )
    """,
)
# The engine reads rows by whole granules: few where arrays are long, many of the small rows of items. Hashes do not
# compress.
NUMBERS_TABLES = (
    """
    CREATE TABLE IF NOT EXISTS {database}.analytics_numbers (
        tenant_id LowCardinality(String),
        scenario_id LowCardinality(String),
        part LowCardinality(String),
        by LowCardinality(String),
        day Date,
        key String,
        sums Array(Float64),
        users Array(UInt64) CODEC(NONE),
        items Array(UInt64) CODEC(NONE),
        took Array(UInt32),
        distinct Array(Float64),
        item_hashes Array(UInt64) CODEC(NONE),
        item_counts Array(UInt64),
        first DateTime64(3, 'UTC'),
        last DateTime64(3, 'UTC'),
        rules UInt64,
        version UInt64
    )
    ENGINE = ReplacingMergeTree(version)
    ORDER BY (tenant_id, scenario_id, part, by, day, key)
    SETTINGS index_granularity = 8192, index_granularity_bytes = 262144
    """,
    # A consumer of the version before may still write there: what it keeps is read by none of this one.
    "TRUNCATE TABLE IF EXISTS {database}.analytics_days",
    """
    INSERT INTO {database}.events_marks (epoch, tenant_id, scenario_id, hour, marked_at)
    SELECT 'bef2', tenant_id, scenario_id, toDateTime(0, 'UTC'), toDateTime64(0, 3, 'UTC') FROM (
        SELECT DISTINCT tenant_id, scenario_id FROM {database}.events
        UNION DISTINCT SELECT DISTINCT tenant_id, scenario_id FROM {database}.served_answers
    )
    """,
)


class TrafficDays(TrafficRows):
    """Keeps the numbers of days. Each call raises EngineUnavailable.

    Whoever writes answers or events marks their hours first (`Aggregates.mark`), and drops the marks after `recount`.
    Days that a marked hour can change are read from the raw rows. So what is read is exact at any moment.
    """

    def __init__(self, url: str, database: str, deadlines: Deadlines = FOR_JOBS) -> None:
        super().__init__(url, database, deadlines)
        self._days = f"{self._database}.analytics_numbers"
        self._marks = f"{self._database}.events_marks"

    def recount(self, scope: Scope, rules: CountingRules, hours: Collection[int]) -> None:
        """Counts the days anew that events and answers of marked hours (Unix seconds, or ALL) can have changed."""
        there = self._one(f"SELECT count() FROM {self._days} WHERE {WHERE_SCOPE}", scope)
        if ALL in hours and there:
            self._command(f"ALTER TABLE {self._days} DELETE WHERE {WHERE_SCOPE}", scope)
        # Where the table was lost, all is counted with the first hour that changes.
        all_days = ALL in hours or not there
        zone = ZoneInfo(rules.zone)
        for part in PARTS:
            days = self._all_days(part, scope, zone) if all_days else sorted(days_touched(part, hours, rules))
            if len(stretches_of(days, zone)) > MOST_STRETCHES:
                days = [day_numbered(number) for number in range(number_of(days[0]), number_of(days[-1]) + 1)]
            for some in self._chunks(part, scope, days, zone):
                self._count(part, scope, rules, some)

    def drop_replaced(self, scope: Scope) -> None:
        """Deletes the rows of days that were counted again since, without waiting for the engine to do so."""
        self._command(
            f"""
            ALTER TABLE {self._days} DELETE WHERE {WHERE_SCOPE} AND (toString(part), day, version) NOT IN (
                SELECT toString(part), day, max(version) FROM {self._days}
                WHERE {WHERE_SCOPE} AND by = '{_COMMITTED}' GROUP BY part, day
            )
            """,
            scope,
        )

    def _count(self, part: Part, scope: Scope, rules: CountingRules, days: Sequence[date]) -> None:
        """Writes the numbers of days, and then that they are written."""
        version = self._version()
        zone = ZoneInfo(rules.zone)
        # Nobody waits for it, and others use the engine.
        modest = "SETTINGS max_threads = 1, max_bytes_before_external_group_by = 1000000000"
        columns = "by, day, key, sums, users, items, took, distinct, item_hashes, item_counts, first, last"
        for by in _halves(part):
            rolled, parameters = self._rolled(part, scope, stretches_of(days, zone), rules, by)
            self._command(
                f"""
                INSERT INTO {self._days} (tenant_id, scenario_id, part, {columns}, rules, version)
                SELECT {{tenant:String}}, {{scenario:String}}, '{part}', {columns}, {{rules:UInt64}},
                       {{version:UInt64}}
                FROM ({rolled}) {modest}
                """,
                scope,
                rules=digest(rules),
                version=version,
                **parameters,
            )
        self._command(
            f"""
            INSERT INTO {self._days} (tenant_id, scenario_id, part, by, day, first, last, rules, version)
            SELECT {{tenant:String}}, {{scenario:String}}, '{part}', '{_COMMITTED}', each, first, last,
                   {{rules:UInt64}}, {{version:UInt64}}
            FROM (SELECT addDays(toDate('1970-01-01'), arrayJoin({{days:Array(Int64)}})) AS each) AS wanted
            LEFT JOIN (
                SELECT day AS each, first, last FROM {self._days}
                WHERE {WHERE_SCOPE} AND part = '{part}' AND by = 'day' AND version = {{version:UInt64}}
            ) AS found USING each
            """,
            scope,
            days=[number_of(day) for day in days],
            rules=digest(rules),
            version=version,
        )

    def _state(self, scope: Scope, period: Period, rules: CountingRules) -> State:
        """Which days of a period are counted."""
        # The marks are read first: a day whose mark has just been dropped is counted already.
        marked = {
            int(hour)
            for (hour,) in self._query(
                f"SELECT DISTINCT toUnixTimestamp(hour) FROM {self._marks} WHERE {WHERE_SCOPE}", scope
            )
        }
        zone = ZoneInfo(rules.zone)
        rows = self._query(
            f"""
            SELECT part, groupArrayIf(
                (number, toUnixTimestamp64Milli(begin), toUnixTimestamp64Milli(end), by_rules = {{rules:UInt64}}),
                number >= {{first:Int64}} AND number <= {{last:Int64}})
            FROM (
                SELECT part, toInt64(toRelativeDayNum(day)) AS number, argMax(first, version) AS begin,
                       argMax(last, version) AS end, argMax(rules, version) AS by_rules
                FROM {self._days} WHERE {WHERE_SCOPE} AND by = '{_COMMITTED}' GROUP BY part, day
            )
            GROUP BY part
            """,
            scope,
            rules=digest(rules),
            first=number_of(day_of(period.since_ms, zone)),
            last=number_of(day_of(period.until_ms - 1, zone)),
        )
        spans = {
            part: {day_numbered(number): (begin, end) if current else None for number, begin, end, current in days}
            for part, days in rows
        }
        changing = {part: set() if ALL in marked else days_touched(part, marked, rules) for part in PARTS}

        def has_rows(part: Part, period: Period) -> bool:
            table, column = (self._answers, "at") if part == "attributed" else (self._events, "timestamp")
            query = (
                f"SELECT 1 FROM {table} WHERE {WHERE_SCOPE} AND {column} >= fromUnixTimestamp64Milli({{since:Int64}}) "
                f"AND {column} < fromUnixTimestamp64Milli({{until:Int64}}) LIMIT 1"
            )
            return bool(self._query(query, scope, since=period.since_ms, until=period.until_ms))

        return State(zone, ALL in marked, changing, spans, has_rows)

    def _stored(self, part: Part, by: Iterable[str], days: Sequence[date]) -> tuple[str, dict[str, Any]]:
        """A query of the kept numbers of days, with the columns of `_rolled`, and its parameters."""
        query = f"""
            SELECT day, toString(by) AS by, key, sums, users, items, took, distinct, item_hashes,
                   item_counts, first, last
            FROM {self._days}
            WHERE {WHERE_SCOPE} AND part = '{part}' AND by IN {{by:Array(String)}}
                AND day >= addDays(toDate('1970-01-01'), {{first:Int64}})
                AND day <= addDays(toDate('1970-01-01'), {{last:Int64}})
                AND toRelativeDayNum(day) IN {{days:Array(Int64)}}
                AND (day, version) IN (
                    SELECT day, max(version) FROM {self._days}
                    WHERE {WHERE_SCOPE} AND part = '{part}' AND by = '{_COMMITTED}' GROUP BY day
                )
        """
        numbers = [number_of(day) for day in days]
        return query, {"by": list(by), "days": numbers, "first": numbers[0], "last": numbers[-1]}

    def _all_days(self, part: Part, scope: Scope, zone: ZoneInfo) -> list[date]:
        """The days from the first row of a scope to its last."""
        table, column = (self._answers, "at") if part == "attributed" else (self._events, "timestamp")
        rows, first, last = self._query(
            f"SELECT count(), toUnixTimestamp64Milli(min({column})), toUnixTimestamp64Milli(max({column})) "
            f"FROM {table} WHERE {WHERE_SCOPE}",
            scope,
        )[0]
        if not rows:
            return []
        return [day_numbered(each) for each in range(number_of(day_of(first, zone)), number_of(day_of(last, zone)) + 1)]

    def _chunks(self, part: Part, scope: Scope, days: Sequence[date], zone: ZoneInfo) -> list[list[date]]:
        """The days in groups that have about so many rows as a query may take."""
        if not days:
            return []
        table, column = (self._answers, "at") if part == "attributed" else (self._events, "timestamp")
        counts: dict[int, int] = dict(
            self._query(
                f"SELECT toRelativeDayNum(toDate({column}, {{zone:String}})) AS day, count() FROM {table} "
                f"WHERE {WHERE_SCOPE} AND {column} >= fromUnixTimestamp64Milli({{since:Int64}}) "
                f"AND {column} < fromUnixTimestamp64Milli({{until:Int64}}) GROUP BY day",
                scope,
                zone=zone.key,
                since=stretch_of(days[0], zone).since_ms,
                until=stretch_of(days[-1], zone).until_ms,
            )
        )
        chunks: list[list[date]] = [[]]
        held = 0
        for day in days:
            rows = counts.get(number_of(day), 0)
            if chunks[-1] and (held + rows > _ROWS_AT_ONCE[part] or len(chunks[-1]) == _DAYS_AT_ONCE):
                chunks.append([])
                held = 0
            chunks[-1].append(day)
            held += rows
        return chunks

    def _version(self) -> int:
        """A number that is higher than that of every count that began earlier, and that no other has."""
        query = "SELECT toUInt64(toUnixTimestamp64Micro(now64(6))) * 1000 + rand64() % 1000"
        return int(self._ask(lambda client: client.query(query).first_row[0]))


def recounting(days: TrafficDays, rules_of: Callable[[Scope], CountingRules | None]) -> Callable[[Scope, Any], None]:
    """What refreshes the days of a scope after its hours changed; of scenarios that are gone there are no rules."""

    def recount(scope: Scope, hours: Collection[int]) -> None:
        rules = rules_of(scope)
        if rules is not None:
            days.recount(scope, rules, hours)

    return recount


def digest(rules: CountingRules) -> int:
    """A number that differs where days were counted by other rules, or by another version of the definitions."""
    definitions = [(each.name, each.sql, each.place) for part in (ATTRIBUTED, DIRECT) for each in sums(part)]
    text = repr((sorted(rules.goal.items()), rules.zone, rules.window_hours, definitions))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])


def _halves(part: Part) -> list[list[Any]]:
    """What is grouped by in one query: answers and their places apart, as each holds all rows."""
    if part == "direct":
        return [list(KEPT[part])]
    places = {"position", "source", "item", "items"}
    return [[by for by in KEPT[part] if by not in places], [by for by in KEPT[part] if by in places]]
