"""Copies all rows of a table into a file in ClickHouse's own format, and back."""
# ruff: noqa: S608 - only names of our own tables and columns are put into the text of queries

import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lemo.domain.deadlines import FOR_JOBS
from lemo.stores.clickhouse.aggregate_tables import MARK_ALL
from lemo.stores.clickhouse.client import ClickHouse

TABLES = ("events", "served_answers")
"""The tables that nothing else holds. Aggregates, sessions and metrics of minutes are made of the events anew."""
_FORMAT = "Native"
_CHUNK = 1 << 20


class TableTransfer(ClickHouse):
    """Whole tables of one database. Every call raises EngineUnavailable when the engine does not answer."""

    def __init__(self, url: str, database: str) -> None:
        super().__init__(url, database, FOR_JOBS)

    def columns(self, table: str) -> list[str]:
        """The columns of a table, in order."""
        query = f"SELECT * FROM {self._database}.{table} LIMIT 0"
        return self._ask(lambda client: list(client.query(query).column_names))

    def count(self, table: str) -> int:
        """Rows of all scopes; one that was sent again may count twice until the engine has merged its rows."""
        return int(self._ask(lambda client: client.query(f"SELECT count() FROM {self._database}.{table}").first_row[0]))

    def dump(self, table: str, columns: Sequence[str], file: Path) -> None:
        """Writes the rows that are there now to the file, a block at a time."""
        query = f"SELECT {', '.join(columns)} FROM {self._database}.{table}"

        def run(client: Any) -> None:
            with client.raw_stream(query, fmt=_FORMAT) as source, file.open("wb") as out:
                shutil.copyfileobj(source, out, _CHUNK)

        self._ask(run)

    def load(self, table: str, columns: Sequence[str], file: Path) -> None:
        """Inserts the rows of a file; repeated, it changes nothing."""
        if file.stat().st_size == 0:
            return
        # Answers of years have more weeks than an insert may have partitions by default.
        settings = {"max_partitions_per_insert_block": 0}

        def run(client: Any) -> None:
            with file.open("rb") as source:
                client.raw_insert(f"{self._database}.{table}", columns, source, settings, _FORMAT)

        self._ask(run)

    def mark_all(self) -> None:
        """Has the next consumer count the aggregates of all events anew."""
        self._ask(lambda client: client.command(MARK_ALL.format(database=self._database, epoch=uuid.uuid4().hex)))
