"""Answers with what followed from them, computed from the events where it can have changed since it was kept.

A row of `analytics_outcomes` is of one answer, and holds while no hour is marked in which something may have come or
gone that it depends on. What followed from the other answers is computed: docs/decisions/0028-while-rows-arrive.md.
"""
# ruff: noqa: S608 - names of our own tables and expressions of our own are put into queries; values travel as parameters

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from lemo.domain.counting import CountingRules
from lemo.domain.deadlines import FOR_JOBS, Deadlines
from lemo.domain.scope import Scope
from lemo.stores.clickhouse.client import WHERE_SCOPE, ClickHouse, Parameter
from lemo.stores.clickhouse.traffic_periods import AHEAD_MS, HOUR_MS, Period, bounds, within

_FINAL_FROM = 10
"""Where more than one in so many events is read, merging all rows (FINAL) takes less time than finding those."""
_EVENT_COLUMNS = ", ".join(
    f"events.{name} AS {name}" for name in ("at", "event_id", "user_id", "item_id", "act", "amount", "device", "goal")
)
_OUTCOMES = ("seen", "clicked", "carted", "converted", "worth")
_OUTCOME = "arrayMap(each -> if(each = 0, 0, {name}_of[each]), found) AS {name}"
OUTCOME_COLUMNS = f"followed, {', '.join(f'{name}_of' for name in _OUTCOMES)}, device_of, hours"
"""What followed from an answer: arrays by item that events are of, and the hours (Unix seconds) of these events."""


class Kept(NamedTuple):
    """Which kept outcomes hold: of answers of these periods, by these rules, that no marked hour can have changed."""

    periods: Sequence[Period]
    rules: int
    marked: Collection[int]
    """Hours (Unix seconds) of which events or answers may have come or gone."""


