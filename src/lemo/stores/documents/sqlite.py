"""Documents in one SQLite file: the default, for one machine with any number of processes.

It is long because one method for each of the protocol, on one file.
"""

import errno
import os
import sqlite3
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from lemo.domain.deadlines import FOR_JOBS, Deadlines
from lemo.domain.errors import EngineUnavailable, InvalidInput
from lemo.domain.scope import Scope
from lemo.stores.documents import KINDS, WRITE_PROBES, Body, Kind, Scalar
from lemo.stores.documents.bodies import decoded, encoded

SCHEMA = 1
"""Goes up when a table changes in a way that older programs must not write; new kinds and fields do not count."""
BUSY_SECONDS = 20.0
"""How long a write waits for another process's write before it gives up."""
BATCH = 500
"""Rows per read of a scan, and ids per IN list (SQLite's oldest limit is 999 parameters)."""
FIELDS_BATCH = 10_000
"""Documents per read of their fields alone."""

_MENDS = {
    sqlite3.SQLITE_FULL: "The disk is full: free some space (`df -h`), then try again; nothing half-written is kept.",
    sqlite3.SQLITE_BUSY: "Another process has been writing for too long: look for a hanging one (`lemo status`).",
    sqlite3.SQLITE_LOCKED: "Another process has been writing for too long: look for a hanging one (`lemo status`).",
    sqlite3.SQLITE_CORRUPT: "The file is damaged: stop Lemo, move it away and restore it from a backup.",
    sqlite3.SQLITE_NOTADB: "The file is no SQLite database: check LEMO_HOME, or move the file away.",
    sqlite3.SQLITE_CANTOPEN: "Check that LEMO_HOME exists, that its disk is mounted and that you may write there.",
    sqlite3.SQLITE_READONLY: "You may not write there: check the owner and the mode of the file and its folder.",
    sqlite3.SQLITE_IOERR: "The disk refuses: look into the system's log (`dmesg`) and check the disk.",
}


