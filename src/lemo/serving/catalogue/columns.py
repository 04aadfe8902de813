"""The columns of a catalogue: typed values of all items, kept current item by item.

It is long because each kind of column is as short as its protocol.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from threading import Lock
from typing import Any, Protocol

import numpy as np

from lemo.domain.item import Item
from lemo.domain.scenario import AttributeType
from lemo.domain.time import milliseconds
from lemo.serving.catalogue.schema import FIELDS, Schema, attribute_of, steps_of
from lemo.serving.catalogue.values import Labels, Numbers, Texts, Truths, Value, labels_of, of_row

Array = np.ndarray[Any, Any]

OVERLAY = 10_000
"""Items whose lists changed since the cells were laid out, from which on they are laid out anew."""


class Column(Protocol):
    """Values of one kind, one for each row; None is missing."""

    def put(self, row: int, value: Any) -> None:
        """Sets the value of a row below the size."""

    def grow(self, rows: int) -> None:
        """Makes room for rows, whose values are missing at first."""

    def value(self, rows: int) -> Value:
        """The values of the first rows."""


class NumberColumn:
    """Numbers, or moments as Unix milliseconds."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._values = np.zeros(0)

    def put(self, row: int, value: float | None) -> None:
        """Sets the value of a row."""
        self._values[row] = np.nan if value is None else value

    def grow(self, rows: int) -> None:
        """Makes room for rows."""
        self._values = _grown(self._values, rows, np.nan)

    def value(self, rows: int) -> Value:
        """The values of the first rows."""
        return Numbers(self._values[:rows], "timestamp" if self._kind == "timestamp" else "number")


class BooleanColumn:
    """True, false or missing, as 1, 0 and -1."""

    def __init__(self) -> None:
        self._values = np.zeros(0, dtype=np.int8)

    def put(self, row: int, value: bool | None) -> None:
        """Sets the value of a row."""
        self._values[row] = -1 if value is None else value

    def grow(self, rows: int) -> None:
        """Makes room for rows."""
        self._values = _grown(self._values, rows, -1)

    def value(self, rows: int) -> Value:
        """The values of the first rows."""
        return Truths(self._values[:rows] == 1, self._values[:rows] >= 0)


class Words(list[str]):
    """Distinct texts, each with its place."""

    def __init__(self) -> None:
        super().__init__()
        self._places: dict[str, int] = {}

    def place(self, word: str) -> int:
        """The place of a text, which is added where it is new."""
        found = self._places.setdefault(word, len(self))
        if found == len(self):
            self.append(word)
        return found

    def index(self, word: str, *_bounds: Any) -> int:
        """The place of a text; raises ValueError where it is not there."""
        found = self._places.get(word)
        if found is None:
            raise ValueError(f"{word!r} is not there")
        return found


class TextColumn:
    """Texts, each kept once."""

    def __init__(self) -> None:
        self._codes = np.zeros(0, dtype=np.int32)
        self._words = Words()

    def put(self, row: int, value: str | None) -> None:
        """Sets the value of a row; an empty text is missing."""
        self._codes[row] = self._words.place(value) if value else -1

    def grow(self, rows: int) -> None:
        """Makes room for rows."""
        self._codes = _grown(self._codes, rows, -1)

    def value(self, rows: int) -> Value:
        """The values of the first rows."""
        return Texts(self._codes[:rows], self._words)


class ListColumn:
    """Lists of texts as cells (row, word) by row, beside the rows that changed since these were laid out."""

    def __init__(self) -> None:
        self._words = Words()
        self._rows, self._codes = np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int32)
        self._changed: dict[int, tuple[int, ...]] = {}
        self._count = 0

    def put(self, row: int, value: Sequence[str] | None) -> None:
        """Sets the list of a row."""
        self._changed[row] = tuple(dict.fromkeys(self._words.place(word) for word in value or ()))
        if len(self._changed) > max(OVERLAY, len(self._rows)):
            self._lay_out()

    def grow(self, rows: int) -> None:
        """Makes room for rows."""
        self._count = rows

    def value(self, rows: int) -> Value:
        """The values of the first rows."""
        self._count = rows
        return Labels(self)

    @property
    def sizes(self) -> Array:
        """int64 (rows,): how many texts each row has."""
        sizes = np.bincount(self._rows, minlength=self._count)[: self._count]
        for row, codes in self._changed.items():
            sizes[row] = len(codes)
        return sizes

    def of(self, row: int) -> list[str]:
        """The texts of a row."""
        if row in self._changed:
            return [self._words[code] for code in self._changed[row]]
        start, end = np.searchsorted(self._rows, [row, row + 1])
        return [self._words[code] for code in self._codes[start:end].tolist()]

    def having(self, word: str) -> Array:
        """bool (rows,): which rows have the text."""
        found = np.zeros(self._count, dtype=bool)
        try:
            code = self._words.index(word)
        except ValueError:
            return found
        found[self._rows[self._codes == code]] = True
        for row, codes in self._changed.items():
            found[row] = code in codes
        return found

    def _lay_out(self) -> None:
        changed = np.fromiter(self._changed, dtype=np.int32, count=len(self._changed))
        kept = ~np.isin(self._rows, changed)
        sizes = [len(codes) for codes in self._changed.values()]
        codes = np.fromiter((code for row in self._changed.values() for code in row), dtype=np.int32)
        rows = np.concatenate([self._rows[kept], np.repeat(changed, sizes)])
        order = np.argsort(rows, kind="stable")
        self._rows = rows[order]
        self._codes = np.concatenate([self._codes[kept], codes])[order]
        self._changed = {}


