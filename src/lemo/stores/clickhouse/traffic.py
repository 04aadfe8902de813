"""Numbers of a period in ClickHouse: of the answers with what followed from them, or of the events alone."""
# ruff: noqa: S608 - names of our own tables and expressions of our own are put into queries; values travel as parameters

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from lemo.domain.deadlines import FOR_JOBS, Deadlines
from lemo.domain.scope import Scope
from lemo.stores.clickhouse.client import WHERE_SCOPE, ClickHouse

TimeGrouping = Literal["hour", "day"]
Grouping = Literal["hour", "day", "placement", "position", "kind", "model", "pipeline"]

MOST_GROUPS = 10_000
"""Groups of one question; beyond it those that come first are told."""

_GROUPS: Mapping[Grouping, str] = {
    "hour": "toUnixTimestamp(toStartOfHour(at, {zone:String}))",
    "day": "toUnixTimestamp(toStartOfDay(at, {zone:String}))",
    "placement": "placement",
    "position": "position",
    "kind": "kind",
    "model": "model_version",
    "pipeline": "ifNull(toString(pipeline_version), '')",
}


class Period(NamedTuple):
    """A stretch of time, in Unix milliseconds; `until_ms` is the first moment after it."""

    since_ms: int
    until_ms: int

    @property
    def before(self) -> "Period":
        """The period of the same length that ends where this one begins."""
        return Period(2 * self.since_ms - self.until_ms, self.since_ms)


Counted = tuple[float | None, ...]
"""Values of aggregates, in the order of their expressions."""
Numbers = dict[str | int, Counted]
"""Values by group, in the order of the groups. Hours and days are the Unix second at which they begin."""


class Traffic(ClickHouse):
    """Reads answers and events, each once, whatever was replayed. Every call raises EngineUnavailable.

    `goal` names the actions that count as a conversion, each with the least `value` that does; an event without a
    value counts.
    """

    def __init__(self, url: str, database: str, deadlines: Deadlines = FOR_JOBS) -> None:
        super().__init__(url, database, deadlines)
        self._answers = f"{self._database}.served_answers"
        self._events = f"{self._database}.events"

    def attributed(
        self,
        scope: Scope,
        period: Period,
        expressions: Sequence[str],
        goal: Mapping[str, float],
        by: Grouping | None = None,
        zone: str = "UTC",
        **parameters: int,
    ) -> Numbers:
        """Aggregates over the answers of a period and the events that carry their request ids; without `by`, of all.

        An event counts if its item was in the answer and if it happened before the period ended. Expressions read,
        of each answer: `user_id`, `item_ids`, `explored` (how many items were), `degraded`, `took_us`, `share`; of its
        items how many were `seen`, `clicked`, `carted`, `converted`; and `worth`, the value of its conversions. By
        position, each item is such a row of its own, and positions begin at 1.
        """
        served = f"""
            SELECT at, request_id, user_id, kind, toString(placement) AS placement, item_ids, explored, degraded,
                   took_us, share, toString(model_version) AS model_version, pipeline_version
            FROM {self._answers} FINAL
            WHERE {WHERE_SCOPE} AND at >= fromUnixTimestamp64Milli({{since:Int64}})
                AND at < fromUnixTimestamp64Milli({{until:Int64}})
        """
        outcomes = f"""
            SELECT request_id, item_id, toUInt64(max(act = 'impression')) AS seen,
                   toUInt64(max(act = 'click')) AS clicked,
                   toUInt64(max(act = 'cart')) AS carted, toUInt64(max(goal)) AS converted, sumIf(amount, goal) AS worth
            FROM (
                SELECT request_id, item_id, {_EVENT}
                FROM {self._events} AS events FINAL
                WHERE {WHERE_SCOPE} AND request_id IN (SELECT request_id FROM ({served}))
                    AND events.timestamp < fromUnixTimestamp64Milli({{until:Int64}})
            )
            GROUP BY request_id, item_id
        """
        if by == "position":
            source = f"""
                SELECT at, position, user_id, [item_id] AS item_ids, explored_there AS explored, degraded, took_us,
                       share, seen, clicked, carted, converted, worth
                FROM (
                    SELECT * EXCEPT (item_ids, explored), item_id, position, toUInt64(explored_item) AS explored_there
                    FROM ({served})
                    ARRAY JOIN item_ids AS item_id, explored AS explored_item, arrayEnumerate(item_ids) AS position
                ) AS places
                LEFT JOIN ({outcomes}) AS outcomes USING (request_id, item_id)
            """
        else:
            of_request = f"""
                SELECT request_id, groupArray((item_id, seen, clicked, carted, converted, worth)) AS outcomes
                FROM ({outcomes}) GROUP BY request_id
            """
            sums = ", ".join(
                f"arraySum(each -> each.{place}, followed) AS {name}"
                for place, name in enumerate(("seen", "clicked", "carted", "converted", "worth"), 2)
            )
            source = f"""
                SELECT at, kind, placement, model_version, pipeline_version, user_id, item_ids,
                       arrayCount(each -> each, served.explored) AS explored, degraded, took_us, share,
                       arrayFilter(each -> has(item_ids, each.1), outcomes) AS followed, {sums}
                FROM ({served}) AS served LEFT JOIN ({of_request}) AS of_request USING (request_id)
            """
        return self._numbers(scope, period, source, expressions, goal, by, zone, parameters)

    def direct(
        self,
        scope: Scope,
        period: Period,
        expressions: Sequence[str],
        goal: Mapping[str, float],
        by: TimeGrouping | None = None,
        zone: str = "UTC",
    ) -> Numbers:
        """Aggregates over the events that happened in a period, whatever led to them.

        Expressions read, of each event: `user_id`, `item_id`, `act` (its action), `goal` (whether it is a conversion)
        and `amount` (its value, 0 without one).
        """
        source = f"""
            SELECT events.timestamp AS at, user_id, item_id, {_EVENT}
            FROM {self._events} AS events FINAL
            WHERE {WHERE_SCOPE} AND events.timestamp >= fromUnixTimestamp64Milli({{since:Int64}})
                AND events.timestamp < fromUnixTimestamp64Milli({{until:Int64}})
        """
        return self._numbers(scope, period, source, expressions, goal, by, zone, {})

    def _numbers(
        self,
        scope: Scope,
        period: Period,
        source: str,
        expressions: Sequence[str],
        goal: Mapping[str, float],
        by: Grouping | None,
        zone: str,
        parameters: Mapping[str, int],
    ) -> Numbers:
        group = "''" if by is None else _GROUPS[by]
        grouped = "" if by is None else "GROUP BY grouped_by ORDER BY grouped_by LIMIT {groups:UInt32}"
        rows = self._query(
            f"SELECT {group} AS grouped_by, {', '.join(expressions)} FROM ({source}) {grouped}",
            scope,
            since=period.since_ms,
            until=period.until_ms,
            zone=zone,
            groups=MOST_GROUPS,
            goals=list(goal),
            # Element 1 is for actions that are no goal.
            least=[0.0, *goal.values()],
            **parameters,
        )
        return {key: tuple(values) for key, *values in rows}


_EVENT = """
    toString(action) AS act, ifNull(value, 0) AS amount, indexOf({goals:Array(String)}, act) + 1 AS place,
    place > 1 AND (isNull(value) OR amount >= {least:Array(Float64)}[place]) AS goal
"""
