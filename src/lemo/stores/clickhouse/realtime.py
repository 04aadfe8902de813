"""Sessions and metrics of minutes in ClickHouse, made from its events; what they are stands in `domain/realtime.py`.

Rows are versioned by the set of events that they are of, so that worker and Flink may write them in any order.

It is long because its three queries are written out, over the same deduplicated events.
"""
# ruff: noqa: S608 - only names of our own tables are put into the text of queries; values travel as bound parameters

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from lemo.domain.deadlines import FOR_JOBS, Deadlines
from lemo.domain.realtime import (
    CORRECTED_DAYS,
    DAY_MS,
    GAP_MS,
    HALF_LIVES,
    HOT_MS,
    LONGEST_PLACEMENT,
    MINUTE_MS,
    MinuteRow,
    SessionRow,
)
from lemo.domain.scenario import ActionRule
from lemo.domain.scope import Scope
from lemo.stores.clickhouse.client import WHERE_SCOPE, ClickHouse, Parameter

KEPT_DAYS = 90
"""Days that metrics of minutes are kept."""
BUCKET_EVENTS = 300_000
"""New events whose users are computed at once, so that any number fits into the engine's memory."""
MANY_EVENTS = 1_000_000
"""From so many new events on, all events of a scope are merged when read, instead of looking up each id."""

TABLES = (
    """
    CREATE TABLE IF NOT EXISTS {database}.event_sessions (
        tenant_id LowCardinality(String),
        scenario_id LowCardinality(String),
        user_id String,
        at DateTime64(3, 'UTC'),
        event_id String,
        item_id String,
        action LowCardinality(String),
        session_id String,
        place UInt32,
        dwell_ms Nullable(UInt32),
        version UInt64
    )
    ENGINE = ReplacingMergeTree(version)
    ORDER BY (tenant_id, scenario_id, user_id, at, event_id)
    """,
    f"""
    CREATE TABLE IF NOT EXISTS {{database}}.realtime_minutes (
        tenant_id LowCardinality(String),
        scenario_id LowCardinality(String),
        minute DateTime('UTC'),
        placement String,
        events UInt64,
        impressions UInt64,
        clicks UInt64,
        conversions UInt64,
        value Float64
    )
    ENGINE = ReplacingMergeTree(events)
    ORDER BY (tenant_id, scenario_id, minute, placement)
    TTL minute + toIntervalDay({KEPT_DAYS})
    """,
    # Up to which moment, of the engine's clock, events that came in are in these tables.
    """
    CREATE TABLE IF NOT EXISTS {database}.realtime_positions (
        tenant_id LowCardinality(String),
        scenario_id LowCardinality(String),
        position Int64
    )
    ENGINE = ReplacingMergeTree(position)
    ORDER BY (tenant_id, scenario_id)
    """,
    # New events lie in small parts, which this tells apart from the large ones of before.
    "ALTER TABLE {database}.events ADD INDEX IF NOT EXISTS by_arrival ingested_at TYPE minmax GRANULARITY 1",
)

_MS = "toUnixTimestamp64Milli({})"
_DAY = f"intDiv(toUnixTimestamp64Milli(timestamp), {DAY_MS})"
_MINUTE = f"intDiv(toUnixTimestamp64Milli(timestamp), {MINUTE_MS}) * 60"
_PLACEMENT = (
    "if(JSONType(attributes, 'placement') = 'String' AND lengthUTF8(JSONExtractString(attributes, 'placement')) <= "
    f"{LONGEST_PLACEMENT}, JSONExtractString(attributes, 'placement'), '')"
)
_COLUMNS = ("timestamp", "user_id", "item_id", "action", "value", "attributes")
_NEW = "ingested_at >= fromUnixTimestamp64Milli({since:Int64})"


class Arrived(NamedTuple):
    """What came in since a position."""

    events: int
    """Rows, repeated ones too."""
    first_ms: int
    """When the first of them happened."""
    last_ms: int
    now_ms: int
    """The engine's clock when it was asked."""


