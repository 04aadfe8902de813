"""Answers with what followed from them, and events, as rows of raw tables: what every number is counted from."""
# ruff: noqa: S608 - names of our own tables and expressions of our own are put into queries; values travel as parameters

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from lemo.domain.counting import CountingRules
from lemo.domain.deadlines import FOR_JOBS, Deadlines
from lemo.domain.scope import Scope
from lemo.stores.clickhouse.client import WHERE_SCOPE, ClickHouse, Parameter
from lemo.stores.clickhouse.traffic_metrics import ATTRIBUTED, DIRECT, sums
from lemo.stores.clickhouse.traffic_rollups import ROLLED_ANSWERS, ROLLED_EVENTS, ROLLED_ITEMS, ROLLED_PLACES

HOUR_MS = 3_600_000
AHEAD_MS = HOUR_MS
"""An event that names its answer follows from it even if it seems to be so much older: clocks differ."""

_FINAL_FROM = 10
"""Where more than one in so many events is read, merging all rows (FINAL) takes less time than finding those."""

Part = Literal["attributed", "direct"]
By = Literal[
    "day",
    "hour",
    "placement",
    "position",
    "category",
    "device",
    "source",
    "kind",
    "model",
    "pipeline",
    "arm",
    "item",
    "items",
]
"""What numbers are grouped by. `items` is one row of a day, that has how often each item came, in two arrays."""

_OF_ANSWERS: Mapping[By, str] = {
    "day": "toString(toUnixTimestamp(toStartOfDay(at, {zone:String})))",
    "hour": "toString(toUnixTimestamp(toStartOfHour(at, {zone:String})))",
    "placement": "placement",
    "device": "device",
    "kind": "kind",
    "model": "model_version",
    "pipeline": "ifNull(toString(pipeline_version), '')",
    "arm": "if(experiment = '' OR arm = '', experiment, concat(experiment, '/', arm))",
}
_OF_PLACES: Mapping[By, str] = {"position": "toString(place)", "source": "source", "item": "item_id"}
_OF_EVENTS: Mapping[By, str] = {
    "day": _OF_ANSWERS["day"],
    "hour": _OF_ANSWERS["hour"],
    "device": "device",
    "item": "item_id",
}
KEPT: Mapping[Part, tuple[By, ...]] = {
    "attributed": (*_OF_ANSWERS, *_OF_PLACES, "items"),
    "direct": (*_OF_EVENTS, "items"),
}
"""What the numbers of each part are grouped by."""

_EVENT_COLUMNS = ", ".join(
    f"events.{name} AS {name}" for name in ("at", "event_id", "user_id", "item_id", "act", "amount", "device", "goal")
)
_OUTCOMES = ("seen", "clicked", "carted", "converted", "worth")
_OUTCOME = "arrayMap(each -> if(each = 0, 0, {name}_of[each]), found) AS {name}"


class Period(NamedTuple):
    """A stretch of time, in Unix milliseconds; `until_ms` is the first moment after it."""

    since_ms: int
    until_ms: int

    @property
    def before(self) -> "Period":
        """The period of the same length that ends where this one begins."""
        return Period(2 * self.since_ms - self.until_ms, self.since_ms)


