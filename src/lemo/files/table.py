"""A file as a table, whatever its form: its columns, some rows to look at, and all of them."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from lemo.domain.errors import InvalidInput
from lemo.files.dialect import Dialect, sniffed
from lemo.files.form import Form, checked_form, encoding_of, read_sample
from lemo.files.json_rows import json_rows
from lemo.files.rows import Row, Tell, csv_rows, jsonl_rows

if TYPE_CHECKING:
    from lemo.files.excel import Workbook

SAMPLE_ROWS = 1_000
"""Rows that are looked at before all are read."""


def _ignore(_done: int) -> None:
    """Nobody watches."""


@dataclass(frozen=True)
class Table:
    """An opened file. Its rows can be read several times."""

    path: Path
    form: Form
    names: tuple[str, ...]
    """Its columns. JSON names them row by row: those of the first rows."""
    total: int
    """What progress counts up to: bytes, or rows of Parquet and Excel."""
    dialect: Dialect | None = None
    """Of text tables."""
    encoding: str = "utf-8"
    workbook: "Workbook | None" = field(default=None, repr=False)

    @property
    def named_by_row(self) -> bool:
        """Whether each row names its columns, so that none can be said to be missing."""
        return self.form in (Form.json, Form.jsonl)

    def rows(self, tell: Tell = _ignore, known: Collection[str] = (), ids: Collection[str] = ()) -> Iterator[Row]:
        """All rows with their numbers. Columns that are not `known` are JSON values; `ids` are columns of ids."""
        if self.dialect is not None:
            return csv_rows(self.path, self.dialect, tell)
        if self.form is Form.jsonl:
            return jsonl_rows(self.path, tell, self.encoding)
        if self.form is Form.json:
            return json_rows(self.path, tell, self.encoding)
        if self.workbook is not None:
            return self.workbook.rows(known, ids, tell)
        from lemo.files.parquet import parquet_rows

        return parquet_rows(self.path, known, ids, tell)

    def sample(self) -> list[Row]:
        """The first rows; what of them is damaged is left to the reading of all."""
        found: list[Row] = []
        with suppress(InvalidInput):
            found.extend(islice(self.rows(), SAMPLE_ROWS))
        return found


def open_table(path: Path, required: Sequence[str], encoding: str = "", delimiter: str = "") -> Table:
    """Opens a file; text tables whose header has the `required` columns are read by it alone.

    Raises NotFound or InvalidInput for what is no such file.
    """
    form = checked_form(path)
    total = path.stat().st_size
    if form is Form.csv:
        dialect = sniffed(path, required, encoding, delimiter)
        return Table(path, form, dialect.names, total, dialect, dialect.encoding)
    if form is Form.parquet:
        from lemo.files.parquet import count_parquet_rows, parquet_names

        return Table(path, form, parquet_names(path), count_parquet_rows(path))
    if form is Form.excel:
        from lemo.files.excel import Workbook

        workbook = Workbook(path)
        return Table(path, form, workbook.names, workbook.batch.num_rows, workbook=workbook)
    encoding = encoding_of(path, read_sample(path), encoding)
    table = Table(path, form, (), total, encoding=encoding)
    names = dict.fromkeys(name for _, row in table.sample() if isinstance(row, dict) for name in row)
    return Table(path, form, tuple(names), total, encoding=encoding)
