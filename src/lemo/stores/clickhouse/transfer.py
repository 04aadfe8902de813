"""Copies all rows of the events into a file in ClickHouse's own format, and back."""
# ruff: noqa: S608 - only names of our own tables and columns are put into the text of queries

import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path

from lemo.domain.deadlines import FOR_JOBS
from lemo.stores.clickhouse.aggregates import MARK_ALL
from lemo.stores.clickhouse.client import ClickHouse

_FORMAT = "Native"
_CHUNK = 1 << 20


class EventsTransfer(ClickHouse):
    """The table of events, as a whole. Every call raises EngineUnavailable when the engine does not answer."""

    def __init__(self, url: str, database: str) -> None:
        super().__init__(url, database, FOR_JOBS)
        self._table = f"{self._database}.events"

    def columns(self) -> list[str]:
        """The columns of the table, in order."""
        return self._ask(lambda client: list(client.query(f"SELECT * FROM {self._table} LIMIT 0").column_names))

    def count(self) -> int:
        """Rows of all scopes; an event that was sent again may count twice until the engine has merged its rows."""
        return int(self._ask(lambda client: client.query(f"SELECT count() FROM {self._table}").first_row[0]))

    def dump(self, columns: Sequence[str], file: Path) -> None:
        """Writes the rows that are there now to the file, a block at a time."""
        query = f"SELECT {', '.join(columns)} FROM {self._table}"

        def run(client: object) -> None:
            with client.raw_stream(query, fmt=_FORMAT) as source, file.open("wb") as out:  # type: ignore[attr-defined]
                shutil.copyfileobj(source, out, _CHUNK)

        self._ask(run)

    def load(self, columns: Sequence[str], file: Path) -> None:
        """Inserts the rows of a file; repeated, it changes nothing. The next consumer counts aggregates anew."""
        if file.stat().st_size == 0:
            return

        def run(client: object) -> None:
            with file.open("rb") as source:
                client.raw_insert(self._table, columns, source, fmt=_FORMAT)  # type: ignore[attr-defined]
            client.command(MARK_ALL.format(database=self._database, epoch=uuid.uuid4().hex))  # type: ignore[attr-defined]

        self._ask(run)