class TrafficOutcomes(ClickHouse):
    """Writes the queries over events and over answers with outcomes, each once, whatever was replayed."""

    def __init__(self, url: str, database: str, deadlines: Deadlines = FOR_JOBS) -> None:
        super().__init__(url, database, deadlines)
        self._answers = f"{self._database}.served_answers"
        self._events = f"{self._database}.events"
        self._outcomes = f"{self._database}.analytics_outcomes"

    def _answers_with_outcomes(
        self,
        scope: Scope,
        periods: Sequence[Period],
        rules: CountingRules,
        parameters: dict[str, Parameter],
        kept: Kept | None,
    ) -> str:
        """Answers with arrays by position: seen, clicked, carted, converted (0 or 1) and worth; and the device.

        The device is that of the first event that names one.
        """
        held, outcomes = self._followed(scope, periods, rules, parameters, kept)
        if held:
            outcomes = f"{held} UNION ALL {outcomes}"
        return f"""
            SELECT served.*, arrayMap(item -> indexOf(followed, item), item_ids) AS found,
                   {", ".join(_OUTCOME.format(name=name) for name in _OUTCOMES)},
                   arraySort(arrayFilter(
                       each -> each.3 != '', arrayMap((each, item) -> if(has(item_ids, item), each,
                           (toDateTime64(0, 3, 'UTC'), '', '')), device_of, followed)
                   ))[1].3 AS device
            FROM (
                SELECT at, request_id, user_id, kind, placement, item_ids, degraded, took_us, share,
                       arrayResize(sources, length(item_ids)) AS sources,
                       arrayResize(explored, length(item_ids)) AS explored,
                       model_version, pipeline_version, experiment, arm
                FROM {self._answers} FINAL WHERE {WHERE_SCOPE} AND {within("at", periods)}
            ) AS served LEFT JOIN ({outcomes}) AS outcomes ON cityHash64(served.request_id) = outcomes.id
        """

    def _followed(
        self,
        scope: Scope,
        periods: Sequence[Period],
        rules: CountingRules,
        parameters: dict[str, Parameter],
        kept: Kept | None,
    ) -> tuple[str, str]:
        """Queries of the outcomes that hold, empty where none may, and of those of the other answers, computed anew.

        Both have the columns id, the hash of the request id, and OUTCOME_COLUMNS. Answers of which nothing followed are
        in none of the new ones.
        """
        parameters |= {
            "from": periods[0].since_ms - AHEAD_MS,
            "to": periods[-1].until_ms + rules.window_hours * HOUR_MS,
        }
        unnamed = self._has_events_without_request(scope, parameters)
        held = self._holding(kept, unnamed, parameters) if kept is not None and kept.periods else ""
        others = f"NOT IN (SELECT id FROM ({held}))" if held else ""
        events = self._once(scope, parameters, "request_id != ''", others and f"cityHash64(request_id) {others}")
        followed = f"""
            SELECT {_EVENT_COLUMNS}, request.id AS id
            FROM ({events}) AS events
            INNER JOIN (
                SELECT cityHash64(request_id) AS id, at AS shown_at
                FROM {self._answers} FINAL
                WHERE {WHERE_SCOPE} AND {within("at", periods)} {others and f"AND id {others}"}
            ) AS request ON cityHash64(events.request_id) = request.id
            WHERE events.at >= subtractMilliseconds(shown_at, {AHEAD_MS})
                AND events.at < addMilliseconds(shown_at, {{window:Int64}})
        """
        if unnamed:
            users = others and (
                f"user_id IN (SELECT user_id FROM {self._answers} WHERE {WHERE_SCOPE} AND {within('at', periods)} "
                f"AND cityHash64(request_id) {others})"
            )
            # The last answer before an event may be one of after the periods, which then takes it.
            followed += f"""
                UNION ALL
                SELECT {_EVENT_COLUMNS}, cityHash64(shown.request) AS id
                FROM (
                    SELECT *, item_id AS item, user_id AS viewer
                    FROM ({self._once(scope, parameters, "request_id = ''", users)})
                ) AS events
                ASOF INNER JOIN (
                    SELECT user_id AS viewer, item, at AS shown_at, max(request_id) AS request
                    FROM {self._answers} FINAL ARRAY JOIN item_ids AS item
                    WHERE {WHERE_SCOPE} AND user_id != '' AND at >= fromUnixTimestamp64Milli({{since0:Int64}})
                        AND at < fromUnixTimestamp64Milli({{to:Int64}})
                    GROUP BY viewer, item, shown_at
                ) AS shown ON events.viewer = shown.viewer AND events.item = shown.item AND events.at >= shown.shown_at
                WHERE events.at < addMilliseconds(shown_at, {{window:Int64}})
                    {others and f"AND cityHash64(shown.request) {others}"}
            """
        outcomes = f"""
            SELECT id, groupArray(item_id) AS followed, groupArray(seen_one) AS seen_of,
                   groupArray(clicked_one) AS clicked_of, groupArray(carted_one) AS carted_of,
                   groupArray(converted_one) AS converted_of, groupArray(worth_one) AS worth_of,
                   groupArray(device_one) AS device_of, groupUniqArrayArray(hours_one) AS hours
            FROM (
                SELECT id, item_id, toUInt8(max(act = 'impression')) AS seen_one,
                       toUInt8(max(act = 'click')) AS clicked_one, toUInt8(max(act = 'cart')) AS carted_one,
                       toUInt8(max(goal)) AS converted_one, sumIf(amount, goal) AS worth_one,
                       minIf((at, event_id, device), device != '') AS device_one,
                       groupUniqArray(toUnixTimestamp(toStartOfHour(at))) AS hours_one
                FROM ({followed})
                GROUP BY id, item_id
            )
            GROUP BY id
        """
        return held, outcomes

    def _holding(self, kept: Kept, unnamed: bool, parameters: dict[str, Parameter]) -> str:
        """The outcomes that nothing can have changed since they were kept.

        What can have changed follows from events of marked hours, or did before they went away. An event that names no
        answer can also come to another answer of its user, as can those of users who got an answer in a marked hour.
        """
        parameters |= bounds(kept.periods, "kept_")
        parameters |= {
            "digest": kept.rules,
            "marked": sorted(kept.marked),
            "first": min(kept.marked, default=0) * 1000,
            "end": max(kept.marked, default=0) * 1000 + HOUR_MS,
        }
        touched = f"SELECT cityHash64(request_id) FROM {self._events} WHERE {_marked('timestamp')} AND request_id != ''"
        if unnamed:
            touched += f"""
                UNION ALL
                SELECT cityHash64(request_id) FROM {self._answers}
                WHERE {WHERE_SCOPE} AND {within("at", kept.periods, "kept_")} AND user_id != '' AND user_id IN (
                    SELECT user_id FROM {self._events} WHERE {_marked("timestamp")} AND request_id = ''
                    UNION ALL SELECT user_id FROM {self._answers} WHERE {_marked("at")}
                )
            """
        return f"""
            SELECT id, {OUTCOME_COLUMNS} FROM {self._outcomes} FINAL
            WHERE {WHERE_SCOPE} AND {within("at", kept.periods, "kept_")} AND rules = {{digest:UInt64}}
                AND NOT hasAny(hours, {{marked:Array(UInt32)}}) AND id NOT IN ({touched})
        """

    def _once(self, scope: Scope, parameters: dict[str, Parameter], which: str = "1", relevant: str = "") -> str:
        """Events of the moments [from, to), each id once: as it came first; those of which that are relevant."""
        inside = (
            "timestamp >= fromUnixTimestamp64Milli({from:Int64}) AND timestamp < fromUnixTimestamp64Milli({to:Int64}) "
            f"AND {which}"
        )
        columns = "timestamp, event_id, user_id, item_id, toString(action), value, request_id, toString(device)"
        if not relevant and self._is_much(scope, inside, parameters):
            rows = (
                f"SELECT tuple({columns}) AS row FROM {self._events} AS events FINAL WHERE {WHERE_SCOPE} AND {inside}"
            )
        else:
            # All rows of these ids are found by a hash, which is a quarter of the id, without merging those of all.
            rows = f"""
                SELECT tuple({columns}) AS row FROM (
                    SELECT timestamp, event_id, user_id, item_id, action, value, request_id, device
                    FROM {self._events}
                    WHERE {WHERE_SCOPE} AND id_hash IN (
                        SELECT id_hash FROM {self._events} WHERE {WHERE_SCOPE} AND {inside} AND {relevant or "1"}
                    )
                    ORDER BY precedence DESC LIMIT 1 BY event_id
                ) WHERE {inside}
            """
        return f"""
            SELECT row.1 AS at, row.2 AS event_id, row.3 AS user_id, row.4 AS item_id, row.5 AS act,
                   ifNull(row.6, 0) AS amount, row.7 AS request_id, row.8 AS device,
                   indexOf({{goals:Array(String)}}, act) + 1 AS which,
                   which > 1 AND (isNull(row.6) OR amount >= {{least:Array(Float64)}}[which]) AS goal
            FROM ({rows})
        """

    def _is_much(self, scope: Scope, inside: str, parameters: Mapping[str, Parameter]) -> bool:
        """Whether so many of all events are inside that merging all of them takes less time than finding those."""
        wanted, all_rows = self._query(
            f"SELECT countIf({inside}), count() FROM {self._events} WHERE {WHERE_SCOPE}",
            scope,
            **{name: parameters[name] for name in ("from", "to")},
        )[0]
        return bool(wanted * _FINAL_FROM > all_rows)

    def _has_events_without_request(self, scope: Scope, parameters: Mapping[str, Parameter]) -> bool:
        found = self._query(
            f"SELECT 1 FROM {self._events} WHERE {WHERE_SCOPE} AND request_id = '' "
            "AND timestamp >= fromUnixTimestamp64Milli({from:Int64}) "
            "AND timestamp < fromUnixTimestamp64Milli({to:Int64}) LIMIT 1",
            scope,
            **{name: parameters[name] for name in ("from", "to")},
        )
        return bool(found)


def _marked(moment: str) -> str:
    """Whether a row of the scope is from a marked hour."""
    return (
        f"{WHERE_SCOPE} AND {moment} >= fromUnixTimestamp64Milli({{first:Int64}}) "
        f"AND {moment} < fromUnixTimestamp64Milli({{end:Int64}}) "
        f"AND toUnixTimestamp(toStartOfHour({moment})) IN {{marked:Array(UInt32)}}"
    )
