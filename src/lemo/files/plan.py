"""The way from a file's rows to rows of fields, and what a person says about it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from lemo.domain.event import Event, derived_event_id
from lemo.domain.item import Item
from lemo.files import moments
from lemo.files.cells import Convert, number_or_none
from lemo.files.guesses import ActionWords
from lemo.files.layouts import Layout
from lemo.files.nested import spread, value_at
from lemo.files.rows import Row, Unreadable

REQUIRED: dict[type[BaseModel], tuple[str, ...]] = {
    Item: ("item_id",),
    Event: ("user_id", "item_id", "action", "timestamp"),
}
"""The columns without which a file is no file of items, or of events."""
IDS = ("user_id", "item_id", "event_id", "request_id")
"""The fields that are ids."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the person says about a file."""

    fields: Mapping[str, str] = field(default_factory=dict)
    """For fields, the columns they are in."""
    action: str = ""
    """The action of every event."""
    words: Mapping[str, str] = field(default_factory=dict)
    """For words of the file's actions, the scenario's."""
    no_time: bool = False
    """Whether the events have no time."""
    order: moments.Order | None = None
    """What comes first in dates such as 11/12/2019."""
    encoding: str = ""
    delimiter: str = ""
    guess: bool = True
    """Whether columns with other names may be taken for what they seem to be."""
    kept: bool = False
    """Whether it was kept from an earlier file: a column may be absent, and no other field is guessed."""

    @property
    def told(self) -> bool:
        """Whether anything is said about the columns."""
        return bool(self.fields or self.action or self.no_time)


NOTHING_SAID = Wishes()


@dataclass(slots=True)
class Plan:
    """The way from a file's rows to rows of fields."""

    fields: dict[str, str] = field(default_factory=dict)
    """For fields, the columns they come from."""
    guessed: set[str] = field(default_factory=set)
    """The fields whose column, or whose value, was guessed."""
    constants: dict[str, Any] = field(default_factory=dict)
    """Fields that are the same in every row."""
    converters: dict[str, Convert] = field(default_factory=dict)
    actions: dict[str, str] = field(default_factory=dict)
    """Words of the file's actions that were seen, and the scenario's for them."""
    words: ActionWords | None = None
    """For every word of the file's actions, the scenario's."""
    clock: str = ""
    """The column of the clock, where dates and clocks are apart."""
    listed: str = ""
    """The column whose lists hold the rows: a session with its events."""
    layout: Layout | None = None
    notes: list[str] = field(default_factory=list)
    """What a person should know before the file is sent."""
    order: moments.Order | None = None
    """What comes first in its dates, where they need it said."""
    timeless: bool = False

    @property
    def ids(self) -> set[str]:
        """The columns of ids."""
        return {column for name, column in self.fields.items() if name in IDS}

    def rows(self, rows: Iterator[Row]) -> Iterator[Row]:
        """The file's rows as rows of fields; what could not be read stays as it is."""
        if self.layout is not None:
            for number, row in rows:
                if isinstance(row, Unreadable):
                    yield number, row
                else:
                    yield from ((number, each) for each in self._of_layout(row))
            return
        if self.listed:
            rows = spread(rows, self.listed)
        inner = [column for column in self.fields.values() if "." in column]
        renamed = [(column, name) for name, column in self.fields.items() if column != name]
        converters = list(self.converters.items())
        for number, row in rows:
            if not isinstance(row, Unreadable):
                for column in inner:
                    if column not in row and (value := value_at(row, column)) is not None:
                        row[column] = value
                self._apply(row, renamed, converters)
            yield number, row

    def _apply(
        self, row: dict[str, Any], renamed: Sequence[tuple[str, str]], converters: Sequence[tuple[str, Convert]]
    ) -> None:
        moved = [(name, row.pop(column)) for column, name in renamed if column in row]
        for name, cell in moved:
            if name in row:  # another column has the field's name and is none of it
                row[f"{name}_column"] = row.pop(name)
            row[name] = cell
        if self.clock and self.clock in row and isinstance(row.get("timestamp"), str):
            row["timestamp"] = f"{row['timestamp']} {row.pop(self.clock)}"
        for name, convert in converters:
            if name in row:
                cell = convert(row[name])
                if cell is None or cell == "":
                    if row[name] is not None:
                        del row[name]
                else:
                    row[name] = cell
        if self.constants:
            row.update(self.constants)
        if self.words is not None and "action" in row:
            row["action"] = self.words.of(row["action"])
        if self.timeless and "event_id" not in row:
            self._name_timeless(row)

    def _of_layout(self, row: dict[str, Any]) -> list[dict[str, Any]]:
        assert self.layout is not None  # noqa: S101
        cells = [str(row.get(column, "")) for column in self.fields.values()]
        found = self.layout.read(cells)
        if self.words is not None:
            for each in found:
                each["action"] = self.words.of(each["action"])
        if self.timeless:
            for each in found:
                each.update(self.constants)
                self._name_timeless(each)
        return found

    def _name_timeless(self, row: dict[str, Any]) -> None:
        value = row.get("value")
        names = [str(row.get(name, "")) for name in ("user_id", "item_id", "action")]
        # Not of the moment, which is the file's: a copy of the file has another one, and the same events.
        row["event_id"] = derived_event_id(names[0], names[1], names[2], 0, number_or_none(value), "", None)
