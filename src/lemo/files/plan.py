"""How a file's columns become the fields of items or events: as documented, as told, as guessed.

It is long because each rule for a column is a few lines, and they are tried in one order.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel

from lemo.domain.errors import InvalidInput
from lemo.domain.event import Event, derived_event_id
from lemo.domain.item import Item
from lemo.domain.reasons import did_you_mean
from lemo.files import moments
from lemo.files.cells import (
    Convert,
    has_decimal_commas,
    id_converter,
    labels_converter,
    link_of,
    number_converter,
    object_of,
    text_of,
    without_null_words,
)
from lemo.files.guesses import PLAYS, RATINGS, action_words, columns_for, plain
from lemo.files.layouts import Layout, layout_of
from lemo.files.rows import Row, Unreadable, check_columns
from lemo.files.table import Table

REQUIRED: dict[type[BaseModel], tuple[str, ...]] = {
    Item: ("item_id",),
    Event: ("user_id", "item_id", "action", "timestamp"),
}
"""The columns without which a file is no file of items, or of events."""
_IDS = ("user_id", "item_id", "event_id", "request_id")
_TIMES = ("timestamp", "published_at", "expires_at", "updated_at")
_TEXTS = ("title", "description", "author", "url")
_LABELS = ("categories", "tags")
_MOST_ACTIONS = 100
"""Different words of a column that may still be actions."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the person says about a file."""

    fields: Mapping[str, str] = field(default_factory=dict)
    """For fields, the columns they are in."""
    action: str = ""
    """The action of every event."""
    no_time: bool = False
    """Whether the events have no time."""
    order: moments.Order | None = None
    """What comes first in dates such as 11/12/2019."""
    encoding: str = ""
    delimiter: str = ""
    guess: bool = True
    """Whether columns with other names may be taken for what they seem to be."""

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
    """Words of the file's actions, and the scenario's for them."""
    layout: Layout | None = None
    notes: list[str] = field(default_factory=list)
    """What a person should know before the file is sent."""
    timeless: bool = False

    @property
    def ids(self) -> set[str]:
        """The columns of ids."""
        return {column for name, column in self.fields.items() if name in _IDS}

    def rows(self, rows: Iterator[Row]) -> Iterator[Row]:
        """The file's rows as rows of fields; what could not be read stays as it is."""
        if self.layout is not None:
            for number, row in rows:
                if isinstance(row, Unreadable):
                    yield number, row
                else:
                    yield from ((number, each) for each in self._of_layout(row))
            return
        renamed = [(column, name) for name, column in self.fields.items() if column != name]
        converters = list(self.converters.items())
        for number, row in rows:
            if not isinstance(row, Unreadable):
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
        if self.actions and (word := row.get("action")) in self.actions:
            row["action"] = self.actions[str(word)]
        if self.timeless and "event_id" not in row:
            value = row.get("value")
            names = [str(row.get(name, "")) for name in ("user_id", "item_id", "action")]
            # Not of the moment, which is the file's: a copy of the file has another one, and the same events.
            row["event_id"] = derived_event_id(names[0], names[1], names[2], 0, _float(value), "", None)

    def _of_layout(self, row: dict[str, Any]) -> list[dict[str, Any]]:
        assert self.layout is not None  # noqa: S101
        cells = [str(row.get(column, "")) for column in self.fields.values()]
        return self.layout.read(cells)


def _float(value: Any) -> float | None:
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):
        return None


