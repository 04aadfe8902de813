"""Behaviour events in ClickHouse, or in chDB behind ClickHouse's own HTTP interface."""
# ruff: noqa: S608 - only our own table name is put into the text of queries; values travel as bound parameters

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from lemo.domain.activity import MOST_STRAYS, strays
from lemo.domain.event import Event
from lemo.domain.event_columns import NAMES, EventColumns
from lemo.domain.scope import Scope
from lemo.stores.clickhouse.aggregate_tables import MARK_UNCOUNTED
from lemo.stores.clickhouse.aggregate_tables import TABLES as AGGREGATE_TABLES
from lemo.stores.clickhouse.client import WHERE_SCOPE as _WHERE
from lemo.stores.clickhouse.one_id_form import ONE_ID_FORM
from lemo.stores.clickhouse.realtime import TABLES as REALTIME_TABLES
from lemo.stores.clickhouse.served import ADD_SCORES, ADD_SESSION_ID, ADD_TEAMS
from lemo.stores.clickhouse.served import TABLES as SERVED_TABLES
from lemo.stores.clickhouse.traffic_tables import BESIDE_TABLES, NUMBERS_TABLES
from lemo.stores.clickhouse.traffic_tables import TABLES as DAYS_TABLES
from lemo.stores.clickhouse.user_events import UserEvents

if TYPE_CHECKING:
    import pyarrow


# A replay writes rows again: the engine keeps one row per event id, and FINAL makes reads see just that one even before
# it has merged. It keeps the row that came first, so that no write ever takes anything away: see
# docs/decisions/0011-aggregates.md. No partitions: one historical import would touch one for each month of decades.
_MIGRATIONS = (
    (
        """
        CREATE TABLE IF NOT EXISTS {database}.events (
            tenant_id LowCardinality(String),
            scenario_id LowCardinality(String),
            event_id String,
            user_id String,
            item_id String,
            action LowCardinality(String),
            timestamp DateTime64(3, 'UTC'),
            value Nullable(Float64),
            request_id String,
            position Nullable(UInt32),
            device LowCardinality(String),
            attributes String,
            ingested_at DateTime64(3, 'UTC') DEFAULT now64(3),
            precedence UInt64 DEFAULT 18446744073709551615 - toUInt64(toUnixTimestamp64Nano(now64(9))),
            INDEX by_time timestamp TYPE minmax GRANULARITY 1
        )
        ENGINE = ReplacingMergeTree(precedence)
        ORDER BY (tenant_id, scenario_id, event_id)
        """,
    ),
    # Tables made before had no precedence and keep the row that came last: an engine cannot be told otherwise. They are
    # not copied into a new one, because another consumer that starts at the same time may write to them already.
    (
        "ALTER TABLE {database}.events ADD COLUMN IF NOT EXISTS precedence UInt64 "
        "DEFAULT toUInt64(toUnixTimestamp64Milli(ingested_at))",
        "ALTER TABLE {database}.events ADD INDEX IF NOT EXISTS by_time timestamp TYPE minmax GRANULARITY 1",
    ),
    AGGREGATE_TABLES,
    MARK_UNCOUNTED,
    SERVED_TABLES,
    ADD_SESSION_ID,
    REALTIME_TABLES,
    ONE_ID_FORM,
    DAYS_TABLES,
    ADD_SCORES,
    ADD_TEAMS,
    # Reports look for the other rows of an id in all of the table, whose order tells nothing of the time. Of rows that
    # were there before, the engine computes it until it merges them.
    ("ALTER TABLE {database}.events ADD COLUMN IF NOT EXISTS id_hash UInt64 MATERIALIZED cityHash64(event_id)",),
    NUMBERS_TABLES,
    BESIDE_TABLES,
)
UNDER_WAY_MS = 120_000
"""An insert that began this long ago has ended: as long as a client waits for one."""
SCHEMA_VERSION = len(_MIGRATIONS)
"""The version of the tables that this code reads and writes."""


