"""What users clicked in the interleaved answers of an experiment, in ClickHouse."""
# ruff: noqa: S608 - names of our own tables and expressions of our own are put into queries; values travel as parameters

from typing import NamedTuple

from lemo.domain.deadlines import FOR_JOBS, Deadlines
from lemo.domain.scope import Scope
from lemo.domain.time import CLOCK_SKEW
from lemo.statistics.estimates import Sample
from lemo.stores.clickhouse.client import WHERE_SCOPE, ClickHouse
from lemo.stores.clickhouse.exposures import Unit

_SKEW_MS = round(CLOCK_SKEW.total_seconds() * 1000)


class Interleavings(NamedTuple):
    """The answers of an interleaving. An answer is won by the arm whose items were clicked more."""

    answers: int
    units: int
    """Users or sessions that got one."""
    clicks: tuple[int, int]
    """On items of the control and of the other arm; several clicks on an item of an answer count once."""
    won: tuple[int, int]
    ties: int
    """Answers with as many clicks on items of both, at least one."""
    sample: Sample
    """Of units with an answer that an arm won: `value` is those won by the other arm less those won by the control,
    `base` both together."""


class Interleaved(ClickHouse):
    """Reads answers and clicks, each once, whatever was replayed. Every call raises EngineUnavailable."""

    def __init__(self, url: str, database: str, deadlines: Deadlines = FOR_JOBS) -> None:
        super().__init__(url, database, deadlines)
        self._answers = f"{self._database}.served_answers"
        self._events = f"{self._database}.events"

    def of_experiment(
        self, scope: Scope, experiment: str, unit: Unit, since_ms: int, until_ms: int, arms: tuple[str, str]
    ) -> Interleavings:
        """What came of the answers of a period (Unix ms) by the clicks in it; `arms` are the control and the other."""
        answers = f"""
            SELECT {unit}_id AS unit, request_id, item_ids, arrayMap(each -> toString(each), teams) AS teams
            FROM {self._answers} FINAL
            WHERE {WHERE_SCOPE} AND at >= fromUnixTimestamp64Milli({{since:Int64}})
                AND at < fromUnixTimestamp64Milli({{until:Int64}}) AND experiment = {{experiment:String}}
                AND notEmpty(teams) AND unit != ''
        """
        clicked = f"""
            SELECT request_id, groupUniqArray(item_id) AS clicked
            FROM {self._events} AS events FINAL
            WHERE {WHERE_SCOPE} AND request_id != '' AND toString(action) = 'click'
                AND events.timestamp >= fromUnixTimestamp64Milli({{since:Int64}} - {{skew:Int64}})
                AND events.timestamp < fromUnixTimestamp64Milli({{until:Int64}})
            GROUP BY request_id
        """
        of_team = (
            "toFloat64(arrayCount((item, team) -> team = {{{name}:String}} AND has(clicked, item), item_ids, teams))"
        )
        row = self._query(
            f"""
            SELECT sum(answers), count(), sum(clicks_control), sum(clicks_other), sum(won_control), sum(won_other),
                   sum(ties), countIf(base > 0), countIf(value != 0), sum(value), sum(base), sum(value * value),
                   sum(value * base), sum(base * base)
            FROM (
                SELECT unit, count() AS answers, sum(a) AS clicks_control, sum(b) AS clicks_other,
                       toFloat64(countIf(a > b)) AS won_control, toFloat64(countIf(b > a)) AS won_other,
                       countIf(a = b AND a > 0) AS ties, won_other - won_control AS value,
                       won_other + won_control AS base
                FROM (
                    SELECT unit, {of_team.format(name="control")} AS a, {of_team.format(name="other")} AS b
                    FROM ({answers}) AS answers LEFT JOIN ({clicked}) AS clicks USING (request_id)
                )
                GROUP BY unit
            )
            """,
            scope,
            since=since_ms,
            until=until_ms,
            skew=_SKEW_MS,
            experiment=experiment,
            control=arms[0],
            other=arms[1],
        )[0]
        answers_of, units, *counts, deciding, acting, value, base, square, product, bases = row
        clicks_control, clicks_other, won_control, won_other, ties = map(int, counts)
        return Interleavings(
            answers=int(answers_of),
            units=int(units),
            clicks=(clicks_control, clicks_other),
            won=(won_control, won_other),
            ties=ties,
            sample=Sample(
                units=int(deciding),
                acting=int(acting),
                value=value,
                base=base,
                value_value=square,
                value_base=product,
                base_base=bases,
            ),
        )