def planned(model: type[BaseModel], table: Table, wishes: Wishes = NOTHING_SAID, actions: Collection[str] = ()) -> Plan:
    """The plan for a file; `actions` are those that the scenario knows.

    A file with the documented columns is read as it stands. Raises InvalidInput where a column that is needed is
    neither there nor told nor plain.
    """
    sample = [row for _, row in table.sample() if isinstance(row, dict)]
    if wishes.guess and not wishes.told and (plan := _of_layout(model, table, sample)) is not None:
        return plan
    plan = Plan()
    required = [name for name in REQUIRED[model] if not _is_constant(name, wishes)]
    documented = not wishes.fields and all(name in table.names for name in required)
    _take_told(plan, model, table, wishes)
    if documented or not wishes.guess:
        plan.fields |= {name: name for name in model.model_fields if name in table.names and name not in plan.constants}
    else:
        _guess(plan, model, table, sample, actions)
    if table.dialect is not None:
        check_columns(table.path, table.names, ())
    missing = [name for name in required if name not in plan.fields and name not in plan.constants]
    if missing and table.named_by_row and not wishes.told and any(name in table.names for name in required):
        # Rows of JSON name their columns: those that lack one are refused one by one.
        plan = Plan(fields={name: name for name in model.model_fields if name in table.names})
    elif missing:
        raise _missing(model, table, plan, missing)
    _set_converters(plan, table, sample, wishes, renaming=not documented)
    if model is Event and not documented and actions and (column := plan.fields.get("action")):
        plan.actions = action_words({str(row[column]) for row in sample if column in row}, actions)
        if plan.actions:
            plan.guessed.add("action")
    return plan


def _is_constant(name: str, wishes: Wishes) -> bool:
    return (name == "action" and bool(wishes.action)) or (name == "timestamp" and wishes.no_time)


def _of_layout(model: type[BaseModel], table: Table, sample: Sequence[dict[str, Any]]) -> Plan | None:
    if table.dialect is None or table.dialect.header:
        return None
    rows = [[str(row.get(name, "")) for name in table.names] for row in sample]
    layout = layout_of(model, table.dialect.delimiter, rows)
    if layout is None:
        return None
    plan = Plan(fields={name: name for name in table.names}, layout=layout, guessed={"layout"})
    plan.notes = [f"The rows are those of {layout.name}.", *([layout.note] if layout.note else [])]
    return plan


def _take_told(plan: Plan, model: type[BaseModel], table: Table, wishes: Wishes) -> None:
    for name, column in wishes.fields.items():
        if name not in model.model_fields:
            known = ", ".join(model.model_fields)
            hint = f"{did_you_mean(name, model.model_fields)}The fields are {known}; other columns become attributes."
            raise InvalidInput(f"{name[:80]!r} is no field.", hint)
        if column not in table.names:
            hint = f"{did_you_mean(column, table.names)}It has {', '.join(each[:40] for each in table.names[:20])}."
            raise InvalidInput(f"{table.path} has no column {column[:80]!r}.", hint)
        plan.fields[name] = column
    if wishes.action:
        plan.constants["action"] = wishes.action
    if wishes.no_time:
        plan.timeless = True
        written = datetime.fromtimestamp(int(table.path.stat().st_mtime), UTC)
        plan.constants["timestamp"] = written
        plan.notes.append(
            f"No times: every event gets {written:%Y-%m-%d %H:%M:%S} UTC, when the file was written. What is popular"
            " now, what a user liked last and an evaluation by time cannot be told; the same row twice counts once."
        )


def _guess(
    plan: Plan, model: type[BaseModel], table: Table, sample: Sequence[dict[str, Any]], actions: Collection[str]
) -> None:
    taken = set(plan.fields.values())
    for name, columns in columns_for(model, table.names, taken).items():
        if name in plan.fields or name in plan.constants:
            continue
        fitting = [column for column in columns if column not in taken and _fits(name, column, sample)]
        if not fitting:
            continue
        plan.fields[name] = fitting[0]
        taken.add(fitting[0])
        if fitting[0] != name:
            plan.guessed.add(name)
        if name in REQUIRED[model] and len(fitting) > 1:
            plan.notes.append(f"{name} could also be {', '.join(fitting[1:])}; `--map {name}=COLUMN` says which.")
    if model is not Event or "action" in plan.fields or "action" in plan.constants:
        return
    value = plain(plan.fields.get("value", ""))
    action = "rate" if value in RATINGS else "play" if value in PLAYS else ""
    if action and (not actions or action in actions):
        plan.constants["action"] = action
        plan.guessed.add("action")


