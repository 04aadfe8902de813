"""Numbers of a period and of the one before, in ClickHouse: of answers with what followed, and of all events."""
# ruff: noqa: S608 - names of our own tables and expressions of our own are put into queries; values travel as parameters

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from lemo.domain.counting import CountingRules
from lemo.domain.scope import Scope
from lemo.stores.clickhouse.traffic_days import PARTS, TrafficDays
from lemo.stores.clickhouse.traffic_plan import Days
from lemo.stores.clickhouse.traffic_rows import KEPT, By, Part, Period

if TYPE_CHECKING:
    import pyarrow

Time = Literal["hour", "day"]
MOST_GROUPS = 10_000
"""Groups of one question; beyond it those that come first are told."""


class Counted(NamedTuple):
    """Sums, in the order of `traffic_metrics.sums`, and the numbers of users and items and two quantiles."""

    sums: Sequence[float]
    states: Sequence[float]


class Numbers(NamedTuple):
    """Numbers of a period: of all, by the start of each hour or day (Unix seconds), and by group."""

    total: Counted | None
    """None where there is nothing to count."""
    series: dict[int, Counted]
    groups: dict[str, Counted]


class Asked(NamedTuple):
    """A part, of the period or of the one before."""

    part: Part
    before: bool


EACH = tuple(Asked(part, before) for part in PARTS for before in (False, True))
Plans = Mapping[Asked, Days]