class Columns:
    """All items of a catalogue by row. `update` and `value` may be called by several threads."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.version = 0
        """Goes up with each change."""
        self.item_ids: list[str] = []
        self.lock = Lock()
        """Held while values are written, and to be held while they are read."""
        self._rows: dict[str, int] = {}
        self._fields = {name: _column(kind) for name, kind in FIELDS.items()}
        self._attributes = {name: _column(each.type) for name, each in schema.attributes.items()}
        self._live = np.zeros(0, dtype=bool)
        self._present = np.zeros(0, dtype=bool)
        self._room = 0

    def __len__(self) -> int:
        return len(self.item_ids)

    @property
    def live(self) -> Array:
        """bool (rows,): items that are active and not deleted."""
        return self._live[: len(self)]

    @property
    def present(self) -> Array:
        """bool (rows,): items that are not deleted. A deleted one keeps its row."""
        return self._present[: len(self)]

    def row(self, item_id: str) -> int:
        """The row of an id, -1 for one that the catalogue does not hold."""
        return self._rows.get(item_id, -1)

    def rows(self, item_ids: Iterable[str]) -> Array:
        """int64: the row of each id, -1 for one that the catalogue does not hold."""
        return np.fromiter((self._rows.get(item_id, -1) for item_id in item_ids), dtype=np.int64)

    def value(self, names: Sequence[str]) -> Value:
        """The column of a name that the schema resolves."""
        resolved = self.schema.resolved(names)
        if resolved is None:
            raise KeyError(".".join(names))
        name, is_attribute = resolved
        return (self._attributes if is_attribute else self._fields)[name].value(len(self))

    def current(self, item_id: str) -> dict[str, Value]:
        """The values of one item by name; empty for one that the catalogue does not hold."""
        row = self.row(item_id)
        if row < 0:
            return {}
        with self.lock:
            return {name: of_row(self.value(steps_of(name)), row) for name in self.schema.names}

    def labels(self, item_id: str, name: str) -> Sequence[Any]:
        """The values of an item's field or attribute: several of a list, one of others, none where it is missing."""
        row = self.row(item_id)
        if row < 0 or self.schema.resolved(steps_of(name)) is None:
            return ()
        with self.lock:
            return labels_of(self.value(steps_of(name)), row)

    def update(self, items: Sequence[Item]) -> None:
        """Takes in items as they are now; an attribute of a new name gets the type of its first values."""
        with self.lock:
            new = [item.item_id for item in items if item.item_id not in self._rows]
            for item_id in new:
                if self._rows.setdefault(item_id, len(self.item_ids)) == len(self.item_ids):
                    self.item_ids.append(item_id)
            unknown: dict[str, list[Any]] = defaultdict(list)
            for item in items:
                for name in item.attributes.keys() - self._attributes.keys():
                    unknown[name].append(item.attributes[name])
            for name, values in unknown.items():
                self.schema.attributes[name] = attribute_of(values)
                self._attributes[name] = _column(self.schema.attributes[name].type)
                self._attributes[name].grow(self._room)
            self._make_room(len(self.item_ids))
            for item in items:
                self._put(self._rows[item.item_id], item)
            self.version += 1

    def _put(self, row: int, item: Item) -> None:
        self._live[row] = item.recommendable
        self._present[row] = not item.deleted
        for name, column in self._fields.items():
            value: Any = getattr(item, name)
            column.put(row, milliseconds(value) if value and FIELDS[name] == "timestamp" else value)
        for name, column in self._attributes.items():
            value = item.attributes.get(name)
            column.put(row, None if value is None else self.schema.attributes[name].fitted(value))

    def _make_room(self, rows: int) -> None:
        if rows <= self._room:
            return
        self._room = max(rows, self._room + self._room // 2)
        for column in (*self._fields.values(), *self._attributes.values()):
            column.grow(self._room)
        self._live = _grown(self._live, self._room, False)
        self._present = _grown(self._present, self._room, False)


def columns_of(items: Iterable[Item], schema: Schema | None = None, fixed: Mapping[str, AttributeType] = {}) -> Columns:
    """The columns of a catalogue; without a schema, attributes get the type that most of their values have.

    `fixed` names the types that the scenario has settled.
    """
    known = list(items)
    if schema is None:
        values: dict[str, list[Any]] = {name: [] for name in fixed}
        for item in known:
            for name, value in item.attributes.items():
                values.setdefault(name, []).append(value)
        schema = Schema({name: attribute_of(found, fixed.get(name)) for name, found in sorted(values.items())})
    columns = Columns(schema)
    columns.update(known)
    return columns


def _column(kind: AttributeType) -> Column:
    if kind in ("number", "timestamp"):
        return NumberColumn(kind)
    if kind == "boolean":
        return BooleanColumn()
    return TextColumn() if kind == "text" else ListColumn()


def _grown(values: Array, rows: int, missing: Any) -> Array:
    grown = np.full(rows, missing, dtype=values.dtype)
    grown[: len(values)] = values
    return grown
