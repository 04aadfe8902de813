"""How a file's columns become the fields of items or events: as documented, as told, as guessed."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel

from lemo.domain.errors import InvalidInput
from lemo.domain.event import Event
from lemo.domain.reasons import did_you_mean
from lemo.files import moments
from lemo.files.cells import number_converter, number_or_none, without_null_words
from lemo.files.converters import TIMES, set_converters
from lemo.files.guesses import ORDERED, ORDERS, PLAYS, RATINGS, ActionWords, columns_for, plain
from lemo.files.layouts import layout_of
from lemo.files.nested import cell_of, column_of_rows, entries, inner_columns, values_of
from lemo.files.plan import IDS, NOTHING_SAID, REQUIRED, Plan, Wishes
from lemo.files.rows import check_columns
from lemo.files.table import Table

_MOST_ACTIONS = 100
"""Different words of a column that may still be actions."""


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
    set_converters(plan, table, sample, wishes, renaming=not documented)
    if model is Event and (column := plan.fields.get("action")):
        _set_words(plan, [cell_of(row, column) for row in sample], wishes, actions)
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
        # A column with the very name of a field that is needed is that field: cells that do not fit cost their rows.
        named = name if name in REQUIRED[model] else None
        fitting = [
            column
            for column in columns
            if column not in taken and (column == named or _fits(name, column, sample, wishes.words))
        ]
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
    values = values_of(sample, column)
    values = [value for value in values if without_null_words(value) is not None]
    if name in TIMES:
        return moments.is_column_of_times(values)
    if name == "value":
        convert = number_converter(values)
        return bool(values) and all(number_or_none(convert(value)) is not None for value in values)
    if name == "action":
        words = {str(value) for value in values} - set(told)
        if values and not words:
            return True
        return 0 < len(words) <= _MOST_ACTIONS and not all(number_or_none(word) is not None for word in words)
    if name in IDS:
        return not any(isinstance(value, dict | list) for value in values)
    if name in ("is_active", "deleted"):
        return all(str(value).lower() in ("0", "1", "true", "false", "yes", "no") for value in values)
    return True


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