class TrafficRows(ClickHouse):
    """Writes the queries over answers and events, each once, whatever was replayed."""

    def __init__(self, url: str, database: str, deadlines: Deadlines = FOR_JOBS) -> None:
        super().__init__(url, database, deadlines)
        self._answers = f"{self._database}.served_answers"
        self._events = f"{self._database}.events"

    def _rolled(
        self, part: Part, scope: Scope, periods: Sequence[Period], rules: CountingRules, by: Sequence[By]
    ) -> tuple[str, dict[str, Parameter]]:
        """A query of the numbers of periods, and its parameters. There is at least one period, and they are in order.

        Columns: day (a Date, in the rules' zone), by, key; `sums` as in `traffic_metrics`; `users` and `items`, 64 bits
        of the hash of each, once (a million of them are counted one too few at most once in ten million times), and
        `took`, the microseconds of each answer; `distinct`, the numbers of different users and items and the quantiles;
        `item_hashes` and `item_counts`, in the row `items` how often each item was in an answer, or in an event other
        than impressions; first and last, when that was. Of hours there are no users, items and times, of places no
        users and times, of positions and items no different items.
        """
        parameters: dict[str, Parameter] = {
            "zone": rules.zone,
            "goals": list(rules.goal),
            "least": [0.0, *rules.goal.values()],  # element 1 is for actions that are no goal
            "window": rules.window_hours * HOUR_MS,
        }
        for number, period in enumerate(periods):
            parameters |= {f"since{number}": period.since_ms, f"until{number}": period.until_ms}
        if part == "direct":
            return self._rolled_events(scope, periods, by, parameters), parameters
        if list(by) == ["items"]:
            # What followed from the answers, which takes the most of the time, is not asked for.
            answers = f"SELECT at, item_ids FROM {self._answers} FINAL WHERE {WHERE_SCOPE} AND {_within('at', periods)}"
        else:
            answers = self._answers_with_outcomes(scope, periods, rules, parameters)
        parts = []
        if of_answers := _groups(_OF_ANSWERS, by):
            parts.append(ROLLED_ANSWERS.format(sums=_added(each.sql for each in sums(ATTRIBUTED)), groups=of_answers))
        if of_places := _groups(_OF_PLACES, by):
            parts.append(
                ROLLED_PLACES.format(sums=_added(each.place or "0" for each in sums(ATTRIBUTED)), groups=of_places)
            )
        if "items" in by:
            parts.append(ROLLED_ITEMS.format(rows="(SELECT at, arrayJoin(item_ids) AS item_id FROM rows)"))
        return f"WITH rows AS ({answers}) {' UNION ALL '.join(parts)}", parameters

    def _rolled_events(
        self, scope: Scope, periods: Sequence[Period], by: Sequence[By], parameters: dict[str, Parameter]
    ) -> str:
        parameters |= {"from": periods[0].since_ms, "to": periods[-1].until_ms}
        events = f"SELECT * FROM ({self._once(scope, parameters)}) WHERE {_within('at', periods)}"
        parts = []
        if groups := _groups(_OF_EVENTS, by):
            parts.append(
                ROLLED_EVENTS.format(sums=_added(each.sql for each in sums(DIRECT)), groups=groups, events=events)
            )
        if "items" in by:
            parts.append(ROLLED_ITEMS.format(rows=f"({events}) WHERE act != 'impression'"))
        return " UNION ALL ".join(parts)

    def _answers_with_outcomes(
        self, scope: Scope, periods: Sequence[Period], rules: CountingRules, parameters: dict[str, Parameter]
    ) -> str:
        """Answers with arrays by position: seen, clicked, carted, converted (0 or 1) and worth; and the device.

        The device is that of the first event that names one.
        """
        parameters |= {
            "from": periods[0].since_ms - AHEAD_MS,
            "to": periods[-1].until_ms + rules.window_hours * HOUR_MS,
        }
        served = f"""
            SELECT at, request_id, user_id, kind, placement, item_ids, degraded, took_us, share,
                   arrayResize(sources, length(item_ids)) AS sources,
                   arrayResize(explored, length(item_ids)) AS explored,
                   model_version, pipeline_version, experiment, arm
            FROM {self._answers} FINAL WHERE {WHERE_SCOPE} AND {_within("at", periods)}
        """
        events = self._once(scope, parameters)
        followed = f"""
            SELECT {_EVENT_COLUMNS}, request.id AS id
            FROM (SELECT * FROM ({events}) WHERE request_id != '') AS events
            INNER JOIN (SELECT cityHash64(request_id) AS id, at AS shown_at FROM ({served})) AS request
                ON cityHash64(events.request_id) = request.id
            WHERE events.at >= subtractMilliseconds(shown_at, {AHEAD_MS})
                AND events.at < addMilliseconds(shown_at, {{window:Int64}})
        """
        if self._has_events_without_request(scope, parameters):
            # The last answer before an event may be one of after the periods, which then takes it.
            followed += f"""
                UNION ALL
                SELECT {_EVENT_COLUMNS}, cityHash64(shown.request) AS id
                FROM (SELECT *, item_id AS item, user_id AS viewer FROM ({events}) WHERE request_id = '') AS events
                ASOF INNER JOIN (
                    SELECT user_id AS viewer, item, at AS shown_at, max(request_id) AS request
                    FROM {self._answers} FINAL ARRAY JOIN item_ids AS item
                    WHERE {WHERE_SCOPE} AND user_id != '' AND at >= fromUnixTimestamp64Milli({{since0:Int64}})
                        AND at < fromUnixTimestamp64Milli({{to:Int64}})
                    GROUP BY viewer, item, shown_at
                ) AS shown ON events.viewer = shown.viewer AND events.item = shown.item AND events.at >= shown.shown_at
                WHERE events.at < addMilliseconds(shown_at, {{window:Int64}})
            """
        outcomes = f"""
            SELECT id, groupArray(item_id) AS followed, groupArray(seen_one) AS seen_of,
                   groupArray(clicked_one) AS clicked_of, groupArray(carted_one) AS carted_of,
                   groupArray(converted_one) AS converted_of, groupArray(worth_one) AS worth_of,
                   groupArray(device_one) AS device_of
            FROM (
                SELECT id, item_id, toUInt8(max(act = 'impression')) AS seen_one,
                       toUInt8(max(act = 'click')) AS clicked_one, toUInt8(max(act = 'cart')) AS carted_one,
                       toUInt8(max(goal)) AS converted_one, sumIf(amount, goal) AS worth_one,
                       minIf((at, event_id, device), device != '') AS device_one
                FROM ({followed})
                GROUP BY id, item_id
            )
            GROUP BY id
        """
        return f"""
            SELECT served.*, arrayMap(item -> indexOf(followed, item), item_ids) AS found,
                   {", ".join(_OUTCOME.format(name=name) for name in _OUTCOMES)},
                   arraySort(arrayFilter(
                       each -> each.3 != '', arrayMap((each, item) -> if(has(item_ids, item), each,
                           (toDateTime64(0, 3, 'UTC'), '', '')), device_of, followed)
                   ))[1].3 AS device
            FROM ({served}) AS served LEFT JOIN ({outcomes}) AS outcomes ON cityHash64(served.request_id) = outcomes.id
        """

    def _once(self, scope: Scope, parameters: dict[str, Parameter]) -> str:
        """Events of the moments [from, to), each id once: as it came first."""
        within = (
            f"{WHERE_SCOPE} AND timestamp >= fromUnixTimestamp64Milli({{from:Int64}}) "
            "AND timestamp < fromUnixTimestamp64Milli({to:Int64})"
        )
        columns = "timestamp, event_id, user_id, item_id, toString(action), value, request_id, toString(device)"
        inside, all_rows = self._query(
            f"SELECT countIf({within.removeprefix(WHERE_SCOPE + ' AND ')}), count() "
            f"FROM {self._events} WHERE {WHERE_SCOPE}",
            scope,
            **{name: parameters[name] for name in ("from", "to")},
        )[0]
        if inside * _FINAL_FROM > all_rows:
            rows = f"SELECT tuple({columns}) AS row FROM {self._events} AS events FINAL WHERE {within}"
        else:
            # All rows of these ids are found by a hash, which is a quarter of the id, without merging those of all.
            rows = f"""
                SELECT tuple({columns}) AS row FROM (
                    SELECT timestamp, event_id, user_id, item_id, action, value, request_id, device
                    FROM {self._events}
                    WHERE {WHERE_SCOPE} AND id_hash IN (SELECT id_hash FROM {self._events} WHERE {within})
                    ORDER BY precedence DESC LIMIT 1 BY event_id
                ) WHERE {within.removeprefix(WHERE_SCOPE + " AND ")}
            """
        return f"""
            SELECT row.1 AS at, row.2 AS event_id, row.3 AS user_id, row.4 AS item_id, row.5 AS act,
                   ifNull(row.6, 0) AS amount, row.7 AS request_id, row.8 AS device,
                   indexOf({{goals:Array(String)}}, act) + 1 AS which,
                   which > 1 AND (isNull(row.6) OR amount >= {{least:Array(Float64)}}[which]) AS goal
            FROM ({rows})
        """

    def _has_events_without_request(self, scope: Scope, parameters: Mapping[str, Parameter]) -> bool:
        found = self._query(
            f"SELECT 1 FROM {self._events} WHERE {WHERE_SCOPE} AND request_id = '' "
            "AND timestamp >= fromUnixTimestamp64Milli({from:Int64}) "
            "AND timestamp < fromUnixTimestamp64Milli({to:Int64}) LIMIT 1",
            scope,
            **{name: parameters[name] for name in ("from", "to")},
        )
        return bool(found)


def _within(column: str, periods: Sequence[Period]) -> str:
    """Whether a moment lies in one of the periods, whose parameters are numbered."""
    each = (
        f"({column} >= fromUnixTimestamp64Milli({{since{number}:Int64}}) "
        f"AND {column} < fromUnixTimestamp64Milli({{until{number}:Int64}}))"
        for number in range(len(periods))
    )
    return f"({' OR '.join(each)})"


def _added(expressions: Iterable[str]) -> str:
    return ", ".join(f"toFloat64(sum({each}))" for each in expressions)


def _groups(known: Mapping[By, str], by: Sequence[By]) -> str:
    return ", ".join(f"('{name}', toString({known[name]}))" for name in by if name in known)