class Realtime(ClickHouse):
    """Makes and reads the tables, which `Events.migrate` creates. Every call raises EngineUnavailable."""

    def __init__(self, url: str, database: str, deadlines: Deadlines = FOR_JOBS) -> None:
        super().__init__(url, database, deadlines)
        self._events = f"{self._database}.events"
        self._sessions = f"{self._database}.event_sessions"
        self._minutes = f"{self._database}.realtime_minutes"
        self._positions = f"{self._database}.realtime_positions"

    def position(self, scope: Scope) -> int:
        """Up to which moment (Unix ms of the engine's clock) what came in is computed; 0: nothing is."""
        return int(self._one(f"SELECT max(position) FROM {self._positions} WHERE {WHERE_SCOPE}", scope))

    def advance(self, scope: Scope, position: int) -> None:
        """Says that what came in before a moment is computed."""
        row = [[scope.tenant_id, scope.scenario_id, position]]
        names = ["tenant_id", "scenario_id", "position"]
        self._ask(lambda client: client.insert(self._positions, row, column_names=names))

    def arrived(self, scope: Scope, since: int) -> Arrived:
        """What came in at or after a moment (Unix ms of the engine's clock)."""
        row = self._query(
            f"SELECT count(), min({_MS.format('timestamp')}), max({_MS.format('timestamp')}), "
            f"toUnixTimestamp64Milli(now64(3)) FROM {self._events} WHERE {WHERE_SCOPE} AND {_NEW}",
            scope,
            since=since,
        )[0]
        return Arrived(*map(int, row))

    def make_sessions(self, scope: Scope, since: int, new: Arrived, bucket: int, buckets: int) -> int:
        """Writes the sessions of each user's day that has a new event; returns how many rows changed.

        Of the users those whose hash falls into the bucket, from 0, of `buckets`.
        """
        mine = "cityHash64(user_id) % {buckets:UInt32} = {bucket:UInt32}"
        touched = f"SELECT user_id, {_DAY} FROM {self._events} WHERE {WHERE_SCOPE} AND {_NEW} AND {mine}"
        inside = f"(user_id, {_DAY}) IN ({touched})"
        order = "ORDER BY ms, event_id ROWS BETWEEN UNBOUNDED PRECEDING AND"
        of_day, of_session = "PARTITION BY user_id, day", "PARTITION BY user_id, day, session"
        rows = f"""
            SELECT user_id, timestamp AS at, event_id, item_id, action, session_id, place, dwell AS dwell_ms,
                   toUInt64(place * {GAP_MS + 2} + if(isNull(dwell), 0, {GAP_MS + 1} - assumeNotNull(dwell))) AS version
            FROM (
                SELECT *, first_value(event_id) OVER ({of_session} {order} CURRENT ROW) AS session_id,
                       toUInt32(row_number() OVER ({of_session} {order} CURRENT ROW)) AS place,
                       leadInFrame(ms, 1, toInt64(-1)) OVER ({of_session} {order} UNBOUNDED FOLLOWING) AS next,
                       if(next < 0, NULL, toUInt32(next - ms)) AS dwell
                FROM (
                    SELECT *, sum(begins) OVER ({of_day} {order} CURRENT ROW) AS session FROM (
                        SELECT *, ms - lagInFrame(ms, 1, ms - {GAP_MS + 1}) OVER ({of_day} {order} CURRENT ROW)
                            > {GAP_MS} AS begins
                        FROM (SELECT *, {_MS.format("timestamp")} AS ms, {_DAY} AS day
                              FROM ({self._deduplicated(inside, new)}))
                    )
                )
            )
        """
        there = f"SELECT user_id, at, event_id, version FROM {self._sessions} WHERE {WHERE_SCOPE} AND {mine}"
        there += f" AND {_MS.format('at')} >= {{first:Int64}} AND {_MS.format('at')} < {{end:Int64}}"
        changed = f"SELECT * FROM ({rows}) WHERE (user_id, at, event_id, version) NOT IN ({there})"
        first, end = new.first_ms // DAY_MS * DAY_MS, (new.last_ms // DAY_MS + 1) * DAY_MS
        parameters: dict[str, Parameter] = {"since": since, "first": first, "end": end}
        parameters |= {"bucket": bucket, "buckets": buckets}
        return self._write(self._sessions, scope, changed, parameters)

    def make_minutes(self, scope: Scope, since: int, new: Arrived, goal: Mapping[str, float]) -> int:
        """Writes the metrics of each minute of the last days that has a new event; returns how many rows changed.

        `goal` names the actions that count as a conversion, each with the least value that does (`analytics.metrics`).
        """
        first = max(new.first_ms, new.now_ms - CORRECTED_DAYS * DAY_MS) // MINUTE_MS * MINUTE_MS
        end = (new.last_ms // MINUTE_MS + 1) * MINUTE_MS
        recent = f"{_MS.format('timestamp')} >= {{first:Int64}}"
        touched = f"SELECT {_MINUTE} FROM {self._events} WHERE {WHERE_SCOPE} AND {_NEW} AND {recent}"
        inside = f"{_MINUTE} IN ({touched})"
        rows = f"""
            SELECT toDateTime({_MINUTE}, 'UTC') AS minute, {_PLACEMENT} AS placement, count() AS events,
                   countIf(action = 'impression') AS impressions, countIf(action = 'click') AS clicks,
                   countIf(converts) AS conversions, sumIf(amount, converts) AS value
            FROM (
                SELECT * EXCEPT (value), ifNull(value, 0) AS amount, indexOf({{goals:Array(String)}}, action) + 1 AS at,
                       at > 1 AND (isNull(value) OR amount >= {{least:Array(Float64)}}[at]) AS converts
                FROM ({self._deduplicated(inside, new)})
            )
            GROUP BY minute, placement
        """
        there = f"SELECT minute, placement, events FROM {self._minutes} WHERE {WHERE_SCOPE}"
        there += " AND toUnixTimestamp(minute) * 1000 >= {first:Int64}"
        changed = f"SELECT * FROM ({rows}) WHERE (minute, placement, events) NOT IN ({there})"
        parameters: dict[str, Parameter] = {"since": since, "first": first, "end": end}
        parameters |= {"goals": list(goal), "least": [0.0, *goal.values()]}
        return self._write(self._minutes, scope, changed, parameters)

    def hot_levels(
        self, scope: Scope, now_ms: int, rules: Mapping[str, ActionRule], most: int
    ) -> dict[str, dict[str, float]]:
        """For each half-life the levels of the hottest `most` items, of the events of the last day before a moment."""
        weighing = {action: rule.weighing for action, rule in rules.items() if rule.weight > 0}
        window = f"{_MS.format('timestamp')} > {{first:Int64}}"
        lives = list(HALF_LIVES.items())
        sums = ", ".join(f"sum(weight * exp2((ms - {{now:Int64}}) / {life * 1000})) AS s{life}" for _, life in lives)
        ranks = ", ".join(f"row_number() OVER (ORDER BY s{life} DESC, item_id) AS r{life}" for _, life in lives)
        levels = ", ".join(f"{{now:Int64}} / {life * 1000} + log2(s{life}), r{life}" for _, life in lives)
        among = " OR ".join(f"r{life} <= {{most:UInt32}}" for _, life in lives)
        new = Arrived(0, now_ms - HOT_MS, now_ms, now_ms)
        query = f"""
            SELECT item_id, {levels} FROM (
                SELECT *, {ranks} FROM (
                    SELECT item_id, {sums} FROM (
                        SELECT item_id, {_MS.format("timestamp")} AS ms,
                               indexOf({{actions:Array(String)}}, action) + 1 AS rule,
                               multiIf(isNull(value), {{without:Array(Float64)}}[rule],
                                       value >= {{liked:Array(Float64)}}[rule], {{weights:Array(Float64)}}[rule], 0)
                                   AS weight
                        FROM ({self._deduplicated(window, new)})
                    )
                    WHERE weight > 0
                    GROUP BY item_id
                )
            )
            WHERE {among}
        """
        rows = self._query(
            query,
            scope,
            now=now_ms,
            first=now_ms - HOT_MS,
            end=now_ms + DAY_MS,
            most=most,
            actions=list(weighing),
            weights=[0.0, *(each.weight for each in weighing.values())],
            liked=[0.0, *(each.liked_from for each in weighing.values())],
            without=[0.0, *(each.without_value for each in weighing.values())],
        )
        return {
            name: {row[0]: row[1 + 2 * place] for row in rows if row[2 + 2 * place] <= most}
            for place, (name, _) in enumerate(lives)
        }

    def insert_sessions(self, rows: Sequence[tuple[Scope, SessionRow]]) -> None:
        """Adds rows of sessions that Flink computed."""
        names = ["tenant_id", "scenario_id", "user_id", "at", "event_id", "item_id", "action", "session_id", "place"]
        values = [
            [scope.tenant_id, scope.scenario_id, row.user_id, row.at_ms, row.event_id, row.item_id, row.action,
             row.session_id, row.place, row.dwell_ms, row.version]
            for scope, row in rows
        ]  # fmt: skip
        self._insert(self._sessions, values, [*names, "dwell_ms", "version"])

    def insert_minutes(self, rows: Sequence[tuple[Scope, MinuteRow]]) -> None:
        """Adds metrics of minutes that Flink computed."""
        values = [[scope.tenant_id, scope.scenario_id, *row] for scope, row in rows]
        self._insert(self._minutes, values, ["tenant_id", "scenario_id", *MinuteRow._fields])

    def sessions(self, scope: Scope, user_id: str | None = None) -> list[SessionRow]:
        """The rows of sessions, of one user if given, in the order of user, time and id."""
        mine = "" if user_id is None else "AND user_id = {user:String}"
        rows = self._query(
            f"SELECT event_id, user_id, item_id, action, {_MS.format('at')}, session_id, place, dwell_ms "
            f"FROM {self._sessions} FINAL WHERE {WHERE_SCOPE} {mine} ORDER BY user_id, at, event_id",
            scope,
            user=user_id or "",
        )
        return [SessionRow(*row) for row in rows]

    def minutes(self, scope: Scope, since_ms: int = 0) -> list[MinuteRow]:
        """The metrics of the minutes that begin at or after a moment, by minute and placement."""
        rows = self._query(
            f"SELECT toUnixTimestamp(minute), placement, events, impressions, clicks, conversions, value "
            f"FROM {self._minutes} FINAL WHERE {WHERE_SCOPE} AND toUnixTimestamp(minute) * 1000 >= {{since:Int64}} "
            "ORDER BY minute, placement",
            scope,
            since=since_ms,
        )
        return [MinuteRow(*row) for row in rows]

    def delete_before(self, scope: Scope, moment_ms: int) -> None:
        """Deletes the rows of sessions of events that happened before a moment."""
        before = f"{_MS.format('at')} < {{moment:Int64}}"
        self._command(f"ALTER TABLE {self._sessions} DELETE WHERE {WHERE_SCOPE} AND {before}", scope, moment=moment_ms)

    def _deduplicated(self, inside: str, new: Arrived) -> str:
        """The events inside, each as it came first, with the columns `_COLUMNS` and event_id.

        Few are found by the index on time, and their other rows by the primary key; for many, all rows are merged.
        """
        if new.events > MANY_EVENTS:
            return (
                f"SELECT event_id, timestamp, user_id, item_id, toString(action) AS action, value, attributes "
                f"FROM {self._events} AS events FINAL WHERE {WHERE_SCOPE} AND {inside}"
            )
        found = ", ".join(f"found.{place} AS {name}" for place, name in enumerate(_COLUMNS, 1))
        within = (
            "timestamp >= fromUnixTimestamp64Milli({first:Int64}) AND timestamp < fromUnixTimestamp64Milli({end:Int64})"
        )
        return f"""
            SELECT * FROM (
                SELECT event_id, {found} FROM (
                    SELECT event_id, argMax((events.timestamp, user_id, item_id, toString(action), value, attributes),
                                            precedence) AS found
                    FROM {self._events} AS events
                    WHERE {WHERE_SCOPE} AND event_id IN (
                        SELECT event_id FROM {self._events} WHERE {WHERE_SCOPE} AND {within} AND {inside}
                    )
                    GROUP BY event_id
                )
            )
            WHERE {inside}
        """

    def _write(self, table: str, scope: Scope, rows: str, parameters: dict[str, Parameter]) -> int:
        """Computes rows and inserts them; they pass through here, so that they are computed once and counted."""
        # Nobody waits for it, and others use the engine.
        modest = "SETTINGS max_threads = 1, max_bytes_before_external_group_by = 1000000000"
        whose = "{tenant:String} AS tenant_id, {scenario:String} AS scenario_id"
        found = self._table_of(f"SELECT {whose}, * FROM ({rows}) {modest}", scope, **parameters)
        if found.num_rows:
            self._ask(lambda client: client.insert_arrow(table, found))
        return int(found.num_rows)

    def _insert(self, table: str, rows: Sequence[Sequence[object]], names: Sequence[str]) -> None:
        if rows:
            self._ask(lambda client: client.insert(table, rows, column_names=names))
