"""How a file's columns become the fields of items or events: as documented, as told, as guessed.

It is long because each rule for a column is a few lines, and they are tried in one order.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
    has_grouped_thousands,
    id_converter,
    labels_converter,
    link_of,
    number_converter,
    object_of,
    text_of,
    without_null_words,
)
from lemo.files.guesses import ORDERED, ORDERS, PLAYS, RATINGS, ActionWords, columns_for, plain
from lemo.files.layouts import Layout, layout_of
from lemo.files.nested import column_of_rows, entries, inner_columns, spread, value_at
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
        for each in found if self.words is not None else ():
            each["action"] = self.words.of(each["action"])  # type: ignore[union-attr]
        if self.timeless:
            for each in found:
                each.update(self.constants)
                self._name_timeless(each)
        return found

    def _name_timeless(self, row: dict[str, Any]) -> None:
        value = row.get("value")
        names = [str(row.get(name, "")) for name in ("user_id", "item_id", "action")]
        # Not of the moment, which is the file's: a copy of the file has another one, and the same events.
        row["event_id"] = derived_event_id(names[0], names[1], names[2], 0, _float(value), "", None)


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
    if wishes.guess and not wishes.fields and not wishes.action:
        plan = _of_layout(model, table, sample, wishes, actions)
        if plan is not None:
            return plan
    try:
        return _of_columns(model, table, sample, wishes, actions)
    except InvalidInput as error:
        column = column_of_rows(sample) if wishes.guess and table.named_by_row else ""
        if not column:
            raise
        rows = [each for row in sample for each in entries(row, column)]
        names = tuple(dict.fromkeys(name for row in rows for name in row))
        try:
            plan = _of_columns(model, replace(table, names=names), rows, wishes, actions)
        except InvalidInput:
            raise error from None
        plan.listed = column
        plan.guessed.add("rows")
        plan.notes.append(f"Each entry of the lists in {column} is a row.")
        return plan


def _of_columns(
    model: type[BaseModel], table: Table, sample: Sequence[dict[str, Any]], wishes: Wishes, actions: Collection[str]
) -> Plan:
    plan = Plan()
    required = [name for name in REQUIRED[model] if not _is_constant(name, wishes)]
    as_named = all(name == column for name, column in wishes.fields.items())
    documented = as_named and all(name in table.names for name in required)
    documented = documented and not (table.dialect and table.dialect.typed)
    inner = inner_columns(sample) if table.named_by_row else []
    _take_told(plan, model, table, wishes, inner)
    if documented or not wishes.guess or (wishes.kept and wishes.fields):
        free = [name for name in table.names if name not in plan.fields.values()]
        known = [name for name in model.model_fields if name in free and name not in plan.constants]
        plan.fields = {name: name for name in known} | plan.fields
    else:
        _guess(plan, model, table, sample, wishes, actions, inner)
    if table.dialect is not None:
        check_columns(table.path, table.names, ())
    missing = [name for name in required if name not in plan.fields and name not in plan.constants]
    if missing:
        raise _missing(model, table, plan, missing, sample, inner)
    _set_converters(plan, table, sample, wishes, renaming=not documented)
    if model is Event and (column := plan.fields.get("action")):
        _set_words(plan, [_cell(row, column) for row in sample], wishes, actions)
    return plan


def _set_words(plan: Plan, found: Sequence[Any], wishes: Wishes, actions: Collection[str]) -> None:
    """Lets the scenario's words stand for those of the file that it does not know."""
    told = {word: action for word, action in wishes.words.items() if actions and action not in actions}
    if told:
        word, action = next(iter(told.items()))
        raise InvalidInput(
            f"{action[:80]!r}, which {word[:80]!r} shall be, is not an action of this scenario.",
            f"{did_you_mean(action, actions)}It knows {', '.join(actions)}.",
        )
    guessed = actions if wishes.guess else ()
    if not guessed and not wishes.words:
        return
    plan.words = ActionWords(guessed, wishes.words)
    seen = {str(word) for word in found if isinstance(word, str | int | float)}
    plan.actions = {word: action for word in sorted(seen) if (action := plan.words.of(word)) != word}
    if any(word not in wishes.words for word in plan.actions):
        plan.guessed.add("action")


