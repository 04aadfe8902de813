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
from lemo.stores.clickhouse.traffic_outcomes import OUTCOME_COLUMNS, OUTCOMES_TABLES, Kept
from lemo.stores.clickhouse.traffic_periods import HOUR_MS, Part, Period, within
from lemo.stores.clickhouse.traffic_plan import (
    MOST_MARKED,
    MOST_STRETCHES,
    Slice,
    State,
    day_numbered,
    day_of,
    days_touched,
    joined,
    number_of,
    stretch_of,
    stretches_of,
)
from lemo.stores.clickhouse.traffic_rows import KEPT, TrafficRows, parameters_of

PARTS: tuple[Part, ...] = ("attributed", "direct")
_ROWS_AT_ONCE: Mapping[Part, int] = {"attributed": 200_000, "direct": 1_500_000}
"""Answers or events that are counted in one query, about: it holds what followed from answers in memory, and ends long
before a client gives up waiting, on a busy machine too."""
_DAYS_AT_ONCE = 1_000
_LAST_DAYS = 3
"""Where all is counted, what is most likely to change next is that of the last days: an answer of yesterday counts what
follows today."""
_MOST_HOURS = 24 * (_LAST_DAYS + 1)
# Nobody waits for a count, and others use the engine.
_MODEST = "SETTINGS max_threads = 1, max_bytes_before_external_group_by = 1000000000"
_HOUR_COLUMNS = "by, day, key, sums, users, item_hashes, item_counts"
_DIRECT = 1_000_000
"""What is added to the number of a day of the part `direct`, so that one number says both."""
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
# A consumer of the version before counts days without what is kept beside them: its days are read by none of this one.
BESIDE_TABLES = (
    *OUTCOMES_TABLES,
    """
    CREATE TABLE IF NOT EXISTS {database}.analytics_hours (
        tenant_id LowCardinality(String),
        scenario_id LowCardinality(String),
        hour DateTime('UTC'),
        by LowCardinality(String),
        day Date,
        key String,
        sums Array(Float64),
        users Array(UInt64) CODEC(NONE),
        item_hashes Array(UInt64) CODEC(NONE),
        item_counts Array(UInt64),
        rules UInt64,
        version UInt64
    )
    ENGINE = ReplacingMergeTree(version)
    ORDER BY (tenant_id, scenario_id, hour, by, day, key)
    """,
    """
    INSERT INTO {database}.events_marks (epoch, tenant_id, scenario_id, hour, marked_at)
    SELECT 'bef3', tenant_id, scenario_id, toDateTime(0, 'UTC'), toDateTime64(0, 3, 'UTC') FROM (
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
        self._hours = f"{self._database}.analytics_hours"
        self._marks = f"{self._database}.events_marks"

    def recount(self, scope: Scope, rules: CountingRules, hours: Collection[int]) -> None:
        """Counts the days anew that events and answers of marked hours (Unix seconds, or ALL) can have changed."""
        there = self._one(f"SELECT count() FROM {self._days} WHERE {WHERE_SCOPE}", scope)
        # Where the table was lost, all is counted with the first hour that changes.
        all_days = ALL in hours or not there
        if all_days:
            self._forget(scope, self._days, self._outcomes, self._hours)
        zone = ZoneInfo(rules.zone)
        for part in PARTS:
            days = self._all_days(part, scope, zone) if all_days else sorted(days_touched(part, hours, rules))
            if len(stretches_of(days, zone)) > MOST_STRETCHES:
                days = [day_numbered(number) for number in range(number_of(days[0]), number_of(days[-1]) + 1)]
            # What changes is known until all is counted anew. Then it is most likely to be what is newest.
            changing = set(days[-_LAST_DAYS:] if all_days else days)
            if part == "direct":
                self._count_hours(scope, rules, hours, sorted(changing))
            for some in self._chunks(part, scope, days, zone):
                self._count(part, scope, rules, hours, some, [day for day in some if day in changing])

    def drop_replaced(self, scope: Scope) -> None:
        """Deletes rows of days that were counted again since, without waiting for the engine to do so.

        What is kept of hours and answers goes with them: it is only there to spare work.
        """
        self._command(
            f"""
            ALTER TABLE {self._days} DELETE WHERE {WHERE_SCOPE} AND (toString(part), day, version) NOT IN (
                SELECT toString(part), day, max(version) FROM {self._days}
                WHERE {WHERE_SCOPE} AND by = '{_COMMITTED}' GROUP BY part, day
            )
            """,
            scope,
        )
        self._forget(scope, self._outcomes, self._hours)

    def _as_now(self, part: Part, scope: Scope, rules: CountingRules, days: Sequence[date]) -> list[date]:
        """Those of some days that were counted last by these rules and this program."""
        found = self._spans(scope, rules, days[0], days[-1]).get(part, {})
        return [day for day in days if found.get(day) is not None]

    def _forget(self, scope: Scope, *tables: str) -> None:
        for table in tables:
            if self._one(f"SELECT count() FROM {table} WHERE {WHERE_SCOPE}", scope):
                self._command(f"ALTER TABLE {table} DELETE WHERE {WHERE_SCOPE}", scope)

    def _count(
        self,
        part: Part,
        scope: Scope,
        rules: CountingRules,
        hours: Collection[int],
        days: Sequence[date],
        changing: Sequence[date],
    ) -> None:
        """Writes the numbers of days, and then that they are written; of those that change also each answer's."""
        version = self._version()
        zone = ZoneInfo(rules.zone)
        # After the version: what another count has just finished is then seen, or still marked.
        marked = self._marked(scope).union(hours)
        holding = stretches_of(self._as_now(part, scope, rules, days), zone) if ALL not in marked else []
        kept = Kept(holding, digest(rules), marked) if len(marked) <= MOST_MARKED else None
        columns = "by, day, key, sums, users, items, took, distinct, item_hashes, item_counts, first, last"
        if part == "attributed" and changing:
            self._keep_outcomes(scope, rules, stretches_of(changing, zone), version, kept)
        for by in _halves(part):
            rolled, parameters = self._rolled(part, scope, stretches_of(days, zone), rules, by, kept, of_hours=False)
            self._command(
                f"""
                INSERT INTO {self._days} (tenant_id, scenario_id, part, {columns}, rules, version)
                SELECT {{tenant:String}}, {{scenario:String}}, '{part}', {columns}, {{rules:UInt64}},
                       {{version:UInt64}}
                FROM ({rolled}) {_MODEST}
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

    def _keep_outcomes(
        self, scope: Scope, rules: CountingRules, periods: Sequence[Period], version: int, kept: Kept | None
    ) -> None:
        """Writes what followed from those answers of which what is kept does not hold, nothing included."""
        parameters = parameters_of(periods, rules)
        held, outcomes = self._followed(scope, periods, rules, parameters, kept)
        others = f"AND id NOT IN (SELECT id FROM ({held}))" if held else ""
        self._command(
            f"""
            INSERT INTO {self._outcomes} (tenant_id, scenario_id, at, id, {OUTCOME_COLUMNS}, rules, version)
            SELECT {{tenant:String}}, {{scenario:String}}, shown_at, id, {OUTCOME_COLUMNS}, {{rules:UInt64}},
                   {{version:UInt64}}
            FROM (
                SELECT at AS shown_at, cityHash64(request_id) AS id
                FROM {self._answers} FINAL WHERE {WHERE_SCOPE} AND {within("at", periods)} {others}
            ) AS shown LEFT JOIN ({outcomes}) AS outcomes USING id {_MODEST}
            """,
            scope,
            rules=digest(rules),
            version=version,
            **parameters,
        )

    def _count_hours(self, scope: Scope, rules: CountingRules, changed: Collection[int], days: Sequence[date]) -> None:
        """Writes the numbers of events of hours that changed, and then that they are written; of many none are kept.

        Of those days that were not counted, or by an older program, which knew of no hours, it writes all hours.
        """
        if not days:
            return
        zone = ZoneInfo(rules.zone)
        others = set(days).difference(self._as_now("direct", scope, rules, days))
        hours = {*changed, *_hours_of(sorted(others), zone)} - {ALL}
        periods = joined([Period(hour * 1000, hour * 1000 + HOUR_MS) for hour in sorted(hours)])
        if not hours or len(hours) > _MOST_HOURS or len(periods) > MOST_STRETCHES:
            self._forget(scope, self._hours)
            return
        version = self._version()
        parameters = parameters_of(periods, rules)
        rolled = self._rolled_events(scope, periods, KEPT["direct"], parameters, sliced=True)
        self._command(
            f"""
            INSERT INTO {self._hours} (tenant_id, scenario_id, hour, {_HOUR_COLUMNS}, rules, version)
            SELECT {{tenant:String}}, {{scenario:String}}, slice, {_HOUR_COLUMNS}, {{rules:UInt64}}, {{version:UInt64}}
            FROM ({rolled}) {_MODEST}
            """,
            scope,
            rules=digest(rules),
            version=version,
            **parameters,
        )
        self._command(
            f"""
            INSERT INTO {self._hours} (tenant_id, scenario_id, hour, by, rules, version)
            SELECT {{tenant:String}}, {{scenario:String}}, toDateTime(arrayJoin({{hours:Array(UInt32)}}), 'UTC'),
                   '{_COMMITTED}', {{rules:UInt64}}, {{version:UInt64}}
            """,
            scope,
            hours=sorted(hours),
            rules=digest(rules),
            version=version,
        )

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
                FROM {self._days} WHERE {WHERE_SCOPE} AND by = '{_COMMITTED}' GROUP BY part, day
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

    def _hours_there(self, scope: Scope, rules: CountingRules, period: Period) -> set[int]:
        """The hours (Unix seconds) of a period of which events are counted."""
        rows = self._query(
            f"""
            SELECT toUnixTimestamp(hour) FROM {self._hours}
            WHERE {WHERE_SCOPE} AND by = '{_COMMITTED}' AND hour >= toDateTime({{since:Int64}}, 'UTC')
                AND hour < toDateTime({{until:Int64}}, 'UTC')
            GROUP BY hour HAVING argMax(rules, version) = {{rules:UInt64}}
            """,
            scope,
            rules=digest(rules),
            since=max(0, period.since_ms - HOUR_MS) // 1000,
            until=min(period.until_ms // 1000 + 1, 2**32 - 1),
        )
        return {int(hour) for (hour,) in rows}

    def _state(self, scope: Scope, period: Period, rules: CountingRules) -> State:
        """Which days of a period are counted."""
        # The marks are read first: a day whose mark has just been dropped is counted already.
        marked = self._marked(scope)
        zone = ZoneInfo(rules.zone)
        spans = self._spans(scope, rules, day_of(period.since_ms, zone), day_of(period.until_ms - 1, zone))
        changing = {part: set() if ALL in marked else days_touched(part, marked, rules) for part in PARTS}

        def has_rows(part: Part, period: Period) -> bool:
            table, column = (self._answers, "at") if part == "attributed" else (self._events, "timestamp")
            query = (
                f"SELECT 1 FROM {table} WHERE {WHERE_SCOPE} AND {column} >= fromUnixTimestamp64Milli({{since:Int64}}) "
                f"AND {column} < fromUnixTimestamp64Milli({{until:Int64}}) LIMIT 1"
            )
            return bool(self._query(query, scope, since=period.since_ms, until=period.until_ms))

        hours = self._hours_there(scope, rules, period) - marked if marked and ALL not in marked else set()
        return State(zone, ALL in marked, digest(rules), marked, hours, changing, spans, has_rows)

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
                WHERE {WHERE_SCOPE} AND by = '{_COMMITTED}' GROUP BY part, day
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
                    WHERE {WHERE_SCOPE} AND by = '{_COMMITTED}' GROUP BY hour
                )
        """
        return query, {"by": list(by), "slices": [(number_of(day) << 32) + hour for day, hour in slices]}

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
    text = repr((sorted(rules.goal.items()), rules.zone, rules.window_hours, definitions, "with outcomes and hours"))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])


def _hours_of(days: Sequence[date], zone: ZoneInfo) -> set[int]:
    """The hours (Unix seconds) that days lie in."""
    return {
        moment // 1000
        for stretch in stretches_of(days, zone)
        for moment in range(stretch.since_ms // HOUR_MS * HOUR_MS, stretch.until_ms, HOUR_MS)
    }


def _halves(part: Part) -> list[list[Any]]:
    """What is grouped by in one query: answers and their places apart, as each holds all rows."""
    if part == "direct":
        return [list(KEPT[part])]
    places = {"position", "source", "item", "items"}
    return [[by for by in KEPT[part] if by not in places], [by for by in KEPT[part] if by in places]]
