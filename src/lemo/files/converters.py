"""How the cells of a file's columns are read: ids, times, numbers, lists and texts, by what the whole column holds."""

from collections.abc import Sequence
from typing import Any

from lemo.domain.errors import InvalidInput
from lemo.files import moments
from lemo.files.cells import (
    Convert,
    has_decimal_commas,
    has_grouped_thousands,
    id_converter,
    labels_converter,
    link_of,
    number_converter,
    number_or_none,
    object_of,
    text_of,
)
from lemo.files.nested import values_of
from lemo.files.plan import IDS, Plan, Wishes
from lemo.files.table import Table

TIMES = ("timestamp", "published_at", "expires_at", "updated_at")
"""The fields that are times."""
_TEXTS = ("title", "description", "author", "url")
_LABELS = ("categories", "tags")


def set_converters(plan: Plan, table: Table, sample: Sequence[dict[str, Any]], wishes: Wishes, renaming: bool) -> None:
    """Gives the plan what each column needs; with `renaming`, columns of other people, who write otherwise.

    Raises InvalidInput where day and month cannot be told apart.
    """
    sequences = table.dialect.sequences if table.dialect is not None else ()
    for name, column in plan.fields.items():
        values = values_of(sample, column)
        if name in IDS:
            plan.converters[name] = id_converter(values)
        elif name in TIMES:
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
        columns = [name for name in table.names if name not in taken and moments.are_clocks(values_of(sample, name))]
        if len(columns) == 1 and moments.are_dates(values_of(sample, dates)):
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
    if name == "published_at" and len(dates) < len(values) and any(number_or_none(value) is None for value in dates):
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