def _cell(row: dict[str, Any], column: str) -> Any:
    return row[column] if column in row else value_at(row, column) if "." in column else None


def _is_constant(name: str, wishes: Wishes) -> bool:
    return (name == "action" and bool(wishes.action)) or (name == "timestamp" and wishes.no_time)


def _of_layout(
    model: type[BaseModel], table: Table, sample: Sequence[dict[str, Any]], wishes: Wishes, actions: Collection[str]
) -> Plan | None:
    if table.dialect is None or table.dialect.header:
        return None
    rows = [[str(row.get(name, "")) for name in table.names] for row in sample]
    layout = layout_of(model, table.dialect.delimiter, rows)
    if layout is None or (wishes.no_time and not layout.timeless):
        return None
    if layout.timeless and not wishes.no_time:
        raise InvalidInput(
            f"{table.path} holds the rows of {layout.name}, which have no time.",
            "Import it with `--no-time`, which says what that costs; `--dry-run` shows the rows.",
        )
    plan = Plan(fields={name: name for name in table.names}, layout=layout, guessed={"layout"})
    plan.notes = [f"The rows are those of {layout.name}.", *([layout.note] if layout.note else [])]
    if model is Event and actions:
        plan.words = ActionWords(actions, wishes.words)
    if wishes.no_time:
        _leave_time_out(plan, table)
    return plan


def _leave_time_out(plan: Plan, table: Table) -> None:
    plan.timeless = True
    written = datetime.fromtimestamp(int(table.path.stat().st_mtime), UTC)
    plan.constants["timestamp"] = written
    plan.notes.append(
        f"No times: every event gets {written:%Y-%m-%d %H:%M:%S} UTC, when the file was written. What is popular"
        " now, what a user liked last and an evaluation by time cannot be told; the same row twice counts once."
    )


def _take_told(plan: Plan, model: type[BaseModel], table: Table, wishes: Wishes, inner: Sequence[str]) -> None:
    for name, column in wishes.fields.items():
        if name not in model.model_fields:
            known = ", ".join(model.model_fields)
            hint = f"{did_you_mean(name, model.model_fields)}The fields are {known}; other columns become attributes."
            raise InvalidInput(f"{name[:80]!r} is no field.", hint)
        if column not in table.names and column not in inner and not (table.named_by_row and "." in column):
            if wishes.kept and name not in REQUIRED[model]:
                plan.notes.append(f"There is no column {column}, so nothing has a {name}.")
                continue
            hint = f"{did_you_mean(column, table.names)}It has {', '.join(each[:40] for each in table.names[:20])}."
            raise InvalidInput(f"{table.path} has no column {column[:80]!r}.", hint)
        plan.fields[name] = column
    if wishes.action:
        plan.constants["action"] = wishes.action
    if wishes.no_time:
        _leave_time_out(plan, table)


def _guess(
    plan: Plan,
    model: type[BaseModel],
    table: Table,
    sample: Sequence[dict[str, Any]],
    wishes: Wishes,
    actions: Collection[str],
    inner: Sequence[str],
) -> None:
    taken = set(plan.fields.values())
    for name, columns in columns_for(model, [*table.names, *inner], taken).items():
        if name in plan.fields or name in plan.constants:
            continue
        fitting = [column for column in columns if column not in taken and _fits(name, column, sample, wishes.words)]
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
    if not action and any(plain(column) in ORDERS for column in table.names):
        action = next((word for word in ORDERED if word in actions), "" if actions else ORDERED[0])
    if action and (not actions or action in actions):
        plan.constants["action"] = action
        plan.guessed.add("action")


def _fits(name: str, column: str, sample: Sequence[dict[str, Any]], told: Collection[str]) -> bool:
    """Whether a column's values can be those of a field."""
    values = _values(sample, column)
    values = [value for value in values if without_null_words(value) is not None]
    if name in _TIMES:
        return moments.is_column_of_times(values)
    if name == "value":
        convert = number_converter(values)
        return bool(values) and all(_float(convert(value)) is not None for value in values)
    if name == "action":
        words = {str(value) for value in values} - set(told)
        if values and not words:
            return True
        return 0 < len(words) <= _MOST_ACTIONS and not all(_float(word) is not None for word in words)
    if name in _IDS:
        return not any(isinstance(value, dict | list) for value in values)
    if name in ("is_active", "deleted"):
        return all(str(value).lower() in ("0", "1", "true", "false", "yes", "no") for value in values)
    return True


