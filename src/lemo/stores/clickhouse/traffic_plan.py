"""How a period is read: which of its days are counted, and what is read from the raw rows."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from lemo.domain.counting import CountingRules
from lemo.domain.time import milliseconds
from lemo.stores.clickhouse.traffic_outcomes import Kept
from lemo.stores.clickhouse.traffic_periods import AHEAD_MS, HOUR_MS, Part, Period

MOST_STRETCHES = 30
"""Of more stretches of time, with gaps between them, all is read from the first to the last."""


MOST_MARKED = 500
"""Where more hours are marked, nothing that is kept beside the days is used."""
Slice = tuple[date, int]
"""What of an hour (its first Unix second) lies in a day."""


class Days(NamedTuple):
    """How a period is read: these days and hours as they were counted, and these stretches from the raw rows."""

    counted: list[date]
    raw: list[Period]
    hours: Sequence[Slice] = ()
    kept: Kept | None = None
    """The outcomes that need not be computed anew for these stretches."""


@dataclass(frozen=True, slots=True)
class State:
    """Which days of a scope are counted."""

    zone: ZoneInfo
    uncounted: bool
    """Whether nothing is."""
    rules: int
    marked: Collection[int]
    """Hours (Unix seconds) of which events or answers may have come or gone."""
    hours: Collection[int]
    """Hours of events that are counted, of days that are just being counted anew."""
    changing: Mapping[Part, set[date]]
    """Days that are just being counted anew."""
    spans: Mapping[Part, Mapping[date, tuple[int, int] | None]]
    """Of each counted day when (Unix ms) its first and its last row are from, both 0 without rows; None where it was
    counted by other rules. Days that were never counted are absent."""
    has_rows: Callable[[Part, Period], bool]
    """Whether a part has raw rows in a period."""

    def plan(self, part: Part, period: Period) -> Days:
        """How a period is read."""
        if self.uncounted:
            return Days([], [period])
        counted: list[date] = []
        raw: list[Period] = []
        absent: list[Period] = []
        hours: list[Slice] = []
        holding: list[Period] = []
        first, last = (number_of(day_of(moment, self.zone)) for moment in (period.since_ms, period.until_ms - 1))
        for day in map(day_numbered, range(first, last + 1)):
            stretch = stretch_of(day, self.zone)
            asked = Period(max(stretch.since_ms, period.since_ms), min(stretch.until_ms, period.until_ms))
            span = self.spans.get(part, {}).get(day, (0, 0))
            if span is not None and day in self.spans.get(part, {}):
                holding.append(stretch)
            if day in self.changing[part] or span is None:
                if part == "direct" and holding and holding[-1] == stretch:
                    mine, rest = self._by_hours(day, stretch, asked)
                    hours += mine
                    raw += rest
                else:
                    raw.append(asked)
            elif day not in self.spans.get(part, {}):
                absent.append(asked)
            elif span[1] and (asked == stretch or (asked.since_ms <= span[0] and span[1] < asked.until_ms)):
                counted.append(day)
            elif span[1]:
                raw.append(asked)
        # Most often it is the time before there was anything.
        if absent and self.has_rows(part, Period(absent[0].since_ms, absent[-1].until_ms)):
            raw = sorted([*raw, *absent])
        raw = joined(raw)
        kept = Kept(joined(holding), self.rules, self.marked) if len(self.marked) <= MOST_MARKED else None
        return Days(counted, raw, hours, kept) if len(raw) <= MOST_STRETCHES else Days([], [period], kept=kept)

    def _by_hours(self, day: date, stretch: Period, asked: Period) -> tuple[list[Slice], list[Period]]:
        """How what is asked of a day is read: its hours that are counted, and the rest from the raw rows."""
        counted: list[Slice] = []
        raw: list[Period] = []
        for begin in range(asked.since_ms // HOUR_MS * HOUR_MS, asked.until_ms, HOUR_MS):
            # In zones of half hours an hour may lie in two days.
            whole = Period(max(begin, stretch.since_ms), min(begin + HOUR_MS, stretch.until_ms))
            wanted = Period(max(whole.since_ms, asked.since_ms), min(whole.until_ms, asked.until_ms))
            if wanted == whole and begin // 1000 in self.hours:
                counted.append((day, begin // 1000))
            else:
                raw.append(wanted)
        return counted, raw


def days_touched(part: Part, hours: Iterable[int], rules: CountingRules) -> set[date]:
    """The days with rows whose numbers depend on what happened in these hours."""
    zone = ZoneInfo(rules.zone)
    days: set[date] = set()
    for hour in hours:
        first, last = hour * 1000, (hour * 1000) + HOUR_MS - 1
        if part == "attributed":
            first, last = first - rules.window_hours * HOUR_MS, last + AHEAD_MS
        numbers = range(number_of(day_of(max(0, first), zone)), number_of(day_of(last, zone)) + 1)
        days.update(map(day_numbered, numbers))
    return days


def stretches_of(days: Sequence[date], zone: ZoneInfo) -> list[Period]:
    """The time of some days, which are in order, in as few stretches as there are."""
    return joined([stretch_of(day, zone) for day in days])


def joined(stretches: Sequence[Period]) -> list[Period]:
    """Stretches of time, which are in order, where they touch as one."""
    found: list[Period] = []
    for stretch in stretches:
        if found and found[-1].until_ms == stretch.since_ms:
            found[-1] = Period(found[-1].since_ms, stretch.until_ms)
        else:
            found.append(stretch)
    return found


def stretch_of(day: date, zone: ZoneInfo) -> Period:
    """When a day begins and ends."""
    begin, end = (datetime.combine(each, time(), zone) for each in (day, day + timedelta(days=1)))
    return Period(milliseconds(begin), milliseconds(end))


def day_of(moment_ms: int, zone: ZoneInfo) -> date:
    """The day that a moment (Unix ms) lies in."""
    return datetime.fromtimestamp(moment_ms / 1000, UTC).astimezone(zone).date()


def number_of(day: date) -> int:
    """How many days after 1 January 1970 a day is."""
    return (day - date(1970, 1, 1)).days


def day_numbered(number: int) -> date:
    """The day that is so many days after 1 January 1970."""
    return date(1970, 1, 1) + timedelta(days=number)
