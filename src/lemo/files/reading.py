"""Reading a file of items or events: validated, in batches, bad rows counted and set aside."""

from collections.abc import Callable, Collection, Hashable, Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from lemo.domain.errors import InvalidInput
from lemo.domain.event import OTHER_CONTENTS, Event
from lemo.domain.item import Item
from lemo.domain.reasons import reason
from lemo.files.plan import NOTHING_SAID, REQUIRED, Wishes
from lemo.files.planning import planned
from lemo.files.rejects import Rejects
from lemo.files.repeats import Repeat, Repeats
from lemo.files.rows import Unreadable
from lemo.files.table import open_table

BATCH = 2_000
"""Rows of a batch."""

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")

_Good = tuple[int, dict[str, Any], str, Hashable, T]
"""Line, row, its id, what may not differ where that comes again, and what was made of the row."""


class Reading(Generic[T]):
    """One pass over one file. Any size fits into memory.

    `convert` makes of each valid row what is wanted; it raises InvalidInput to refuse the row. `plain` makes the same
    of rows that need no validation, and quicker; it returns None for others. Columns to `leave_out` are read as if they
    were not there. `wishes` are what a person says about the file's columns, `actions` the words that the scenario
    knows for what users did. With `repeats`, which several files may share, rows that repeat an id are counted, and
    events that repeat an event_id with other contents are refused. Opening raises NotFound or InvalidInput for what is
    no such file; while it is read, only damage to the file itself raises.
    """

    def __init__(
        self,
        path: Path,
        model: type[M],
        convert: Callable[[M], T],
        rejects: Rejects | None = None,
        *,
        leave_out: Collection[str] = (),
        repeats: Repeats | None = None,
        wishes: Wishes = NOTHING_SAID,
        actions: Collection[str] = (),
        plain: Callable[[dict[str, Any]], tuple[str, Hashable, T] | None] | None = None,
    ) -> None:
        self.path = path
        self.table = open_table(path, REQUIRED[model], wishes.encoding, wishes.delimiter)
        self.plan = planned(model, self.table, wishes, actions)
        self.rejects = rejects or Rejects(path)
        self.good = 0
        self.repeated = 0
        """Of the good rows, those whose id came before: they count once."""
        self.conflicting = 0
        """Events that were refused because their event_id came before with other contents."""
        self.conflict = ""
        """The event_id of the first of them."""
        self.done = 0
        """How far the reading is, of `total`: bytes, or rows of Parquet and Excel."""
        self.total = self.table.total
        self._model: type[BaseModel] = model
        self._convert: Callable[[Any], T] = convert
        self._plain = plain
        fields = {column: name for name, column in self.plan.fields.items()}
        self._leave_out = frozenset(fields.get(name, name) for name in leave_out)
        self._left_out: set[str] = set()
        self._repeats = repeats
        known = {*model.model_fields, *self.plan.fields.values()}
        self._rows = self.plan.rows(self.table.rows(self._tell, known, self.plan.ids))

    @property
    def read(self) -> int:
        """Rows read so far, good and bad."""
        return self.good + self.rejects.count

    @property
    def absent(self) -> list[str]:
        """The columns to leave out that no row has had so far."""
        return sorted(self._leave_out - self._left_out) if self.read else []

    def batches(self, size: int = BATCH) -> Iterator[list[T]]:
        """The good rows in lists of up to `size`, in the order of the file. Can be called once."""
        batch: list[_Good[T]] = []
        try:
            for line, row in self._rows:
                if (good := self._read(line, row)) is not None:
                    batch.append(good)
                if len(batch) >= size:
                    yield from self._handed_over(batch)
                    batch = []
            self.done = self.total
            yield from self._handed_over(batch)
        finally:
            self.rejects.close()

    def _read(self, line: int, row: dict[str, Any] | Unreadable) -> "_Good[T] | None":
        """The row as a valid one; None where it was refused."""
        if isinstance(row, Unreadable):
            self.rejects.add(line, row.reason, row.text)
            return None
        for name in self._leave_out & row.keys():
            del row[name]
            self._left_out.add(name)
        if self._plain is not None and (found := self._plain(row)) is not None:
            return line, row, *found
        try:
            model = self._model.__pydantic_validator__.validate_python(row)
            return line, row, *_name(model), self._convert(model)
        except ValidationError as error:
            self.rejects.add(line, reason(error), row)
        except InvalidInput as error:
            self.rejects.add(line, error.message, row)
        except (ValueError, OverflowError) as error:
            # An integer beyond what Python turns into text, a moment beyond the calendar.
            self.rejects.add(line, f"holds a number that is too large: {error}", row)
        return None

    def _handed_over(self, batch: "list[_Good[T]]") -> Iterator[list[T]]:
        """The batch, if something is left of it when ids that stand for several events are refused."""
        if self._repeats is None:
            kept = [good[4] for good in batch]
        else:
            kept = []
            found = self._repeats.check([good[2] for good in batch], [good[3] for good in batch])
            for (line, row, name, _, converted), repeat in zip(batch, found, strict=True):
                if repeat is Repeat.other:
                    self.conflicting += 1
                    self.conflict = self.conflict or name
                    self.rejects.add(line, f"event_id: {name[:80]!r} {OTHER_CONTENTS}", row)
                else:
                    self.repeated += repeat is Repeat.same
                    kept.append(converted)
        if kept:
            self.good += len(kept)
            yield kept

    def __iter__(self) -> Iterator[T]:
        """The good rows one by one."""
        for batch in self.batches():
            yield from batch

    def _tell(self, done: int) -> None:
        self.done = done


def _name(model: Any) -> tuple[str, Hashable]:
    """The id of an item or event, and what may not differ where it comes again."""
    return (model.event_id, model.contents()) if isinstance(model, Event) else (model.item_id, None)


def _itself(row: T) -> T:
    return row


def read_items(path: Path, rejects: Rejects | None = None) -> Reading[Item]:
    """Opens a file of items; raises NotFound or InvalidInput for what is none."""
    return Reading(path, Item, _itself, rejects)


def read_events(path: Path, rejects: Rejects | None = None) -> Reading[Event]:
    """Opens a file of events; raises NotFound or InvalidInput for what is none."""
    return Reading(path, Event, _itself, rejects)
