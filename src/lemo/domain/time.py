"""One meaning of time: aware datetimes in UTC, milliseconds in stores."""

import math
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BeforeValidator
from pydantic_core import PydanticCustomError

MILLISECONDS_FROM = 100_000_000_000
"""A number from here on is Unix milliseconds (1973 read so), below it Unix seconds (year 5138 read so)."""
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
"""What is older is a mistake of the sender: seconds sent as milliseconds are of 1970."""
CLOCK_SKEW = timedelta(hours=1)
"""How far ahead of our clock a timestamp may be before it is refused."""
IMPLAUSIBLE = "implausible_time"
"""pydantic's word for the fault of a moment that is too far in the past or the future."""


def _read(value: Any) -> Any:
    """Numbers, numeric strings and naive ISO 8601 (taken as UTC) become aware datetimes."""
    if isinstance(value, str):
        text = value.strip()
        try:
            value = float(text)
        except ValueError:
            try:
                value = datetime.fromisoformat(text)
            except ValueError:
                raise ValueError("is neither ISO 8601 nor Unix seconds or milliseconds") from None
    if isinstance(value, bool):
        raise ValueError("is neither ISO 8601 nor Unix seconds or milliseconds")
    if isinstance(value, int | float):
        if not math.isfinite(value) or abs(value) > 1e14:
            raise ValueError("is no moment: it must be a finite number of Unix seconds or milliseconds")
        value = datetime.fromtimestamp(value / 1000 if abs(value) >= MILLISECONDS_FROM else value, UTC)
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
    return value


def _plausible(value: datetime) -> datetime:
    if value < EARLIEST:
        raise PydanticCustomError(
            IMPLAUSIBLE, "is before 1990; timestamps are ISO 8601, Unix seconds or Unix milliseconds"
        )
    return value


def _not_ahead(value: datetime) -> datetime:
    if value > datetime.now(UTC) + CLOCK_SKEW:
        raise PydanticCustomError(IMPLAUSIBLE, "is more than one hour in the future; check the sender's clock and unit")
    return value


Timestamp = Annotated[AwareDatetime, BeforeValidator(_read), AfterValidator(_plausible)]
"""ISO 8601, Unix seconds or milliseconds, read into an aware UTC datetime; after 1990."""

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