def _fits(name: str, column: str, sample: Sequence[dict[str, Any]]) -> bool:
    """Whether a column's values can be those of a field."""
    values = [row[column] for row in sample if row.get(column) not in (None, "")]
    values = [value for value in values if without_null_words(value) is not None]
    if name in _TIMES:
        return moments.is_column_of_times(values)
    if name == "value":
        convert = number_converter(values)
        return bool(values) and all(_float(convert(value)) is not None for value in values)
    if name == "action":
        words = {str(value) for value in values}
        return 0 < len(words) <= _MOST_ACTIONS and not all(_float(word) is not None for word in words)
    if name in _IDS:
        return not any(isinstance(value, dict | list) for value in values)
    if name in ("is_active", "deleted"):
        return all(str(value).lower() in ("0", "1", "true", "false", "yes", "no") for value in values)
    return True


def _missing(model: type[BaseModel], table: Table, plan: Plan, missing: Sequence[str]) -> InvalidInput:
    has = ", ".join(each[:40] for each in table.names[:12]) + (", ..." if len(table.names) > 12 else "")
    ways = [f"`--map {name}=COLUMN`" for name in missing if name not in ("action", "timestamp")]
    if "action" in missing:
        ways.append("`--map action=COLUMN`, or `--action view` where every row is the same action")
    if "timestamp" in missing:
        ways.append("`--map timestamp=COLUMN`, or `--no-time` where there is none")
    read = ", ".join(f"{name} from {column}" for name, column in plan.fields.items() if name in REQUIRED[model])
    what = f"{table.path} has no column {', '.join(missing)}; it has: {has}."
    return InvalidInput(what, f"Say where it is: {'; '.join(ways)}." + (f" Taken so far: {read}." if read else ""))


def _set_converters(plan: Plan, table: Table, sample: Sequence[dict[str, Any]], wishes: Wishes, renaming: bool) -> None:
    for name, column in plan.fields.items():
        values = [row[column] for row in sample if row.get(column) not in (None, "")]
        if name in _IDS:
            plan.converters[name] = id_converter(values)
        elif name in _TIMES:
            if (convert := _time_converter(plan, table, name, column, values, wishes)) is not None:
                plan.converters[name] = convert
        elif name == "attributes":
            plan.converters[name] = object_of
        elif not renaming:
            continue
        elif name == "value":
            plan.converters[name] = number_converter(values)
        elif name in _LABELS:
            plan.converters[name] = labels_converter(values)
        elif name == "image_url":
            plan.converters[name] = link_of
        elif name in _TEXTS:
            plan.converters[name] = text_of
    if renaming and table.dialect is not None:
        _set_decimal_commas(plan, table, sample)


def _set_decimal_commas(plan: Plan, table: Table, sample: Sequence[dict[str, Any]]) -> None:
    """Attributes that a table writes with decimal commas become texts of numbers, as those of other tables are."""
    for column in set(table.names) - set(plan.fields.values()) - {""}:
        values = [row[column] for row in sample if isinstance(row.get(column), str)]
        if column not in plan.converters and has_decimal_commas(values):
            plan.converters[column] = number_converter(values)


def _time_converter(
    plan: Plan, table: Table, name: str, column: str, values: Sequence[Any], wishes: Wishes
) -> Convert | None:
    """How to read a column of times whose cells do not say it one by one; None where they do."""
    if name == "published_at" and values and all(moments.is_year(value) for value in values):
        if any(moments.from_year(value) is None for value in values):
            plan.notes.append(f"{column} holds years before 1, which no calendar has: these items get no {name}.")
        return moments.from_year
    if values and all(moments.is_compact(value) for value in values):
        return moments.from_compact
    if not moments.needs_order(values):
        return None
    order = wishes.order or moments.order_of(values)
    if order is None:  # the rows that were looked at leave it open
        order = moments.order_of(row.get(column) for _, row in table.rows() if isinstance(row, dict))
    if order is None:
        raise InvalidInput(
            f"{table.path}: {str(values[0])[:40]!r} in the column {column} may be day and month, or month and day, and"
            " no other row tells.",
            "Say it with `--date-order dmy` or `--date-order mdy`.",
        )
    plan.notes.append(f"{column}: {'the day' if order == 'dmy' else 'the month'} comes first in dates.")
    return moments.numbered(order)
