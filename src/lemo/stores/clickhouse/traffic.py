"""Numbers of a period and of the one before, in ClickHouse: of answers with what followed, and of all events."""
# ruff: noqa: S608 - names of our own tables and expressions of our own are put into queries; values travel as parameters

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from lemo.domain.counting import CountingRules
from lemo.domain.scope import Scope
from lemo.stores.clickhouse.traffic_days import TrafficDays
from lemo.stores.clickhouse.traffic_kept import PARTS
from lemo.stores.clickhouse.traffic_periods import Part, Period
from lemo.stores.clickhouse.traffic_plan import Days
from lemo.stores.clickhouse.traffic_rows import KEPT, By

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
        self, plans: Plans, scope: Scope, rules: CountingRules, series: Time | None, group: By | None, zone: str
    ) -> dict[Asked, Numbers]:
        """The numbers of answers and of events; without `series` those of groups alone."""
        by: list[By] = [each for each in ("day" if series else None, group) if each is not None]
        if series == "hour":
            by.append("hour")
        parameters: dict[str, Any] = {"groups": MOST_GROUPS, "series": series or ""}
        sources = self._read(plans, scope, rules, by, zone, parameters)
        rows: list[Any] = []
        if sources:
            # A row of a day counts in the total and in the series. Those of days and hours that were kept as a whole
            # say how many users and items they have, so that theirs, the most of a row, need not be added up.
            rows = self._query(
                f"""
                SELECT part, before, what.1 AS kind, what.2 AS name, sumForEach(sums) AS added,
                       if(max(raw) = 0 AND kind IN ('day', 'hour'), sumForEach(distinct), arrayConcat(
                           [toFloat64(uniqExactArrayIf(users, counts)), toFloat64(uniqExactArrayIf(items, counts))],
                           arrayMap(each -> toFloat64(each), quantilesExactArrayIf(0.5, 0.99)(took, counts))
                       )) AS states
                FROM (
                    SELECT *, arrayJoin(multiIf(by != 'day', [(toString(by), key)],
                        {{series:String}} = 'day', [('total', ''), ('day', key)], [('total', '')])) AS what,
                        raw = 1 OR what.1 NOT IN ('day', 'hour') AS counts
                    FROM ({" UNION ALL ".join(sources)})
                )
                GROUP BY part, before, kind, name
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

        Columns: key (the item), and by `column_of` what was asked for the sums (list of float64, as
        `traffic_metrics.sums`; empty where it had none of the item).
        """
        parameters: dict[str, Any] = {}
        sources = self._read(plans, scope, rules, ["item"], zone, parameters)
        if not sources:
            return None
        # One column to group by is far faster than three.
        added = ", ".join(
            f"sumForEachIf(sums, part = '{asked.part}' AND before = {int(asked.before)}) AS {column_of(asked)}"
            if plans[asked].counted or plans[asked].hours or plans[asked].raw
            else f"emptyArrayFloat64() AS {column_of(asked)}"
            for asked in EACH
        )
        return self._table_of(
            f"SELECT key, {added} FROM ({' UNION ALL '.join(sources)}) GROUP BY key", scope, **parameters
        )

    def novelty(self, plans: Plans, scope: Scope, rules: CountingRules, zone: str) -> dict[bool, float]:
        """Mean bits of surprise of the items in the answers, of the period (False) and of the one before (True).

        Absent where the period has no answer with an item, or no event other than impressions.
        """
        parameters: dict[str, Any] = {}
        sources = self._read(plans, scope, rules, ["items"], zone, parameters)
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
        plans: Plans,
        scope: Scope,
        rules: CountingRules,
        by: Sequence[By],
        zone: str,
        parameters: dict[str, Any],
    ) -> list[str]:
        """Queries of the rows of what is asked for, to which it adds parameters of their own.

        Few of them, as the engine takes longer to plan such a query than to read what is kept.
        """
        stored = [(asked.part, asked.before, day) for asked in EACH for day in plans[asked].counted]
        queries = []
        if stored and by:
            query, parameters_of_stored = self._stored(by, stored)
            queries.append(query)
            parameters |= parameters_of_stored
        for asked in EACH:
            plan, own = plans[asked], [each for each in by if each in KEPT[asked.part]]
            sources: list[tuple[str, Mapping[str, Any]]] = []
            if plan.hours and own:
                sources.append(self._stored_hours(own, plan.hours))
            if plan.raw and own:
                own_rules = rules._replace(zone=zone)
                sources.append(self._rolled(asked.part, scope, plan.raw, own_rules, own, plan.kept))
            for query, more in sources:
                prefix = f"p{len(parameters)}_"
                for name, value in more.items():
                    query = query.replace(f"{{{name}:", f"{{{prefix}{name}:")
                    parameters[f"{prefix}{name}"] = value
                queries.append(
                    f"SELECT '{asked.part}' AS part, {int(asked.before)} AS before, 1 AS raw, by, key, sums, distinct, "
                    f"users, items, took, item_hashes, item_counts FROM ({query})"
                )
        return queries


def column_of(asked: Asked) -> str:
    """The column of `Traffic.items` with what was asked."""
    return f"{asked.part}_{'before' if asked.before else 'now'}"
