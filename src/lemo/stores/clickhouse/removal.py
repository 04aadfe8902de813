"""Takes users and scenarios out of ClickHouse's tables."""
# ruff: noqa: S608 - only names of our own tables and columns are put into the text; values travel as bound parameters

import hashlib
import secrets
from dataclasses import dataclass

from lemo.domain.deadlines import FOR_JOBS, Deadlines
from lemo.domain.scope import Scope
from lemo.stores.clickhouse.client import WHERE_SCOPE, ClickHouse


@dataclass(frozen=True, slots=True)
class Table:
    """A table with the columns tenant_id and scenario_id; `user` and `moment` name those that say who and when."""

    name: str
    user: str = ""
    moment: str = ""


TABLES = (
    Table("events", user="user_id", moment="timestamp"),
    Table("served_answers", user="user_id", moment="at"),
    Table("events_hourly"),
    Table("events_marks"),
    Table("event_sessions", user="user_id", moment="at"),
    Table("realtime_minutes"),
    Table("realtime_positions"),
    Table("analytics_numbers"),
    Table("analytics_hours"),
    Table("analytics_outcomes"),
)
"""All tables with data of scenarios. Erasure and deletion follow this list."""
USER_TABLES = tuple(table for table in TABLES if table.user)
EVENTS, ANSWERS = TABLES[:2]
SESSIONS = next(table for table in TABLES if table.name == "event_sessions")


class Removal(ClickHouse):
    """Deletes rows of a user or of a scenario, and counts what is left of them.

    A deletion has rewritten the parts when it returns. Every call raises EngineUnavailable.
    """

    def __init__(self, url: str, database: str, deadlines: Deadlines = FOR_JOBS) -> None:
        super().__init__(url, database, deadlines)

    def count_user(self, table: Table, scope: Scope, user_id: str, before_ms: int) -> int:
        """How many rows of the user are from before a moment (Unix ms), repeated ones counted each time."""
        return int(
            self._query(
                f"SELECT count() FROM {self._of(table)} WHERE {WHERE_SCOPE} AND {table.user} = {{user:String}} "
                f"AND {_before(table)}",
                scope,
                user=user_id,
                before=before_ms,
            )[0][0]
        )

    def newest(self, scope: Scope, user_id: str) -> int:
        """Unix ms of the user's newest event; 0 without one."""
        rows = self._query(
            f"SELECT toUnixTimestamp64Milli(max(timestamp)) FROM {self._of(EVENTS)} "
            f"WHERE {WHERE_SCOPE} AND user_id = {{user:String}}",
            scope,
            user=user_id,
        )
        return max(0, int(rows[0][0]))

    def hours(self, scope: Scope, user_id: str, table: Table = EVENTS) -> list[int]:
        """The hours (their first Unix second) of the user's rows."""
        rows = self._query(
            f"SELECT DISTINCT toUnixTimestamp(toStartOfHour({table.moment})) FROM {self._of(table)} "
            f"WHERE {WHERE_SCOPE} AND user_id = {{user:String}}",
            scope,
            user=user_id,
        )
        return [int(hour) for (hour,) in rows]

    def erase_user(self, table: Table, scope: Scope, user_id: str, before_ms: int) -> None:
        """Deletes the user's rows from before a moment (Unix ms).

        ClickHouse keeps the text of its last deletions in files. So the user is named by a hash with a salt.
        """
        salt = secrets.token_hex(16)
        self._command(
            f"ALTER TABLE {self._of(table)} DELETE WHERE {WHERE_SCOPE} AND {_before(table)} "
            f"AND hex(SHA256(concat({{salt:String}}, {table.user}))) = {{digest:String}}",
            scope,
            before=before_ms,
            salt=salt,
            digest=hashlib.sha256(salt.encode() + user_id.encode()).hexdigest().upper(),
        )

    def first_moments(self, table: Table, scope: Scope, before_ms: int) -> dict[str, int]:
        """The users with rows from before a moment, and when (Unix ms) the first of them is from."""
        rows = self._query(
            f"SELECT {table.user}, toUnixTimestamp64Milli(min({table.moment}) AS first) FROM {self._of(table)} "
            f"WHERE {WHERE_SCOPE} AND {_before(table)} GROUP BY {table.user}",
            scope,
            before=before_ms,
        )
        return {user_id: int(moment) for user_id, moment in rows}

    def replaced_parts(self, table: Table) -> int:
        """How many parts the engine has replaced and not yet deleted from its disk."""
        query = (
            "SELECT count() FROM system.parts WHERE database = {database:String} AND table = {table:String} "
            "AND NOT active"
        )
        parameters = {"database": self._name, "table": table.name}
        return int(self._ask(lambda client: client.query(query, parameters=parameters).first_row[0]))

    def copy_events(self, scope: Scope, user_id: str, into: str) -> None:
        """Writes the user's events again as those of another one; they win over the old ones, and over replays."""
        names = "tenant_id, scenario_id, event_id, item_id, action, timestamp, value, request_id, position, device"
        self._command(
            f"INSERT INTO {self._of(EVENTS)} ({names}, attributes, user_id, precedence) "
            f"SELECT {names}, attributes, {{into:String}}, precedence + 1 "
            f"FROM {self._of(EVENTS)} FINAL WHERE {WHERE_SCOPE} AND user_id = {{user:String}}",
            scope,
            user=user_id,
            into=into,
        )

    def count_scope(self, table: Table, scope: Scope) -> int:
        """How many rows of the scenario there are."""
        return int(self._one(f"SELECT count() FROM {self._of(table)} WHERE {WHERE_SCOPE}", scope))

    def delete_scope(self, table: Table, scope: Scope) -> None:
        """Deletes all rows of the scenario."""
        self._command(f"ALTER TABLE {self._of(table)} DELETE WHERE {WHERE_SCOPE}", scope)

    def _of(self, table: Table) -> str:
        return f"{self._database}.{table.name}"


def _before(table: Table) -> str:
    return f"{table.moment} < fromUnixTimestamp64Milli({{before:Int64}})"
