"""Columns of times: the form that a column has as a whole, where its cells do not say it one by one."""

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from lemo.domain.time import DatedMoment

Order = Literal["dmy", "mdy"]
Convert = Callable[[Any], Any]

_PARTS = re.compile(
    r"(\d{1,2})([/.\-])(\d{1,2})\2(\d{4}|(?<=[/.])\d{2}(?!\d))"
    r"(?:[ ,T]+(\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,6}))?)?\s*([AaPp]\.?[Mm]\.?)?)?$"
)
_YEAR = re.compile(r"-?\d{1,4}(\.0)?$")
_PLAIN_YEAR = re.compile(r"(1\d|20)\d\d$")
_CLOCK = re.compile(r"\d{1,2}:\d\d(:\d\d(\.\d{1,6})?)?(\s*[AaPp]\.?[Mm]\.?)?$")
_COMPACT = re.compile(r"(?:1[5-9]|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[0-2]\d[0-5]\d[0-5]\d)?$")
_MOMENT: TypeAdapter[datetime] = TypeAdapter(DatedMoment)
_MOST = 0.8
"""Part of a column's cells that make it one of times, so that a few bad ones do not hide it."""


def is_moment(value: Any) -> bool:
    """Whether a value says a moment by itself."""
    try:
        return bool(_MOMENT.validate_python(value))
    except (ValidationError, OverflowError):
        return False


def is_column_of_times(values: Sequence[Any]) -> bool:
    """Whether most values are times, in whatever form."""
    told = sum(is_moment(value) or _parts(value) is not None or is_year(value) or is_compact(value) for value in values)
    return bool(values) and told >= _MOST * len(values)


def is_year(value: Any) -> bool:
    """Whether a value is a year, as a text, a whole number or a float that a data frame made of it."""
    return (
        not isinstance(value, bool) and isinstance(value, str | int | float) and bool(_YEAR.match(str(value).strip()))
    )


def is_plain_year(value: Any) -> bool:
    """Whether a value is a year of four digits, among dates."""
    return isinstance(value, str | int) and bool(_PLAIN_YEAR.match(str(value).strip()))


def are_dates(values: Sequence[Any]) -> bool:
    """Whether all values are dates without a clock."""
    return bool(values) and all(isinstance(value, str) and ":" not in value for value in values)


def are_clocks(values: Sequence[Any]) -> bool:
    """Whether all values are clocks without a date: 14:02:03."""
    return bool(values) and all(isinstance(value, str) and _CLOCK.match(value.strip()) for value in values)


def is_compact(value: Any) -> bool:
    """Whether a value is a date without separators: 20191001, or 20191001123000."""
    return isinstance(value, str | int) and bool(_COMPACT.match(str(value).strip()))


def needs_order(values: Sequence[Any]) -> bool:
    """Whether most values write day and month as numbers before the year, as in 11/12/2019."""
    texts = [value for value in values if isinstance(value, str)]
    return bool(texts) and sum(_parts(value) is not None for value in texts) >= _MOST * len(values)


def order_of(values: Iterable[Any]) -> Order | None:
    """Whether the day or the month comes first, by the cells in which one number is above 12; None where none is."""
    days_first = months_first = 0
    for value in values:
        if (parts := _parts(value)) is not None:
            days_first += int(parts[1]) > 12
            months_first += int(parts[3]) > 12
    if days_first == months_first:
        return None
    return "dmy" if days_first > months_first else "mdy"


def numbered(order: Order) -> Convert:
    """Reads dates such as 11/12/2019 2:14:46 PM; what is none of them is handed on as it is."""

    def convert(value: Any) -> Any:
        parts = _parts(value)
        if parts is None:
            return value
        first, _, second, year, hour, minute, whole, part, half = parts.groups()
        day, month = (first, second) if order == "dmy" else (second, first)
        hours = int(hour or 0)
        if len(year) == 2:  # as POSIX reads them
            year = f"{'19' if year >= '69' else '20'}{year}"
        if half:
            if not 1 <= hours <= 12:
                return value
            hours = hours % 12 + 12 * (half[0] in "pP")
        micro = int((part or "0").ljust(6, "0"))
        try:
            return datetime(int(year), int(month), int(day), hours, int(minute or 0), int(whole or 0), micro, UTC)
        except ValueError:
            return value

    return convert


def from_year(value: Any) -> Any:
    """The first moment of a year; None for one before 1, which no calendar of ours has."""
    if not is_year(value):
        return value
    year = int(float(value))
    return datetime(year, 1, 1, tzinfo=UTC) if year > 0 else None


def from_compact(value: Any) -> Any:
    """The moment of 20191001 or 20191001123000."""
    if not is_compact(value):
        return value
    text = str(value).strip()
    try:
        return datetime.strptime(text, "%Y%m%d%H%M%S" if len(text) > 8 else "%Y%m%d").replace(tzinfo=UTC)
    except ValueError:
        return value


def _parts(value: Any) -> re.Match[str] | None:
    return _PARTS.match(value.strip()) if isinstance(value, str) else None
