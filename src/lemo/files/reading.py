"""Reading a file of items or events: validated, in batches, bad rows counted and set aside."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from lemo.domain.errors import InvalidInput
from lemo.domain.event import Event
from lemo.domain.item import Item
from lemo.domain.reasons import reason
from lemo.files.form import Form, checked_form
from lemo.files.rejects import Rejects
from lemo.files.rows import Row, Unreadable, csv_rows, jsonl_rows

BATCH = 2_000
"""Rows of a batch."""

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")

REQUIRED: dict[type[BaseModel], tuple[str, ...]] = {
    Item: ("item_id",),
    Event: ("user_id", "item_id", "action", "timestamp"),
}
"""The columns without which a file is no file of items, or of events."""


class Reading(Generic[T]):
    """One pass over one file. Any size fits into memory.

    `convert` makes of each valid row what is wanted; it raises InvalidInput to refuse the row. Opening raises NotFound
    or InvalidInput for what is no such file; while it is read, only damage to the file itself raises.
    """

    def __init__(self, path: Path, model: type[M], convert: Callable[[M], T], rejects: Rejects | None = None) -> None:
        self.path = path
        self.form = checked_form(path)
        self.rejects = rejects or Rejects(path)
        self.good = 0
        self.done = 0
        """How far the reading is, of `total`: bytes, or rows of Parquet."""
        self.total = self._total()
        self._model: type[BaseModel] = model
        self._convert: Callable[[Any], T] = convert
        self._rows = self._open()

    @property
    def read(self) -> int:
        """Rows read so far, good and bad."""
        return self.good + self.rejects.count

    def batches(self, size: int = BATCH) -> Iterator[list[T]]:
        """The good rows in lists of up to `size`, in the order of the file. Can be called once."""
        validate = self._model.__pydantic_validator__.validate_python
        convert, rejects = self._convert, self.rejects
        batch: list[T] = []
        try:
            for line, row in self._rows:
                if isinstance(row, Unreadable):
                    rejects.add(line, row.reason, row.text)
                    continue
                try:
                    batch.append(convert(validate(row)))
                except ValidationError as error:
                    rejects.add(line, reason(error), row)
                except InvalidInput as error:
                    rejects.add(line, error.message, row)
                except (ValueError, OverflowError) as error:
                    # An integer beyond what Python turns into text, a moment beyond the calendar.
                    rejects.add(line, f"holds a number that is too large: {error}", row)
                if len(batch) >= size:
                    self.good += len(batch)
                    yield batch
                    batch = []
            self.done = self.total
            if batch:
                self.good += len(batch)
                yield batch
        finally:
            rejects.close()

    def __iter__(self) -> Iterator[T]:
        """The good rows one by one."""
        for batch in self.batches():
            yield from batch

    def _total(self) -> int:
        if self.form is Form.parquet:
            from lemo.files.parquet import count_parquet_rows

            return count_parquet_rows(self.path)
        return self.path.stat().st_size

    def _open(self) -> Iterator[Row]:
        required = REQUIRED[self._model]
        if self.form is Form.jsonl:
            return jsonl_rows(self.path, self._tell)
        if self.form is Form.csv:
            rows = csv_rows(self.path, required, self._tell)
        else:
            from lemo.files.parquet import parquet_rows

            rows = parquet_rows(self.path, required, tuple(self._model.model_fields), self._tell)
        return _started(rows)

    def _tell(self, done: int) -> None:
        self.done = done


def _started(rows: Iterator[Row]) -> Iterator[Row]:
    """Reads up to the first row at once, so that a bad header is told when the file is opened."""
    first = next(rows, None)

    def all_rows() -> Iterator[Row]:
        if first is not None:
            yield first
            yield from rows

    return all_rows()


def _itself(row: T) -> T:
    return row


def read_items(path: Path, rejects: Rejects | None = None) -> Reading[Item]:
    """Opens a file of items; raises NotFound or InvalidInput for what is none."""
    return Reading(path, Item, _itself, rejects)


def read_events(path: Path, rejects: Rejects | None = None) -> Reading[Event]:
    """Opens a file of events; raises NotFound or InvalidInput for what is none."""
    return Reading(path, Event, _itself, rejects)
