"""Rows of the first sheet of a workbook: .xlsx, .xlsb, .xls, .ods."""

from collections.abc import Collection, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from lemo.domain.errors import InvalidInput
from lemo.files.parquet import arrow_rows
from lemo.files.rows import Row, Tell


class Workbook:
    """A workbook's first sheet, whose first row names the columns; raises InvalidInput where it cannot be read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @cached_property
    def batch(self) -> Any:
        """The sheet as an Arrow batch. A workbook has at most a million rows, so it fits into memory."""
        import fastexcel
        import pyarrow as pa

        try:
            reader = fastexcel.read_excel(self._path)
            return pa.record_batch(reader.load_sheet(0))
        except (fastexcel.FastExcelError, pa.ArrowException, OSError) as error:
            why = str(error).splitlines()[0][:200]
            raise InvalidInput(f"{self._path} cannot be read as a workbook: {why}", "Save it again.") from error

    @property
    def names(self) -> tuple[str, ...]:
        """The columns; those without a name are left out of the rows."""
        return tuple("" if name.startswith("__UNNAMED__") else name.strip() for name in self.batch.schema.names)

    def rows(self, known: Collection[str], ids: Collection[str], tell: Tell) -> Iterator[Row]:
        """The rows below the header, numbered as Excel does, so the first is 2."""
        batch = self.batch.rename_columns(list(self.names))
        named = [index for index, name in enumerate(self.names) if name]
        for number, row in enumerate(arrow_rows(batch.select(named), known, ids), start=2):
            if row:
                whole = {name: _whole(value) for name, value in row.items()} if isinstance(row, dict) else row
                yield number, whole
        tell(batch.num_rows)


def _whole(value: Any) -> Any:
    """A number of a workbook, which knows no integers: 1984 is not 1984.0, as a title least of all."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value
