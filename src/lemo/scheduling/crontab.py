"""Crontab text to Celery's schedule, in any time zone."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from difflib import get_close_matches
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from celery.schedules import ParseException, crontab

from lemo.domain.errors import InvalidInput

_EXAMPLE = (
    "Give five fields: minute hour day-of-month month day-of-week (0 is Sunday). '0 3 * * *' is 03:00 every day,"
    " '*/15 * * * *' every quarter of an hour, '30 6 * * mon-fri' 06:30 on working days."
)
_DAYS_AHEAD = 366 * 41
"""A 29th of February on a given weekday comes after 40 years at most."""
_SHIFT = timedelta(hours=3)
"""No clock is put forward or back by more."""


def crontab_of(text: str, zone: str = "UTC") -> crontab:
    """The schedule of five crontab fields in a time zone; raises InvalidInput."""
    schedule = zoned(text, zone)
    # For UTC it is Celery's own, which any RedBeat can read.
    return crontab(*schedule.fields) if zone == "UTC" else schedule


def zoned(text: str, zone: str = "UTC") -> "ZonedCrontab":
    """The schedule of five crontab fields on the wall clock of a time zone; raises InvalidInput."""
    fields = text.split()
    if len(fields) != 5:
        raise InvalidInput(f"{text[:80]!r} is no crontab: it has {len(fields)} fields.", _EXAMPLE)
    minute, hour, day, month, weekday = fields
    try:
        return ZonedCrontab(minute, hour, weekday, day, month, timezone=checked_zone(zone))
    except (ValueError, ParseException, ArithmeticError) as error:
        raise InvalidInput(f"{text[:80]!r} is no crontab: {str(error)[:200].rstrip('.')}.", _EXAMPLE) from None


def next_times(text: str, zone: str, count: int, after: datetime | None = None) -> list[datetime]:
    """The first `count` moments (UTC) of a crontab after a moment (aware; None: now); raises InvalidInput."""
    schedule = zoned(text, zone)
    moments = [after or datetime.now(UTC)]
    for _ in range(count):
        moments.append(schedule.next_after(moments[-1]))
    return moments[1:]


def checked_zone(zone: str) -> str:
    """The name, if it names a time zone; raises InvalidInput with names that look like it."""
    known = available_timezones()
    if zone in known:
        return zone
    folded = {name.lower(): name for name in known}
    cities = {name.rpartition("/")[2].lower(): name for name in sorted(known)}
    wanted = zone[:80].strip().lower().replace(" ", "_")
    near = [folded[name] for name in get_close_matches(wanted, folded, 3, 0.7)]
    near = list(dict.fromkeys([*near, *(cities[name] for name in get_close_matches(wanted, cities, 2, 0.8))]))
    hint = f"Did you mean {' or '.join(near)}?" if near else "Names are those of the IANA: Asia/Shanghai, UTC."
    raise InvalidInput(f"There is no time zone {zone[:80]!r}.", hint)


class ZonedCrontab(crontab):
    """A crontab on the wall clock of a time zone, summer time included.

    As in cron: what falls into the hour that is skipped runs right after it; what falls into the hour that comes twice
    runs once, unless its hour field starts with `*`: then it runs as often as real hours go by.
    """

    # What Celery's class makes of the fields.
    minute: set[int]
    hour: set[int]
    day_of_week: set[int]
    day_of_month: set[int]
    month_of_year: set[int]
    nowfun: Callable[[], datetime] | None

    def __init__(
        self, minute: str, hour: str, day_of_week: str, day_of_month: str, month_of_year: str, *, timezone: str
    ) -> None:
        super().__init__(minute, hour, day_of_week, day_of_month, month_of_year)
        self.fields = (minute, hour, day_of_week, day_of_month, month_of_year)
        self.timezone = timezone
        self._zone = ZoneInfo(timezone)
        self._twice = hour.startswith("*")
        self._times = [time(an_hour, a_minute) for an_hour in sorted(self.hour) for a_minute in sorted(self.minute)]

    def next_after(self, moment: datetime) -> datetime:
        """The first moment after `moment` (aware) at which it is due, in UTC."""
        moment = moment.astimezone(UTC)
        first: datetime | None = None
        until: datetime | None = None
        for wall in self._walls(moment.astimezone(self._zone).replace(tzinfo=None) - _SHIFT):
            if until is not None and wall > until:
                break
            for fold in (0, 1) if self._twice else (0,):
                due = wall.replace(tzinfo=self._zone, fold=fold).astimezone(UTC)
                if due > moment and (first is None or due < first):
                    first = due
                    # Only where the clock is put back may a later wall time come earlier.
                    until = wall + _SHIFT
        if first is None:
            raise InvalidInput("This crontab never comes due.", _EXAMPLE)
        return first

    def remaining_estimate(self, last_run_at: datetime, ffwd: Any = None) -> timedelta:  # noqa: ARG002 - Celery's
        """Time until it is due again after a run at `last_run_at`; negative where that has passed."""
        return self.next_after(self.maybe_make_aware(last_run_at)) - self.now()

    def _walls(self, start: datetime) -> Iterator[datetime]:
        """Naive local times that the fields name, from `start` on."""
        day: date = start.date()
        for _ in range(_DAYS_AHEAD):
            if (
                day.month in self.month_of_year
                and day.day in self.day_of_month
                and day.isoweekday() % 7 in self.day_of_week
            ):
                for a_time in self._times:
                    wall = datetime.combine(day, a_time)
                    if wall >= start:
                        yield wall
            day += timedelta(days=1)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ZonedCrontab) and self.timezone == other.timezone and bool(super().__eq__(other))

    def __hash__(self) -> int:
        return hash((self.fields, self.timezone))

    def __reduce__(self) -> Any:
        return partial(ZonedCrontab, timezone=self.timezone), self.fields