class Traffic(TrafficDays):
    """Reads numbers: of whole days as they are kept, of the rest from the raw rows. Each call raises EngineUnavailable.

    `zone` is that of hours and days; in another one than the rules' all is read from the raw rows. `plans` says how the
    periods are read.
    """

    def numbers(
        self, plans: Plans, scope: Scope, rules: CountingRules, series: Time, group: By | None, zone: str
    ) -> dict[Asked, Numbers]:
        """The numbers of answers and of events; those of the period before have no series."""
        whole: list[str] = []
        courses: list[str] = []
        parameters: dict[str, Any] = {"groups": MOST_GROUPS, "series": series}
        for asked in EACH:
            plan = plans[asked]
            by: list[By] = ["day"]
            if group is not None and group in KEPT[asked.part]:
                by.append(group)
            whole += self._read(asked, Days(plan.counted, []), scope, rules, by, zone, parameters)
            if not asked.before:
                courses += self._read(asked, Days(plan.counted, []), scope, rules, [series], zone, parameters, False)
            if series == "hour" and not asked.before:
                by.append("hour")
            whole += self._read(asked, Days([], plan.raw), scope, rules, by, zone, parameters)
        queries = []
        if whole:
            # A day's row of the raw rows counts in the total and in the series, for which those are read once.
            queries.append(f"""
                SELECT part, before, what.1 AS kind, what.2 AS name, sumForEach(sums) AS added,
                       if(kind IN ('day', 'hour'), sumForEach(distinct), arrayConcat(
                           [toFloat64(uniqExactArrayIf(users, what.1 NOT IN ('day', 'hour'))),
                            toFloat64(uniqExactArrayIf(items, what.1 NOT IN ('day', 'hour')))],
                           arrayMap(each -> toFloat64(each),
                                    quantilesExactArrayIf(0.5, 0.99)(took, what.1 NOT IN ('day', 'hour')))
                       )) AS states
                FROM ({" UNION ALL ".join(whole)})
                ARRAY JOIN multiIf(by != 'day', [(by, key)], raw AND before = 0 AND {{series:String}} = 'day',
                                   [('total', ''), ('day', key)], [('total', '')]) AS what
                GROUP BY part, before, kind, name
            """)
        if courses:
            # Kept days of a series need no states, which are the most of their rows.
            queries.append(f"""
                SELECT part, before, by AS kind, key AS name, sumForEach(sums) AS added, sumForEach(distinct) AS states
                FROM ({" UNION ALL ".join(courses)}) GROUP BY part, before, kind, name
            """)
        rows: list[Any] = []
        if queries:
            rows = self._query(
                f"""
                SELECT part, before, kind, name, added, states FROM ({" UNION ALL ".join(queries)})
                ORDER BY part, before, kind, name LIMIT {{groups:UInt32}} BY part, before, kind
                """,
                scope,
                **parameters,
            )
        found: dict[Asked, Numbers] = {asked: Numbers(None, {}, {}) for asked in EACH}
        for part, before, kind, name, added, states in rows:
            asked, counted = Asked(part, bool(before)), Counted(added, states)
            if kind == "total":
                found[asked] = found[asked]._replace(total=counted)
            elif kind == series:
                found[asked].series[int(name)] = counted
            else:
                found[asked].groups[name] = counted
        return {
            asked: numbers._replace(series=dict(sorted(numbers.series.items()))) for asked, numbers in found.items()
        }

    def items(self, plans: Plans, scope: Scope, rules: CountingRules, zone: str) -> "pyarrow.Table | None":
        """The sums of each item that was in an answer, or that an event is of; None where there is none.

        Columns: part, before (0 or 1), key (the item), added (list of float64, as `traffic_metrics.sums`).
        """
        parameters: dict[str, Any] = {}
        queries = []
        for asked in EACH:
            sources = self._read(asked, plans[asked], scope, rules, ["item"], zone, parameters)
            if sources:
                # One column to group by is far faster than three.
                queries.append(
                    f"SELECT '{asked.part}' AS part, {int(asked.before)} AS before, key, sumForEach(sums) AS added "
                    f"FROM ({' UNION ALL '.join(sources)}) GROUP BY key"
                )
        if not queries:
            return None
        return self._table_of(" UNION ALL ".join(queries), scope, **parameters)

    def novelty(self, plans: Plans, scope: Scope, rules: CountingRules, zone: str) -> dict[bool, float]:
        """Mean bits of surprise of the items in the answers, of the period (False) and of the one before (True).

        Absent where the period has no answer with an item, or no event other than impressions.
        """
        parameters: dict[str, Any] = {}
        sources = [
            source
            for asked in EACH
            for source in self._read(asked, plans[asked], scope, rules, ["items"], zone, parameters)
        ]
        if not sources:
            return {}
        rows = self._query(
            f"""
            SELECT period.1, sum(period.2), sum(period.3), sum(period.2 * log2(greatest(period.3, 1)))
            FROM (
                SELECT arrayJoin([(0, toFloat64(sumIf(times, answered = 1)), toFloat64(sumIf(times, answered = 0))),
                                  (1, toFloat64(sumIf(times, answered = 3)), toFloat64(sumIf(times, answered = 2)))
                                 ]) AS period
                FROM (
                    SELECT toUInt8((part = 'attributed') + 2 * before) AS answered, item_hashes, item_counts
                    FROM ({" UNION ALL ".join(sources)})
                )
                ARRAY JOIN item_hashes AS item, item_counts AS times GROUP BY item
            )
            GROUP BY period.1
            """,
            scope,
            **parameters,
        )
        return {bool(before): math.log2(acts) - bits / places for before, places, acts, bits in rows if places and acts}

    def plans(self, scope: Scope, period: Period, rules: CountingRules, zone: str) -> Plans:
        """How a period and the one before are read."""
        periods = {False: period, True: period.before}
        if zone != rules.zone:
            return {asked: Days([], [periods[asked.before]]) for asked in EACH}
        state = self._state(scope, Period(period.before.since_ms, period.until_ms), rules)
        return {asked: state.plan(asked.part, periods[asked.before]) for asked in EACH}

    def _read(
        self,
        asked: Asked,
        plan: Days,
        scope: Scope,
        rules: CountingRules,
        by: Sequence[By],
        zone: str,
        parameters: dict[str, Any],
        states: bool = True,
    ) -> list[str]:
        """Queries of the rows of a period, with their `states` or without, to which it adds parameters of their own."""
        sources: list[tuple[str, Mapping[str, Any], bool]] = []
        if plan.counted:
            sources.append((*self._stored(asked.part, by, plan.counted), False))
        if plan.raw:
            sources.append((*self._rolled(asked.part, scope, plan.raw, rules._replace(zone=zone), by), True))
        queries = []
        columns = "sums, distinct" + (", users, items, took, item_hashes, item_counts" if states else "")
        for query, more, raw in sources:
            prefix = f"p{len(parameters)}_"
            for name, value in more.items():
                query = query.replace(f"{{{name}:", f"{{{prefix}{name}:")
                parameters[f"{prefix}{name}"] = value
            queries.append(
                f"SELECT '{asked.part}' AS part, {int(asked.before)} AS before, {int(raw)} AS raw, by, key, {columns} "
                f"FROM ({query})"
            )
        return queries
