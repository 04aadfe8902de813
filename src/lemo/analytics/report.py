"""The report of a scenario: each number of a period, in groups, and its change against the period before."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BaseModel

from lemo.analytics.metrics import ATTRIBUTED, DIRECT, Metric, Values, change, counts, definitions, goal_of, values
from lemo.domain.errors import InvalidInput
from lemo.domain.reasons import shortened
from lemo.domain.scope import Scope
from lemo.domain.time import from_milliseconds, milliseconds
from lemo.stores.clickhouse.traffic import Counted, Grouping, Numbers, Period, TimeGrouping
from lemo.stores.connect import Stores

DEFAULT_DAYS = 7
MOST_DAYS = {"hour": 100, "day": 3_700}
"""Longest period of each time grouping, in days, so that no answer has more than a few thousand rows."""

LATEST = datetime(2200, 1, 1, tzinfo=UTC)
"""Latest end of a period; the engine's times end a little later."""


class Row(BaseModel):
    """Numbers by name, and the change of each: as a share of the number before, null where that was null or 0."""

    group: datetime | str | None = None
    """Begin of the hour or day; else what the answers have in common, empty where they name nothing."""
    values: Values
    change: Values | None
    """Against the same group in the period before, of hours and days against the hour or day before; null where that
    had none of it."""


class Part(BaseModel):
    """Numbers that are counted in one way."""

    totals: Row
    groups: list[Row]
    definitions: dict[str, str]
    """What each number means."""


class Report(BaseModel):
    """Numbers of the answers and what followed from them, and, apart from these, of all events."""

    since: datetime
    until: datetime
    compared_since: datetime
    """Where the period before begins; it ends at `since`."""
    timezone: str
    by: Grouping | None
    goal: list[str]
    """The actions that count as a conversion."""
    attributed: Part
    """Of the answers of the period, and of the events before its end that carry their request ids."""
    direct: Part
    """Of all events that happened in the period; in groups by hour and day only, as events know no other."""


def report(
    stores: Stores,
    scope: Scope,
    since: datetime | None = None,
    until: datetime | None = None,
    by: Grouping | None = None,
    timezone: str = "UTC",
) -> Report:
    """Numbers of [since, until): by default from the start of the day, in the zone, a week before `until`, to now.

    Raises InvalidInput, NotFound for an unknown scenario, and EngineUnavailable.
    """
    zone = _zone(timezone)
    end = until or datetime.now(UTC)
    if end > LATEST:
        raise InvalidInput(f"The period ends after {LATEST.year}.", "Leave `until` out for numbers up to now.")
    begin = since or _floor(end - timedelta(days=DEFAULT_DAYS), "day", zone)
    _check(begin, end, by)
    goal = goal_of(stores.scenarios.get(scope))
    catalogue = stores.items.count(scope)
    traffic = stores.traffic

    def attributed(period: Period, by: Grouping | None) -> Numbers:
        columns = [each.sql for each in counts(ATTRIBUTED)]
        return traffic.attributed(scope, period, columns, goal, by, timezone, catalogue=catalogue)

    def direct(period: Period, by: Grouping | None) -> Numbers:
        return traffic.direct(scope, period, [each.sql for each in counts(DIRECT)], goal, _time(by), timezone)

    period = Period(milliseconds(begin), milliseconds(end))
    return Report(
        since=begin,
        until=end,
        compared_since=from_milliseconds(period.before.since_ms),
        timezone=timezone,
        by=by,
        goal=list(goal),
        attributed=_part(ATTRIBUTED, attributed, period, by, zone),
        direct=_part(DIRECT, direct, period, _time(by), zone),
    )


def _part(
    metrics: Sequence[Metric],
    count: Callable[[Period, Grouping | None], Numbers],
    period: Period,
    by: Grouping | None,
    zone: ZoneInfo,
) -> Part:
    now, then = (next(iter(count(each, None).values())) for each in (period, period.before))
    if by is None:
        groups = []
    elif (by_time := _time(by)) is not None:
        groups = _series(metrics, count(period, by), by_time, zone)
    else:
        before = count(period.before, by)
        groups = [_row(metrics, str(key), counted, before.get(key)) for key, counted in count(period, by).items()]
    return Part(totals=_row(metrics, None, now, then), groups=groups, definitions=definitions(metrics))


def _series(metrics: Sequence[Metric], found: Numbers, by: TimeGrouping, zone: ZoneInfo) -> list[Row]:
    rows = []
    for second, counted in found.items():
        start = datetime.fromtimestamp(int(second), zone)
        last = _floor(start.astimezone(UTC) - timedelta(seconds=1), by, zone)
        rows.append(_row(metrics, start, counted, found.get(round(last.timestamp()))))
    return rows


def _row(metrics: Sequence[Metric], group: datetime | str | None, counted: Counted, before: Counted | None) -> Row:
    found = values(metrics, counted)
    return Row(group=group, values=found, change=None if before is None else change(found, values(metrics, before)))


def _time(by: Grouping | None) -> TimeGrouping | None:
    return by if by == "hour" or by == "day" else None


def _floor(moment: datetime, by: TimeGrouping, zone: ZoneInfo) -> datetime:
    """Where the hour or day of a zone begins that a moment lies in."""
    local = moment.astimezone(zone)
    begun = local.replace(minute=0, second=0, microsecond=0)
    return begun if by == "hour" else begun.replace(hour=0, fold=0)


def _zone(name: str) -> ZoneInfo:
    # Only names of the list: others that Python reads, such as files of the machine, mean nothing to the engine.
    if name not in _zones():
        raise InvalidInput(
            f"{shortened(name)} is no time zone.", "Name one as the IANA does, such as UTC or Asia/Shanghai."
        )
    return ZoneInfo(name)


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones() - {"Factory", "localtime"})


def _check(since: datetime, until: datetime, by: Grouping | None) -> None:
    if since >= until:
        raise InvalidInput(
            f"The period begins at {since.isoformat()} and ends at {until.isoformat()}.",
            "`since` must be before `until`.",
        )
    most = MOST_DAYS["hour" if by == "hour" else "day"]
    if until - since > timedelta(days=most):
        raise InvalidInput(
            f"The period is longer than {most:,} days.", "Ask for a shorter one, or by day instead of by hour."
        )