class Events(UserEvents):
    """The store of events: appended to in batches, read by scope, each event id counted once.

    Every call raises EngineUnavailable when the engine does not answer; `migrate` comes first.
    """

    def migrate(self) -> None:
        """Makes the database and brings its tables to this version; doing it again changes nothing."""

        def run(client: Any) -> None:
            versions = f"{self._database}.schema_version"
            client.command(f"CREATE DATABASE IF NOT EXISTS {self._database}")
            client.command(
                f"CREATE TABLE IF NOT EXISTS {versions} (version UInt32, applied_at DateTime64(3, 'UTC') "
                "DEFAULT now64(3)) ENGINE = ReplacingMergeTree ORDER BY version"
            )
            done = int(client.query(f"SELECT max(version) FROM {versions}").first_row[0])
            for version, statements in enumerate(_MIGRATIONS, 1):
                if version > done:
                    for statement in statements:
                        client.command(statement.format(database=self._database))
                    client.insert(versions, [[version]], column_names=["version"])

        self._ask(run)

    def schema(self) -> int | None:
        """The version of the tables that are there; None before the first `migrate`."""
        there = "SELECT count() FROM system.tables WHERE database = {database:String} AND name = 'schema_version'"
        versions = f"SELECT max(version) FROM {self._database}.schema_version"

        def read(client: Any) -> int | None:
            found = client.query(there, parameters={"database": self._name}).first_row[0]
            return int(client.query(versions).first_row[0]) if found else None

        return self._ask(read)

    def check_writes(self) -> None:
        """Inserts a row into a table beside the events and removes it; raises EngineUnavailable."""
        table = f"{self._database}.write_probe"

        def write(client: Any) -> None:
            client.command(f"CREATE TABLE IF NOT EXISTS {table} (at DateTime64(3)) ENGINE = MergeTree ORDER BY at")
            client.command(f"INSERT INTO {table} SELECT now64(3)")
            client.command(f"TRUNCATE TABLE {table}")

        self._ask(write)

    def insert(self, events: EventColumns | Sequence[tuple[Scope, Event]]) -> int:
        """Appends events, of any scopes, as one block; returns how many. Of each event id the first one counts."""
        if not events:
            return 0
        # Of rows of one block that have one key, the engine keeps the last.
        columns, _ = (events if isinstance(events, EventColumns) else EventColumns.of(events)).once()
        # Arrow, because rows take the engine four times as long.
        self._ask(lambda client: client.insert_arrow(self._table, _arrow(columns)))
        return len(columns)

    def interactions(self, scope: Scope, until_ms: int | None = None) -> "pyarrow.Table":
        """All events of the scope before `until_ms` (Unix ms, exclusive), each once, ordered by timestamp, event_id.

        Columns: user_id, item_id, action (string), value (float64, nullable), timestamp (int64, Unix ms), event_id.
        """
        until = "" if until_ms is None else "AND events.timestamp < fromUnixTimestamp64Milli({until:Int64})"
        return self._table_of(
            f"""
            SELECT user_id, item_id, toString(action) AS action, value,
                   toUnixTimestamp64Milli(events.timestamp) AS timestamp, event_id
            FROM {self._table} AS events FINAL
            WHERE {_WHERE} {until}
            ORDER BY events.timestamp, event_id
            """,
            scope,
            until=until_ms or 0,
        )

    def all_rows(self, scope: Scope, page: int = 50_000) -> Iterator[dict[str, Any]]:
        """All events of the scope with all their fields, each once, ordered by timestamp (Unix ms) and event_id.

        Reads them in pages, so that any number fits into memory; `attributes` is JSON text, empty where there are none.
        """
        after: tuple[int, str] = (0, "")
        while True:
            found = self._table_of(
                f"""
                SELECT event_id, user_id, item_id, toString(action) AS action,
                       toUnixTimestamp64Milli(events.timestamp) AS timestamp, value, request_id, position, device,
                       attributes
                FROM {self._table} AS events FINAL
                WHERE {_WHERE} AND events.timestamp >= fromUnixTimestamp64Milli({{moment:Int64}})
                    AND (events.timestamp > fromUnixTimestamp64Milli({{moment:Int64}}) OR event_id > {{id:String}})
                ORDER BY events.timestamp, event_id
                LIMIT {{page:UInt64}}
                """,
                scope,
                moment=after[0],
                id=after[1],
                page=page,
            ).to_pylist()
            yield from found
            if len(found) < page:
                return
            after = found[-1]["timestamp"], found[-1]["event_id"]

    def taken_in(self, scope: Scope, since_ms: int | None = None) -> tuple["pyarrow.Table", int]:
        """The events that the store took in since a moment (None: all, each once), and the moment to ask from next.

        Moments are the store's own clock (Unix ms). The next one lies a little back, so that an insert that was under
        way is not missed: an event may come twice, and so does one that was sent again. Columns are those of
        `interactions` without event_id, in no order.
        """
        now = int(self._query("SELECT toUnixTimestamp64Milli(now64(3))", scope)[0][0])
        once, since = (
            ("FINAL", "") if since_ms is None else ("", "AND ingested_at >= fromUnixTimestamp64Milli({since:Int64})")
        )
        table = self._table_of(
            f"""
            SELECT user_id, item_id, toString(action) AS action, value,
                   toUnixTimestamp64Milli(events.timestamp) AS timestamp
            FROM {self._table} AS events {once}
            WHERE {_WHERE} {since}
            """,
            scope,
            since=since_ms or 0,
        )
        return table, now - UNDER_WAY_MS

    def count(self, scope: Scope) -> int:
        """How many different events the scope has."""
        return int(self._one(f"SELECT count() FROM {self._table} FINAL WHERE {_WHERE}", scope))

    def newest(self, scope: Scope) -> int | None:
        """Unix ms of the newest event; None without events."""
        newest = self._one(
            f"SELECT if(count() = 0, NULL, toUnixTimestamp64Milli(max(timestamp))) FROM {self._table} FINAL "
            f"WHERE {_WHERE}",
            scope,
        )
        return None if newest is None else int(newest)

    def arrivals(self, scope: Scope, minutes: int) -> list[int]:
        """How many events the store took in in each of the last minutes of its own clock, oldest first.

        The last element is the minute under way. An event that was sent again counts when it first came. Without a
        scenario the scope is the whole tenant.
        """
        where = _WHERE if scope.scenario_id else "tenant_id = {tenant:String}"
        rows = self._query(
            f"""
            SELECT dateDiff('minute', ingested_at, now()) AS ago, count() FROM {self._table} FINAL
            WHERE {where} AND ingested_at > now() - toIntervalMinute({{minutes:UInt32}})
            GROUP BY ago HAVING ago < {{minutes:UInt32}}
            """,
            scope,
            minutes=minutes,
        )
        counts = dict(rows)
        return [int(counts.get(ago, 0)) for ago in reversed(range(minutes))]

    def now(self, scope: Scope) -> int | None:
        """Unix ms where activity ends (all but a few users end before), which is "now"; None without events."""
        rows = self._query(
            f"SELECT toUnixTimestamp64Milli(max(timestamp)) AS last, count() OVER () FROM {self._table} FINAL "
            f"WHERE {_WHERE} GROUP BY user_id ORDER BY last DESC LIMIT {{most:UInt32}}",
            scope,
            most=MOST_STRAYS + 1,
        )
        return int(rows[strays(int(rows[0][1]))][0]) if rows else None

    def rating_values(self, scope: Scope, actions: Sequence[str]) -> dict[str, dict[float, float]]:
        """For each action how many users gave each value (to one decimal); who gave several values counts in parts."""
        found: dict[str, dict[float, float]] = {}
        for action, value, users in self._query(
            f"""
            SELECT kind, rounded, sum(1 / values_of_user) FROM (
                SELECT kind, rounded, count() OVER (PARTITION BY kind, user_id) AS values_of_user FROM (
                    SELECT DISTINCT toString(action) AS kind, user_id,
                                    round(greatest(least(assumeNotNull(value), 1e6), -1e6), 1) AS rounded
                    FROM {self._table} AS events FINAL
                    WHERE {_WHERE} AND action IN {{actions:Array(String)}} AND value IS NOT NULL
                )
            )
            GROUP BY kind, rounded
            ORDER BY kind, sum(1 / values_of_user) DESC, rounded
            LIMIT 10000 BY kind
            """,
            scope,
            actions=list(actions),
        ):
            found.setdefault(action, {})[float(value)] = float(users)
        return found

    def delete_before(self, scope: Scope, moment_ms: int) -> None:
        """Deletes the events of a scope that happened before a moment (Unix ms)."""
        before = "timestamp < fromUnixTimestamp64Milli({moment:Int64})"
        self._command(f"ALTER TABLE {self._table} DELETE WHERE {_WHERE} AND {before}", scope, moment=moment_ms)

    def delete_scope(self, scope: Scope) -> None:
        """Deletes all events of a scope."""
        self._command(f"ALTER TABLE {self._table} DELETE WHERE {_WHERE}", scope)


def _arrow(columns: EventColumns) -> "pyarrow.Table":
    """The columns as the engine takes them."""
    import pyarrow

    types = {
        "timestamp": pyarrow.timestamp("ms", "UTC"),
        "value": pyarrow.float64(),
        "position": pyarrow.uint32(),
    }
    arrays = [
        pyarrow.array(column, types.get(name, pyarrow.string()))
        for name, column in zip(NAMES, columns.lists(), strict=True)
    ]
    return pyarrow.Table.from_arrays(arrays, names=list(NAMES))
