"""What became of the units of an experiment, in ClickHouse: of each arm the sums that its metrics are made of.

A unit is exposed by its first answer in the arm. What a user did is counted from then on, whatever led to it; what
happened in the days before is the covariate. Of a session only what carries the request ids of its answers is known.
"""
# ruff: noqa: S608 - names of our own tables and expressions of our own are put into queries; values travel as parameters

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from lemo.domain.deadlines import FOR_JOBS, Deadlines
from lemo.domain.experiment_metrics import Metric
from lemo.domain.scope import Scope
from lemo.domain.time import CLOCK_SKEW
from lemo.statistics.estimates import Sample
from lemo.stores.clickhouse.client import WHERE_SCOPE, ClickHouse, Parameter

Unit = Literal["user", "session"]
BEFORE_MS = 14 * 86_400_000
"""How long before its exposure a user's covariate begins."""
_SKEW_MS = round(CLOCK_SKEW.total_seconds() * 1000)
_CROSSED = ""


class ArmSums(NamedTuple):
    """The units of an arm, and each metric's sums over them."""

    units: int
    samples: dict[str, Sample]


class Exposed(NamedTuple):
    """The arms that had units, and how many units were in several arms and are left out."""

    arms: dict[str, ArmSums]
    crossed: int


class Exposures(ClickHouse):
    """Reads exposures and outcomes, each once, whatever was replayed. Every call raises EngineUnavailable.

    Times are Unix milliseconds; `until_ms` is the first moment after the period. `goal` names the actions that count as
    a conversion, each with the least `value` that does; an event without a value counts.
    """

    def __init__(self, url: str, database: str, deadlines: Deadlines = FOR_JOBS) -> None:
        super().__init__(url, database, deadlines)
        self._answers = f"{self._database}.served_answers"
        self._events = f"{self._database}.events"

    def of_experiment(
        self,
        scope: Scope,
        experiment: str,
        unit: Unit,
        since_ms: int,
        until_ms: int,
        metrics: Sequence[Metric],
        goal: Mapping[str, float],
        kind: str | None = None,
        placement: str | None = None,
    ) -> Exposed:
        """Of each arm of an experiment the sums of the metrics.

        With `kind` or `placement` as if the experiment had been on those answers alone: exposure is the first of them.
        """
        where = "experiment = {experiment:String} AND arm != ''"
        parameters: dict[str, Parameter] = {"experiment": experiment}
        if kind is not None:
            where += " AND kind IN {kinds:Array(String)}"
            parameters["kinds"] = _logged(kind)
        if placement is not None:
            where += " AND placement = {placement:String}"
            parameters["placement"] = placement
        served = "toString(arm) AS arm", where
        return self._sums(scope, unit, since_ms, until_ms, metrics, goal, served, **parameters)

    def of_everybody(
        self,
        scope: Scope,
        unit: Unit,
        since_ms: int,
        until_ms: int,
        metrics: Sequence[Metric],
        goal: Mapping[str, float],
        answers: Sequence[str] = ("recommendations",),
    ) -> ArmSums:
        """The same as if all who got such answers in the period had been one arm."""
        served = "'all' AS arm", "kind IN {kinds:Array(String)}"
        kinds = [each for answer in answers for each in _logged(answer)]
        found = self._sums(scope, unit, since_ms, until_ms, metrics, goal, served, kinds=kinds)
        return found.arms.get("all", ArmSums(0, {metric.name: Sample() for metric in metrics}))

    def _sums(
        self,
        scope: Scope,
        unit: Unit,
        since_ms: int,
        until_ms: int,
        metrics: Sequence[Metric],
        goal: Mapping[str, float],
        served: tuple[str, str],
        **parameters: Parameter,
    ) -> Exposed:
        arm, where = served
        answers = f"""
            SELECT {unit}_id AS unit, at, {arm}, request_id, item_ids, degraded, took_us
            FROM {self._answers} FINAL
            WHERE {WHERE_SCOPE} AND at >= fromUnixTimestamp64Milli({{since:Int64}})
                AND at < fromUnixTimestamp64Milli({{until:Int64}}) AND {where} AND unit != ''
        """
        exposed = f"""
            SELECT unit, argMin(arm, (at, request_id)) AS first_arm, min(at) AS exposed_at, uniqExact(arm) AS arms,
                   toFloat64(count()) AS requests, toFloat64(countIf(empty(item_ids))) AS empty,
                   toFloat64(countIf(degraded)) AS degraded, sum(took_us) / 1000 AS took_ms
            FROM ({answers}) GROUP BY unit
        """
        actions = list(dict.fromkeys(metric.action for metric in metrics if metric.action is not None))
        outcomes = (self._of_users if unit == "user" else self._of_sessions)(answers, len(actions))
        sums = ", ".join(_sums_of(metric, actions) for metric in metrics)
        rows = self._query(
            f"""
            SELECT if(arms = 1, first_arm, '{_CROSSED}') AS in_arm, count(), {sums}
            FROM (
                SELECT *, toFloat64(1) AS one, toFloat64(conversions > 0) AS converted
                FROM ({exposed}) AS exposed
                LEFT JOIN ({self._of_answers(answers)}) AS followed USING (unit)
                LEFT JOIN ({outcomes}) AS outcomes USING (unit)
            )
            GROUP BY in_arm ORDER BY in_arm
            """,
            scope,
            since=since_ms,
            until=until_ms,
            begin=since_ms - BEFORE_MS,
            before=BEFORE_MS,
            skew=_SKEW_MS,
            goals=list(goal),
            # Element 1 is for actions that are no goal.
            least=[0.0, *goal.values()],
            actions=actions,
            **parameters,
        )
        arms = {str(name): ArmSums(int(units), _samples(metrics, int(units), sums)) for name, units, *sums in rows}
        crossed = arms.pop(_CROSSED, None)
        return Exposed(arms, crossed.units if crossed is not None else 0)

    def _of_answers(self, answers: str) -> str:
        """Of each unit the items of its answers that were seen and clicked, and the answers with a click."""
        return f"""
            SELECT unit, toFloat64(sum(seen_here)) AS seen, toFloat64(sum(clicked_here)) AS clicked,
                   toFloat64(countIf(clicked_here > 0)) AS requests_clicked
            FROM (
                SELECT request_id, any(unit) AS unit, uniqExactIf(item_id, act = 'impression') AS seen_here,
                       uniqExactIf(item_id, act = 'click') AS clicked_here
                FROM ({self._attributed(answers)}) GROUP BY request_id
            )
            GROUP BY unit
        """

    def _attributed(self, answers: str) -> str:
        """The events that carry the request ids of answers, of items that these held."""
        return f"""
            SELECT unit, request_id, item_id, act, goal, amount
            FROM (
                SELECT request_id, item_id, {_EVENT}
                FROM {self._events} AS events FINAL
                WHERE {WHERE_SCOPE} AND request_id != ''
                    AND events.timestamp >= fromUnixTimestamp64Milli({{since:Int64}} - {{skew:Int64}})
                    AND events.timestamp < fromUnixTimestamp64Milli({{until:Int64}})
            ) AS happened
            INNER JOIN ({answers}) AS answers USING (request_id)
            WHERE has(item_ids, item_id)
        """

    def _of_users(self, answers: str, actions: int) -> str:
        after, before = "happened.timestamp >= exposed_at", "happened.timestamp < exposed_at"
        return f"""
            SELECT unit, {_outcomes(after, "", actions)}, {_outcomes(before, "_before", actions)}
            FROM (
                SELECT user_id AS unit, events.timestamp AS timestamp, {_EVENT}
                FROM {self._events} AS events FINAL
                WHERE {WHERE_SCOPE} AND events.timestamp >= fromUnixTimestamp64Milli({{begin:Int64}})
                    AND events.timestamp < fromUnixTimestamp64Milli({{until:Int64}})
            ) AS happened
            INNER JOIN (SELECT unit, min(at) AS exposed_at FROM ({answers}) GROUP BY unit) AS exposed USING (unit)
            WHERE happened.timestamp >= exposed_at - toIntervalMillisecond({{before:Int64}})
            GROUP BY unit
        """

    def _of_sessions(self, answers: str, actions: int) -> str:
        return f"""
            SELECT unit, {_outcomes("1", "", actions)}, {_outcomes("0", "_before", actions)}
            FROM ({self._attributed(answers)}) GROUP BY unit
        """


