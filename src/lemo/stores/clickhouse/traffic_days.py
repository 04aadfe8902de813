"""Counts the numbers of whole days and what is kept beside them: docs/decisions/0026-days-of-analytics.md."""
# ruff: noqa: S608 - names of our own tables and expressions of our own are put into queries; values travel as parameters

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from lemo.domain.counting import CountingRules
from lemo.domain.scope import Scope
from lemo.stores.clickhouse.aggregates import ALL
from lemo.stores.clickhouse.client import WHERE_SCOPE
from lemo.stores.clickhouse.traffic_kept import COMMITTED, PARTS, TrafficKept, digest
from lemo.stores.clickhouse.traffic_outcomes import OUTCOME_COLUMNS, Kept
from lemo.stores.clickhouse.traffic_periods import HOUR_MS, Part, Period, within
from lemo.stores.clickhouse.traffic_plan import (
    MOST_MARKED,
    MOST_STRETCHES,
    day_numbered,
    day_of,
    days_touched,
    joined,
    number_of,
    stretch_of,
    stretches_of,
)
from lemo.stores.clickhouse.traffic_rows import KEPT, parameters_of

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


class TrafficDays(TrafficKept):
    """Keeps the numbers of days. Each call raises EngineUnavailable.

    Whoever writes answers or events marks their hours first (`Aggregates.mark`), and drops the marks after `recount`.
    Days that a marked hour can change are read from the raw rows. So what is read is exact at any moment.
    """

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
                WHERE {WHERE_SCOPE} AND by = '{COMMITTED}' GROUP BY part, day
            )
            """,
            scope,
        )
        self._forget(scope, self._outcomes, self._hours)

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
            SELECT {{tenant:String}}, {{scenario:String}}, '{part}', '{COMMITTED}', each, first, last,
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
                   '{COMMITTED}', {{rules:UInt64}}, {{version:UInt64}}
            """,
            scope,
            hours=sorted(hours),
            rules=digest(rules),
            version=version,
        )

    def _all_days(self, part: Part, scope: Scope, zone: ZoneInfo) -> list[date]:
        """The days from the first row of a scope to its last."""
        table, column = self._raw[part]
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
        table, column = self._raw[part]
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