def _values(sample: Sequence[dict[str, Any]], column: str) -> list[Any]:
    return [value for row in sample if (value := _cell(row, column)) not in (None, "")]


def _missing(
    model: type[BaseModel],
    table: Table,
    plan: Plan,
    missing: Sequence[str],
    sample: Sequence[dict[str, Any]],
    inner: Sequence[str],
) -> InvalidInput:
    names = [name[:40] for name in [*table.names, *inner]]
    if table.dialect is not None and not table.dialect.header and sample:  # numbers alone say nothing
        names = [f"{name} ({str(sample[0].get(name, ''))[:20]})" for name in names]
    has = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
    ways = [f"`--map {name}=COLUMN`" for name in missing if name not in ("action", "timestamp")]
    if "action" in missing:
        ways.append("`--map action=COLUMN`, or `--action view` where every row is the same action")
    if "timestamp" in missing:
        ways.append("`--map timestamp=COLUMN`, or `--no-time` where there is none")
    read = ", ".join(f"{name} from {column}" for name, column in plan.fields.items() if name in REQUIRED[model])
    what = f"{table.path} has no column {', '.join(missing)}; it has: {has}."
    return InvalidInput(what, f"Say where it is: {'; '.join(ways)}." + (f" Taken so far: {read}." if read else ""))


def _set_converters(plan: Plan, table: Table, sample: Sequence[dict[str, Any]], wishes: Wishes, renaming: bool) -> None:
    sequences = table.dialect.sequences if table.dialect is not None else ()
    for name, column in plan.fields.items():
        values = _values(sample, column)
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
            plan.converters[name] = labels_converter(values, " " if column in sequences else "")
        elif name == "image_url":
            plan.converters[name] = link_of
        elif name in _TEXTS:
            plan.converters[name] = text_of
    if renaming and table.dialect is not None:
        _set_decimal_commas(plan, table, sample)
    if renaming and (dates := plan.fields.get("timestamp")) and wishes.guess:
        taken = set(plan.fields.values())
        columns = [name for name in table.names if name not in taken and moments.are_clocks(_values(sample, name))]
        if len(columns) == 1 and moments.are_dates(_values(sample, dates)):
            plan.clock = columns[0]
            plan.guessed.add("timestamp")
            plan.notes.append(f"The time is the date in {dates} with the clock in {columns[0]}.")


def _set_decimal_commas(plan: Plan, table: Table, sample: Sequence[dict[str, Any]]) -> None:
    """Attributes that a table writes with decimal commas become texts of numbers, as those of other tables are."""
    for column in set(table.names) - set(plan.fields.values()) - {""}:
        values = [row[column] for row in sample if isinstance(row.get(column), str)]
        if column not in plan.converters and (has_decimal_commas(values) or has_grouped_thousands(values)):
            plan.converters[column] = number_converter(values)


def _time_converter(
    plan: Plan, table: Table, name: str, column: str, values: Sequence[Any], wishes: Wishes
) -> Convert | None:
    """How to read a column of times whose cells do not say it one by one; None where they do."""
    if name == "published_at" and values and all(moments.is_year(value) for value in values):
        if any(moments.from_year(value) is None for value in values):
            plan.notes.append(f"{column} holds years before 1, which no calendar has: these items get no {name}.")
        return moments.from_year
    dates = [value for value in values if not moments.is_plain_year(value)]
    if name == "published_at" and len(dates) < len(values) and any(_float(value) is None for value in dates):
        # Years among dates: films of which no more is known.
        others = _time_converter(plan, table, name, column, dates, wishes)
        return lambda cell: moments.from_year(cell) if moments.is_plain_year(cell) else others(cell) if others else cell
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
    plan.order = order
    plan.notes.append(f"{column}: {'the day' if order == 'dmy' else 'the month'} comes first in dates.")
    return moments.numbered(order)