def _logged(answer: str) -> list[str]:
    """The kinds under which answers are logged."""
    return ["recommendations", "batch"] if answer == "recommendations" else [answer]


def _outcomes(when: str, suffix: str, actions: int) -> str:
    """The columns that are counted of a unit's events, of those for which an expression holds."""
    acted = [
        f"toFloat64(countIf({when} AND act = {{actions:Array(String)}}[{at}])) AS acted{suffix}{at}"
        for at in range(1, actions + 1)
    ]
    return ", ".join(
        [
            f"toFloat64(countIf({when} AND act = 'click')) AS clicks{suffix}",
            f"toFloat64(countIf({when} AND goal)) AS conversions{suffix}",
            f"toFloat64(sumIf(amount, {when} AND goal)) AS worth{suffix}",
            *acted,
        ]
    )


def _sums_of(metric: Metric, actions: Sequence[str]) -> str:
    """The sums of a metric, in the order of `Sample`, of units that were in one arm."""
    place = str(actions.index(metric.action) + 1) if metric.action is not None else ""
    value, base = f"{metric.value}{place}", metric.base
    before = f"{metric.before}{place}" if metric.before is not None else "0"
    pairs = [(value, value), (value, base), (value, before), (base, base), (base, before), (before, before)]
    sums = [f"countIf({value} != 0)", *(f"sum({each})" for each in (value, base, before))]
    return ", ".join([*sums, *(f"sum({a} * {b})" for a, b in pairs)])


_SUMS = 10


def _samples(metrics: Sequence[Metric], units: int, sums: Sequence[float]) -> dict[str, Sample]:
    found = {}
    for at, metric in enumerate(metrics):
        acting, *others = sums[at * _SUMS : (at + 1) * _SUMS]
        found[metric.name] = Sample(units, int(acting), *map(float, others))
    return found


_EVENT = """
    toString(action) AS act, ifNull(value, 0) AS amount, indexOf({goals:Array(String)}, act) + 1 AS place,
    place > 1 AND (isNull(value) OR amount >= {least:Array(Float64)}[place]) AS goal
"""