class SqliteDocuments:
    """Documents in the SQLite file `path`, made on first use.

    One table per kind: (tenant, scenario, id) is the primary key, the kind's fields are columns generated from the
    JSON body. Safe for threads and processes: every call takes a connection of its own from a pool. A commit has
    reached the disk when the call returns (WAL, synchronous=FULL), so what is acknowledged survives a power cut.
    """

    def __init__(self, path: Path, deadlines: Deadlines = FOR_JOBS) -> None:
        self._path = path
        self._busy = min(deadlines.answer, BUSY_SECONDS)
        self._lock = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        self._inherited: list[sqlite3.Connection] = []
        self._process = 0

    def get(self, kind: Kind, scope: Scope, id: str) -> Body | None:
        """The body of one document, or None."""
        return self.get_many(kind, scope, [id]).get(id)

    def get_many(self, kind: Kind, scope: Scope, ids: Sequence[str]) -> dict[str, Body]:
        """The bodies of those of `ids` that exist."""
        return {id: body for id, (_, body) in self.get_versioned(kind, scope, ids).items()}

    def get_versioned(self, kind: Kind, scope: Scope, ids: Sequence[str]) -> dict[str, tuple[int, Body]]:
        """The versions and bodies of those of `ids` that exist."""
        found: dict[str, tuple[int, Body]] = {}
        with self._reading() as connection:
            for start in range(0, len(ids), BATCH):
                batch = ids[start : start + BATCH]
                rows = connection.execute(
                    f"SELECT id, version, body FROM {_table(kind)} WHERE tenant = ? AND scenario = ?"  # noqa: S608
                    f" AND id IN ({_marks(len(batch))})",
                    (scope.tenant_id, scope.scenario_id, *batch),
                )
                found.update((id, (version, decoded(body))) for id, version, body in rows)
        return found

    def put(self, kind: Kind, scope: Scope, bodies: Mapping[str, Body]) -> None:
        """Writes or replaces documents by id; a document keeps its version."""
        rows = [(scope.tenant_id, scope.scenario_id, id, encoded(id, body)) for id, body in bodies.items()]
        with self._writing() as connection:
            connection.executemany(
                f"INSERT INTO {_table(kind)} (tenant, scenario, id, version, body) VALUES (?, ?, ?, 0, ?)"  # noqa: S608
                " ON CONFLICT DO UPDATE SET body = excluded.body",
                rows,
            )

    def put_new(self, kind: Kind, scope: Scope, id: str, body: Body) -> bool:
        """Writes the document unless its id is taken; False where it was."""
        text = encoded(id, body)
        with self._writing() as connection:
            cursor = connection.execute(
                f"INSERT INTO {_table(kind)} (tenant, scenario, id, version, body) VALUES (?, ?, ?, 0, ?)"  # noqa: S608
                " ON CONFLICT DO NOTHING",
                (scope.tenant_id, scope.scenario_id, id, text),
            )
            return cursor.rowcount == 1

    def put_newer(self, kind: Kind, scope: Scope, bodies: Mapping[str, Body], versions: Mapping[str, int]) -> set[str]:
        """Writes each document whose version is at least the stored one; returns the ids written."""
        rows = [
            (scope.tenant_id, scope.scenario_id, id, versions[id], encoded(id, body)) for id, body in bodies.items()
        ]
        statement = (
            f"INSERT INTO {_table(kind)} (tenant, scenario, id, version, body) VALUES (?, ?, ?, ?, ?)"  # noqa: S608
            " ON CONFLICT DO UPDATE SET version = excluded.version, body = excluded.body"
            " WHERE excluded.version >= version RETURNING id"
        )
        with self._writing() as connection:
            return {id for row in rows for (id,) in connection.execute(statement, row).fetchall()}

    def find(
        self,
        kind: Kind,
        scope: Scope,
        where: Mapping[str, Scalar] | None = None,
        order: str = "",
        limit: int = 100,
        offset: int = 0,
    ) -> list[tuple[str, Body]]:
        """Documents whose fields equal `where`, ordered by a field (`-field` descending), else by id."""
        condition, values = _condition(kind, scope, where)
        by = "id"
        if order:
            by = f"{_column(kind, order.removeprefix('-'))} {'DESC' if order.startswith('-') else 'ASC'}, id"
        with self._reading() as connection:
            rows = connection.execute(
                f"SELECT id, body FROM {_table(kind)} WHERE {condition} ORDER BY {by} LIMIT ? OFFSET ?",  # noqa: S608
                (*values, limit, offset),
            ).fetchall()
        return [(id, decoded(body)) for id, body in rows]

    def scopes(self, kind: Kind) -> list[Scope]:
        """The scopes that have documents of a kind, in no order."""
        with self._reading() as connection:
            rows = connection.execute(f"SELECT DISTINCT tenant, scenario FROM {_table(kind)}")  # noqa: S608
            return [Scope(tenant, scenario) for tenant, scenario in rows]

    def scan(self, kind: Kind, scope: Scope) -> Iterator[tuple[str, Body]]:
        """All documents of the scope by id, read in batches; what is written meanwhile may or may not be seen."""
        last = ""
        while True:
            # One short read per batch: a transaction held open by a slow caller would keep the WAL from shrinking.
            with self._reading() as connection:
                rows = connection.execute(
                    f"SELECT id, body FROM {_table(kind)}"  # noqa: S608
                    " WHERE tenant = ? AND scenario = ? AND id > ? ORDER BY id LIMIT ?",
                    (scope.tenant_id, scope.scenario_id, last, BATCH),
                ).fetchall()
            for id, body in rows:
                yield id, decoded(body)
            if len(rows) < BATCH:
                return
            last = rows[-1][0]

    def fields(self, kind: Kind, scope: Scope) -> Iterator[tuple[str, int, tuple[Scalar, ...]]]:
        """Id, version and the kind's fields of all documents of the scope by id, in batches, without their bodies."""
        columns = ", ".join(["id", "version", *(_column(kind, field) for field in kind.fields)])
        last = ""
        while True:
            with self._reading() as connection:
                rows = connection.execute(
                    f"SELECT {columns} FROM {_table(kind)}"  # noqa: S608
                    " WHERE tenant = ? AND scenario = ? AND id > ? ORDER BY id LIMIT ?",
                    (scope.tenant_id, scope.scenario_id, last, FIELDS_BATCH),
                ).fetchall()
            yield from ((id, version, tuple(fields)) for id, version, *fields in rows)
            if len(rows) < FIELDS_BATCH:
                return
            last = rows[-1][0]

    def ids(self, kind: Kind, scope: Scope, where: Mapping[str, Scalar]) -> list[str]:
        """The ids of all documents whose fields equal `where`, without reading their bodies; in no order."""
        condition, values = _condition(kind, scope, where)
        with self._reading() as connection:
            statement = f"SELECT id FROM {_table(kind)} WHERE {condition}"  # noqa: S608
            return [id for (id,) in connection.execute(statement, values)]

    def count(self, kind: Kind, scope: Scope, where: Mapping[str, Scalar] | None = None) -> int:
        """How many documents match."""
        condition, values = _condition(kind, scope, where)
        with self._reading() as connection:
            statement = f"SELECT count(*) FROM {_table(kind)} WHERE {condition}"  # noqa: S608
            return int(connection.execute(statement, values).fetchone()[0])

    def delete(self, kind: Kind, scope: Scope, ids: Sequence[str]) -> int:
        """Deletes by id; returns how many there were."""
        deleted = 0
        with self._writing() as connection:
            for start in range(0, len(ids), BATCH):
                batch = ids[start : start + BATCH]
                deleted += connection.execute(
                    f"DELETE FROM {_table(kind)} WHERE tenant = ? AND scenario = ?"  # noqa: S608
                    f" AND id IN ({_marks(len(batch))})",
                    (scope.tenant_id, scope.scenario_id, *batch),
                ).rowcount
        return deleted

    def scrub(self) -> str:
        """Empties the write-ahead log; deleted rows themselves were overwritten when they were deleted."""
        with self._reading() as connection:
            (busy, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if not busy:
            return ""
        return f"Another process reads {self._path}: its write-ahead log keeps deleted rows until the next checkpoint."

    def ping(self) -> str:
        """Reads from the file; returns the engine's name and version."""
        with self._reading() as connection:
            connection.execute("PRAGMA user_version").fetchone()
        return f"SQLite {sqlite3.sqlite_version}"

    def check_writes(self) -> None:
        """Writes a document and deletes it; raises EngineUnavailable where nothing can be written."""
        scope, id = Scope("lemo", "write-probe"), uuid.uuid4().hex
        self.put_new(WRITE_PROBES, scope, id, {})
        self.delete(WRITE_PROBES, scope, [id])

    def close(self) -> None:
        """Closes the idle connections."""
        with self._lock:
            if self._process == os.getpid():
                for connection in self._idle:
                    connection.close()
            self._idle = []

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """A connection for single statements, and SQLite's errors as ours."""
        with self._errors():
            connection = self._take()
            try:
                yield connection
            except BaseException:
                connection.close()
                raise
            with self._lock:
                self._idle.append(connection)

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A connection inside a write transaction, committed at the end; IMMEDIATE, so that it cannot deadlock."""
        with self._reading() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                # SQLite has already rolled back after a full disk; a second rollback would be an error of its own.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def _take(self) -> sqlite3.Connection:
        with self._lock:
            if self._process != os.getpid():
                # A connection must not cross a fork, not even to be closed: keep it out of reach, start afresh.
                self._inherited, self._idle = [*self._inherited, *self._idle], []
                fresh = True
            else:
                fresh = False
                if self._idle:
                    return self._idle.pop()
        if fresh:
            self._migrate()
            self._process = os.getpid()
        return self._connect()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=self._busy, isolation_level=None, check_same_thread=False, cached_statements=64
        )
        try:
            connection.execute("PRAGMA synchronous = FULL")
            # Deleted rows are overwritten with zeros: an erased user must not stay in the file's free space.
            connection.execute("PRAGMA secure_delete = ON")
        except BaseException:
            connection.close()
            raise
        return connection

    def _migrate(self) -> None:
        """Makes the file, its tables and columns, or leaves all as it is; several processes may start at once."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # The switch to WAL fails at once, busy_timeout or not, when two processes try it: hence a lock beside the file.
        with FileLock(f"{self._path}.lock", timeout=self._busy):
            connection = self._connect()
            try:
                (version,) = connection.execute("PRAGMA user_version").fetchone()
                if version > SCHEMA:
                    raise EngineUnavailable(
                        f"{self._path} was written by a newer Lemo (schema {version}, this one knows {SCHEMA}).",
                        "Upgrade Lemo to the version that wrote it, or point LEMO_HOME at another folder.",
                    )
                statements = [statement for kind in KINDS for statement in _missing(connection, kind)]
                if statements or version < SCHEMA:
                    connection.execute("PRAGMA journal_mode = WAL")
                    connection.execute("BEGIN IMMEDIATE")
                    for statement in statements:
                        connection.execute(statement)
                    connection.execute(f"PRAGMA user_version = {SCHEMA}")
                    connection.execute("COMMIT")
            finally:
                connection.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except UnicodeEncodeError:
            raise InvalidInput("An id is not valid Unicode.", "Send ids as UTF-8 text.") from None
        except (sqlite3.DatabaseError, OSError) as error:
            hint = _MENDS.get(_code(error))
            if hint is None:
                raise
            raise EngineUnavailable(
                f"The document store {self._path} failed: {error}.", hint, engine=f"SQLite {self._path}"
            ) from error


def _code(error: sqlite3.DatabaseError | OSError) -> int:
    """SQLite's primary code for what went wrong."""
    if isinstance(error, sqlite3.DatabaseError):
        return getattr(error, "sqlite_errorcode", 0) & 0xFF
    if isinstance(error, Timeout):
        return sqlite3.SQLITE_BUSY
    return sqlite3.SQLITE_FULL if error.errno == errno.ENOSPC else sqlite3.SQLITE_CANTOPEN


def _table(kind: Kind) -> str:
    """The kind's table; a kind that is not listed in KINDS has none."""
    if kind not in KINDS:
        raise LookupError(f"unknown kind {kind.name!r}")
    return f'"{kind.name}"'


def _column(kind: Kind, field: str) -> str:
    """The field's generated column; a field that the kind does not list has none."""
    if field not in kind.fields:
        raise LookupError(f"{kind.name} has no field {field!r}, only {', '.join(kind.fields) or 'none'}")
    return f'"f_{field}"'


def _marks(count: int) -> str:
    return ",".join("?" * count)


def _condition(kind: Kind, scope: Scope, where: Mapping[str, Scalar] | None) -> tuple[str, list[Scalar]]:
    """The WHERE clause and its values; IS, because it compares null too and uses an index as = does."""
    clauses = ["tenant = ?", "scenario = ?", *(f"{_column(kind, field)} IS ?" for field in where or {})]
    return " AND ".join(clauses), [scope.tenant_id, scope.scenario_id, *(where or {}).values()]


def _missing(connection: sqlite3.Connection, kind: Kind) -> list[str]:
    """The statements that bring the kind's table up to date.

    Each field's index carries the other fields behind it, so that a filter on several fields reads the index alone.
    """
    existing = {row[1] for row in connection.execute(f"PRAGMA table_xinfo({_table(kind)})")}
    statements = []
    if not existing:
        statements.append(
            f"CREATE TABLE IF NOT EXISTS {_table(kind)} (tenant TEXT NOT NULL, scenario TEXT NOT NULL,"
            " id TEXT NOT NULL, version INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (tenant, scenario, id))"
        )
    missing = [field for field in kind.fields if f"f_{field}" not in existing]
    statements.extend(
        f"ALTER TABLE {_table(kind)} ADD COLUMN {_column(kind, field)}"
        f" GENERATED ALWAYS AS (json_extract(body, '$.\"{field}\"')) VIRTUAL"
        for field in missing
    )
    for field in missing:
        columns = ", ".join(_column(kind, name) for name in (field, *(f for f in kind.fields if f != field)))
        statements.append(
            f'CREATE INDEX IF NOT EXISTS "{kind.name}_{field}" ON {_table(kind)} (tenant, scenario, {columns}, id)'
        )
    return statements
