"""The values of columns and filters: one for each item, or one for all as an array without dimensions.

A value may be missing. What is made of a missing value is missing, as in SQL; an item matches where the whole filter is
true, not where it is missing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

import numpy as np

from lemo.domain.time import milliseconds

Array = np.ndarray[Any, Any]

LONGEST_LIST = 1_000
"""Elements of a list in a filter or variable: each is compared with every item."""


@dataclass(frozen=True, slots=True, eq=False)
class Numbers:
    """Numbers (float64), NaN where missing. Timestamps are Unix milliseconds, durations milliseconds."""

    values: Array
    kind: Literal["number", "timestamp", "duration"] = "number"


@dataclass(frozen=True, slots=True, eq=False)
class Texts:
    """Texts as codes (int32, -1 where missing) of a list of words."""

    codes: Array
    words: Sequence[str]
    kind: Literal["text"] = "text"

    @property
    def only(self) -> str | None:
        """The text, where it is one for all items."""
        return self.words[int(self.codes)] if self.codes.ndim == 0 else None

    def decoded(self) -> Array:
        """The texts (object), "" where missing."""
        return np.array([*self.words, ""], dtype=object)[self.codes]


@dataclass(frozen=True, slots=True, eq=False)
class Truths:
    """Whether something is true, and whether that is known (bool each). What is not known is not true."""

    true: Array
    known: Array
    kind: Literal["boolean"] = "boolean"


class LabelCells(Protocol):
    """Several texts of each item, such as its categories."""

    @property
    def sizes(self) -> Array:
        """int64 (items,): how many each item has."""

    def having(self, word: str) -> Array:
        """bool (items,): whether the item has this text."""

    def of(self, row: int) -> Sequence[str]:
        """The texts of one item."""


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """Lists of texts. An item without any has an empty list, which is not missing."""

    cells: LabelCells
    kind: Literal["list"] = "list"


@dataclass(frozen=True, slots=True, eq=False)
class Listed:
    """A list that is the same for all items."""

    elements: "tuple[Value, ...]"
    kind: Literal["list"] = "list"


@dataclass(frozen=True, slots=True)
class Null:
    """The literal null: what is missing equals it."""

    kind: Literal["null"] = "null"


@dataclass(frozen=True, slots=True)
class Unknown:
    """A variable of a type that only a request tells."""

    kind: Literal["variable"] = "variable"


Value = Numbers | Texts | Truths | Labels | Listed | Null | Unknown


def constant(value: Any) -> Value:
    """A JSON value, or an aware datetime; raises TypeError for an object."""
    if value is None:
        return Null()
    if isinstance(value, bool):
        return Truths(np.array(value), np.array(True))
    if isinstance(value, int | float):
        try:
            return Numbers(np.array(float(value)))
        except OverflowError:
            raise TypeError("a number is too large") from None
    if isinstance(value, str):
        return Texts(np.array(0, dtype=np.int32), (value,))
    if isinstance(value, datetime):
        return Numbers(np.array(float(milliseconds(value))), "timestamp")
    if isinstance(value, list | tuple):
        if len(value) > LONGEST_LIST:
            raise TypeError(f"a list has {len(value):,} elements, more than {LONGEST_LIST:,}")
        return Listed(tuple(constant(each) for each in value))
    raise TypeError("an object has no place in a filter: variables are numbers, texts, true, false or lists")


def known(value: Value) -> Array:
    """bool: where the value is not missing."""
    match value:
        case Numbers():
            return ~np.isnan(value.values)
        case Texts():
            return value.codes >= 0
        case Truths():
            return value.known
        case Labels():
            return np.ones(len(value.cells.sizes), dtype=bool)
        case Null():
            return np.array(False)
        case _:
            return np.array(True)


def of_row(value: Value, row: int) -> Value:
    """The value of one item, as one for all."""
    match value:
        case Numbers():
            return Numbers(value.values[row], value.kind)
        case Texts():
            return Texts(value.codes[row], value.words)
        case Truths():
            return Truths(value.true[row], value.known[row])
        case Labels():
            return constant(list(value.cells.of(row)))
        case _:
            return value


def labels_of(value: Value, row: int) -> Sequence[Any]:
    """What one item has of a column: the texts of a list, one value of others, nothing where it is missing."""
    match value:
        case Labels():
            return value.cells.of(row)
        case Texts() if row < len(value.codes) and value.codes[row] >= 0:
            return (value.words[int(value.codes[row])],)
        case Numbers() if row < len(value.values) and not np.isnan(value.values[row]):
            return (float(value.values[row]),)
        case Truths() if row < len(value.known) and value.known[row]:
            return (bool(value.true[row]),)
        case _:
            return ()
