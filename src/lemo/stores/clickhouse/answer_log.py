"""Answers to users as they were logged, what came of them, and what was known of the users then: for replays."""
# ruff: noqa: S608 - names of our own tables and expressions of our own are put into queries; values travel as parameters

from collections.abc import Mapping
from typing import NamedTuple

from lemo.domain.deadlines import FOR_JOBS, Deadlines
from lemo.domain.interaction import Interaction
from lemo.domain.scope import Scope
from lemo.stores.clickhouse.client import WHERE_SCOPE, ClickHouse


class Reward(NamedTuple):
    """What came of one item of an answer."""

    clicked: bool
    converted: bool
    value: float
    """Sum of `value` over its events of the goal."""


class LoggedAnswer(NamedTuple):
    """An answer to a user, best item first."""

    at_ms: int
    request_id: str
    user_id: str
    item_ids: list[str]
    propensities: list[float | None]
    """The probability that chance put the item into the answer; None where no chance was, or where it is unknown."""
    explored: list[bool]


class AnswerLog(ClickHouse):
    """Reads answers and events, each once, whatever was replayed. Every call raises EngineUnavailable.

    Times are Unix milliseconds, `until_ms` the first moment after the period.
    """

    def __init__(self, url: str, database: str, deadlines: Deadlines = FOR_JOBS) -> None:
        super().__init__(url, database, deadlines)
        self._events = f"{self._database}.events"
        self._served = f"""
            SELECT toUnixTimestamp64Milli(at) AS at_ms, request_id, user_id, item_ids, propensities, explored
            FROM {self._database}.served_answers FINAL
            WHERE {WHERE_SCOPE} AND at >= fromUnixTimestamp64Milli({{since:Int64}})
                AND at < fromUnixTimestamp64Milli({{until:Int64}}) AND kind IN ('recommendations', 'batch')
                AND user_id != '' AND empty(session) AND notEmpty(item_ids) AND empty(teams)
            ORDER BY at DESC, request_id LIMIT {{limit:UInt32}}
        """

    def answers(self, scope: Scope, since_ms: int, until_ms: int, limit: int) -> list[LoggedAnswer]:
        """The newest recommendations to users that held an item, newest first.

        Sessions without a user are left out, and interleaved answers, which no pipeline alone gave.
        """
        rows = self._query(self._served, scope, since=since_ms, until=until_ms, limit=limit)
        return [
            LoggedAnswer(at, request, user, list(items), list(p), list(e)) for at, request, user, items, p, e in rows
        ]

    def rewards(
        self, scope: Scope, since_ms: int, until_ms: int, limit: int, goal: Mapping[str, float]
    ) -> dict[tuple[str, str], Reward]:
        """By request id and item what came of `answers` of the same arguments; items of which nothing came are absent.

        `goal` names the actions that count as a conversion, each with the least `value` that does.
        """
        rows = self._query(
            f"""
            SELECT request_id, item_id, max(act = 'click'), max(goal), sumIf(amount, goal)
            FROM (
                SELECT request_id, item_id, toString(action) AS act, ifNull(value, 0) AS amount,
                       indexOf({{goals:Array(String)}}, act) + 1 AS place,
                       place > 1 AND (isNull(value) OR amount >= {{least:Array(Float64)}}[place]) AS goal
                FROM {self._events} AS events FINAL
                WHERE {WHERE_SCOPE} AND request_id IN (SELECT request_id FROM ({self._served}))
            )
            GROUP BY request_id, item_id
            """,
            scope,
            since=since_ms,
            until=until_ms,
            limit=limit,
            goals=list(goal),
            least=[0.0, *goal.values()],
        )
        return {
            (request, item): Reward(bool(click), bool(goal), float(value)) for request, item, click, goal, value in rows
        }

    def interactions(self, scope: Scope, since_ms: int, until_ms: int, limit: int) -> dict[str, list[Interaction]]:
        """All events before `until_ms` of the users of `answers` of the same arguments, newest first."""
        rows = self._query(
            f"""
            SELECT user_id, item_id, toString(action), value, toUnixTimestamp64Milli(events.timestamp)
            FROM {self._events} AS events FINAL
            WHERE {WHERE_SCOPE} AND events.timestamp < fromUnixTimestamp64Milli({{until:Int64}})
                AND user_id IN (SELECT user_id FROM ({self._served}))
            ORDER BY events.timestamp DESC, event_id DESC
            """,
            scope,
            since=since_ms,
            until=until_ms,
            limit=limit,
        )
        found: dict[str, list[Interaction]] = {}
        for user, *values in rows:
            found.setdefault(user, []).append(Interaction(*values))
        return found
