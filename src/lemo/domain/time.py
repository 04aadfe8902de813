"""One meaning of time: aware datetimes in UTC, milliseconds in stores."""

import math
import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BeforeValidator
from pydantic_core import PydanticCustomError

MILLISECONDS_FROM = 100_000_000_000
"""A number from here on is Unix milliseconds (1973 read so), below it Unix seconds (year 5138 read so)."""
MICROSECONDS_FROM = MILLISECONDS_FROM * 1_000
NANOSECONDS_FROM = MICROSECONDS_FROM * 1_000
_NO_MOMENT_FROM = NANOSECONDS_FROM * 1_000
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
"""What is older is a mistake of the sender: seconds sent as milliseconds are of 1970."""
CLOCK_SKEW = timedelta(hours=1)
"""How far ahead of our clock a timestamp may be before it is refused."""
IMPLAUSIBLE = "implausible_time"
"""pydantic's word for the fault of a moment that is too far in the past or the future."""


_UNREADABLE = "is neither ISO 8601 nor Unix seconds or milliseconds"
_UTC = re.compile(r"\s*(?:UTC|GMT|Z)$", re.IGNORECASE)
_ISO_LIKE = re.compile(r"(\d{4})(?:[/.-]|年)(\d{1,2})(?:[/.-]|月)(\d{1,2})日?(?:[ T]+(\d{1,2}:\d{2}.*))?$")
"""Year first: 2019/7/1, 2019.07.01, 2019-7-1 8:05, 2019年7月1日."""
_HALF_DAY = re.compile(r"(\d{1,2})(:\d{2}(?::\d{2}(?:\.\d+)?)?)\s*([AaPp])\.?[Mm]\.?$")
_NAMED_MONTHS = (
    "%d-%b-%Y",
    "%d-%b-%Y %H:%M:%S",
    "%d %b %Y",
    "%d %B %Y",
    "%d %b %Y %H:%M:%S",
    "%b %d %Y",
    "%B %d %Y",
    "%b %d %Y %H:%M:%S",
    "%B %d %Y %H:%M:%S",
    "%d-%b-%Y %H:%M",
    "%d %b %Y %H:%M",
    "%b %d %Y %H:%M",
    "%B %d %Y %H:%M",
)


def _read(value: Any) -> Any:
    """Numbers, numeric strings and unambiguous forms of a date (naive ones taken as UTC) become aware datetimes."""
    if isinstance(value, str):
        text = value.strip()
        number = _number(text)
        value = _moment(text) if number is None else number
    if isinstance(value, bool):
        raise ValueError(_UNREADABLE)
    if isinstance(value, int | float):
        value = datetime.fromtimestamp(_seconds(value), UTC)
    if isinstance(value, datetime):
        try:
            return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
        except OverflowError:
            raise ValueError("is no moment: it lies beyond the calendar") from None
    return value


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _seconds(value: float) -> float:
    """Unix seconds of a number whose digits say the unit."""
    size = abs(value)
    if not math.isfinite(value) or size >= _NO_MOMENT_FROM:
        raise ValueError("is no moment: it must be a finite number of Unix seconds, milli-, micro- or nanoseconds")
    if size >= NANOSECONDS_FROM:
        return value / 1e9
    if size >= MICROSECONDS_FROM:
        return value / 1e6
    return value / 1_000 if size >= MILLISECONDS_FROM else value


def _moment(text: str) -> datetime:
    """A date in a form that means one thing alone: 11/12/2019 does not, as countries differ."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass
    if len(text) > 60:
        raise ValueError(_UNREADABLE)
    plain = _HALF_DAY.sub(_of_24_hours, _UTC.sub("", text))
    if found := _ISO_LIKE.match(plain):
        year, month, day, clock = found.groups()
        if clock and clock[1] == ":":
            clock = f"0{clock}"
        plain = f"{year}-{month:0>2}-{day:0>2}" + (f" {clock}" if clock else "")
    try:
        return datetime.fromisoformat(plain)
    except ValueError:
        pass
    named = " ".join(plain.replace(",", " ").split())
    for form in _NAMED_MONTHS:
        try:
            return datetime.strptime(named, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    try:
        if text[:3].isalpha():
            return parsedate_to_datetime(text)  # RFC 5322, as in "Tue, 01 Oct 2019 00:00:00 GMT"
    except (ValueError, TypeError, IndexError):
        pass
    raise ValueError(_UNREADABLE)


def _of_24_hours(clock: re.Match[str]) -> str:
    hour = int(clock[1])
    if not 1 <= hour <= 12:
        return clock[0]
    return f"{hour % 12 + 12 * (clock[3] in 'pP'):02d}{clock[2]}"


def _read_dated(value: Any) -> Any:
    """As `_read`; a number must be plausible too, as small ones are mistakes of unit and not dates long ago."""
    moment = _read(value)
    number = isinstance(value, int | float) or (isinstance(value, str) and _number(value.strip()) is not None)
    return _plausible(moment) if number else moment


def _plausible(value: datetime) -> datetime:
    if value < EARLIEST:
        raise PydanticCustomError(
            IMPLAUSIBLE, "is before 1990; timestamps are ISO 8601, or Unix seconds to nanoseconds by their digits"
        )
    return value


def _not_ahead(value: datetime) -> datetime:
    if value > datetime.now(UTC) + CLOCK_SKEW:
        raise PydanticCustomError(IMPLAUSIBLE, "is more than one hour in the future; check the sender's clock and unit")
    return value


Timestamp = Annotated[AwareDatetime, BeforeValidator(_read), AfterValidator(_plausible)]
"""A date or a Unix time (seconds to nanoseconds, by its digits), read into an aware UTC datetime; after 1990."""

DatedMoment = Annotated[AwareDatetime, BeforeValidator(_read_dated)]
"""A `Timestamp` that, where it is written as a date, may lie in any year from 1 on: a book of 1813 has one."""

PastTimestamp = Annotated[Timestamp, AfterValidator(_not_ahead)]
"""A `Timestamp` that is not in the future (one hour of clock skew is allowed)."""


def past_milliseconds(value: Any) -> int:
    """What a `PastTimestamp` makes of a value, as Unix milliseconds; raises ValueError or OverflowError."""
    moment = _read(value)
    if not isinstance(moment, datetime):
        raise ValueError("is no timestamp")
    return milliseconds(_not_ahead(_plausible(moment)))


def milliseconds(moment: datetime) -> int:
    """Unix milliseconds of an aware datetime."""
    return round(moment.timestamp() * 1000)


def from_milliseconds(value: int) -> datetime:
    """The aware UTC datetime of Unix milliseconds."""
    return datetime.fromtimestamp(value / 1000, UTC)
