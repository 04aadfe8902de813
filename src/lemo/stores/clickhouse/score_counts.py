"""How the scores of recommendations are distributed, now and in a period before."""

import math
from typing import NamedTuple

from lemo.domain.deadlines import FOR_JOBS, Deadlines
from lemo.domain.scope import Scope
from lemo.stores.clickhouse.client import WHERE_SCOPE, ClickHouse
from lemo.stores.clickhouse.traffic_periods import Period

BINS = 10


class ScoreCounts(NamedTuple):
    """Scores by bin, and how many answers they are of."""

    before: list[int]
    now: list[int]
    answers_before: int
    answers_now: int


class Scores(ClickHouse):
    """Reads scores of whole (not degraded) recommendations; every call raises EngineUnavailable."""

    def __init__(self, url: str, database: str, deadlines: Deadlines = FOR_JOBS) -> None:
        super().__init__(url, database, deadlines)
        self._scored = f"""
            FROM {self._database}.served_answers FINAL
            WHERE {WHERE_SCOPE} AND kind IN ('recommendations', 'batch') AND NOT degraded AND notEmpty(scores)
                AND at >= fromUnixTimestamp64Milli({{since:Int64}}) AND at < fromUnixTimestamp64Milli({{until:Int64}})
        """

    def counts(self, scope: Scope, before: Period, now: Period) -> ScoreCounts:
        """Counts of the scores of two periods. Bins lie between the deciles of the period before, equal ones once."""
        levels = ", ".join(str(place / BINS) for place in range(1, BINS))
        then = {"since": before.since_ms, "until": before.until_ms}
        [(found,)] = self._query(f"SELECT quantilesArray({levels})(scores) {self._scored}", scope, **then)
        edges = sorted({float(each) for each in found if not math.isnan(each)})
        counted: dict[bool, tuple[list[int], int]] = {}
        for is_now, period in ((False, before), (True, now)):
            [(bins, answers)] = self._query(
                f"""
                WITH arrayMap(score -> arrayCount(edge -> score >= edge, {{edges:Array(Float64)}}), scores) AS bins
                SELECT sumForEach(arrayMap(bin -> countEqual(bins, bin), range({len(edges) + 1}))), count()
                {self._scored}
                """,
                scope,
                edges=edges,
                since=period.since_ms,
                until=period.until_ms,
            )
            counted[is_now] = ([int(each) for each in bins] or [0] * (len(edges) + 1), int(answers))
        return ScoreCounts(counted[False][0], counted[True][0], counted[False][1], counted[True][1])
