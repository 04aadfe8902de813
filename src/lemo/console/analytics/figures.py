"""The numbers of the page, as `lemo.analytics` counts them, on a time axis without gaps."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from lemo.analytics.metrics import Values
from lemo.analytics.report import PartReport, Report, Row, groups_alone, report, report_with_course_before
from lemo.console.analytics.filters import Filters
from lemo.console.analytics.words import MEASURES
from lemo.domain.counting import counting_rules
from lemo.domain.scope import Scope
from lemo.stores.clickhouse.traffic_periods import Part
from lemo.stores.connect import Stores

_PARTS: Mapping[str, Part] = {"answers": "attributed", "events": "direct"}
_STEPS = {"hour": timedelta(hours=1), "day": timedelta(days=1)}


@dataclass(frozen=True, slots=True)
class GroupRow:
    """The numbers of what answers have in common; the key is empty where they name nothing."""

    key: str
    values: Values
    change: Values | None


@dataclass(frozen=True, slots=True)
class Trends:
    """Numbers of a period and of the one before."""

    since: datetime
    until: datetime
    labels: list[str]
    """Each hour or day of the period."""
    totals: Values
    change: Values
    series: Mapping[str, Sequence[float | None]]
    """By number, one value for each label."""
    before: Mapping[str, Sequence[float | None]]
    """The same of the period before, where it was asked for."""
    definitions: Mapping[str, str]
    goal: list[str]
    newest: datetime | None
    """The scenario's newest event."""
    unfinished: bool
    """Whether the last hour or day still goes on."""

    def course(self, name: str) -> Sequence[float | None]:
        """A number over the finished hours or days: one that has just begun would look like a fall."""
        return self.series[name][:-1] if self.unfinished and len(self.labels) > 2 else self.series[name]


def trends(stores: Stores, scope: Scope, filters: Filters, now: datetime) -> Trends:
    """The numbers of the view over time, beside the period before; raises LemoError."""
    since, until = filters.period(now, _zone(stores, scope))
    found, before = report_with_course_before(stores, scope, since, until, filters.by)
    return _trends(stores, scope, filters, found, before[_PARTS[filters.part]])


def both_trends(stores: Stores, scope: Scope, filters: Filters, now: datetime) -> tuple[Trends, Trends]:
    """The numbers of answers and those of events, by one question, without the course of the period before."""
    found = report(stores, scope, *filters.period(now, _zone(stores, scope)), filters.by)
    answers, events = filters.but(part="answers"), filters.but(part="events")
    return _trends(stores, scope, answers, found, None), _trends(stores, scope, events, found, None)


def _trends(stores: Stores, scope: Scope, filters: Filters, found: Report, before: list[Row] | None) -> Trends:
    part, zone = _part(found, filters), ZoneInfo(found.timezone)
    moments = list(_steps(found.since, found.until, filters, zone))
    newest = stores.events.newest(scope)
    return Trends(
        found.since,
        found.until,
        [_label(moment, filters) for moment in moments],
        part.totals,
        part.change,
        _series(part, part.series, moments),
        {} if before is None else _series(part, before, list(_steps(found.compared_since, found.since, filters, zone))),
        found.definitions[_PARTS[filters.part]],
        found.goal,
        datetime.fromtimestamp(newest / 1000, UTC) if newest is not None else None,
        moments[-1] + _STEPS[filters.by] > found.until,
    )


def groups(stores: Stores, scope: Scope, filters: Filters, now: datetime) -> list[GroupRow]:
    """The numbers of answers, or of events, in groups; raises LemoError."""
    found = groups_alone(stores, scope, *filters.period(now, _zone(stores, scope)), filters.group)
    return [GroupRow(str(row.key), row.values, row.change) for row in found[_PARTS[filters.part]]]


def positions(stores: Stores, scope: Scope, filters: Filters, now: datetime) -> list[GroupRow]:
    """The numbers of answers by position, from 1; raises LemoError."""
    return groups(stores, scope, filters.but(part="answers", group="position"), now)


def actions(stores: Stores, scope: Scope, filters: Filters, now: datetime) -> list[tuple[str, int]]:
    """The scenario's own actions in its order, each with its events of the period's hours; raises LemoError."""
    since, until = filters.period(now, _zone(stores, scope))
    counted: dict[str, int] = {}
    for hour in stores.aggregates.counts(
        scope, "hour", 10_000, round(since.timestamp() * 1000), round(until.timestamp() * 1000)
    ):
        for action, events in hour.actions.items():
            counted[action] = counted.get(action, 0) + events
    own = stores.scenarios.get(scope).actions
    order = [name for name in ("impression", "click") if name in counted or name in own]
    names = list(dict.fromkeys([*order, *own]))
    return [(name, counted.get(name, 0)) for name in names]


def _zone(stores: Stores, scope: Scope) -> ZoneInfo:
    return ZoneInfo(counting_rules(stores.scenarios.get(scope)).zone)


def _part(found: Report, filters: Filters) -> PartReport:
    return found if filters.part == "answers" else found.direct


def _series(part: PartReport, series: list[Row], moments: Sequence[datetime]) -> dict[str, list[float | None]]:
    """Each number at each moment: counts without a row are 0, ratios without one are unknown."""
    rows = {row.key.timestamp(): row.values for row in series if isinstance(row.key, datetime)}
    names = [name for name in part.totals if name in MEASURES]
    nothing = {name: 0 if MEASURES[name].unit == "count" else None for name in names}
    return {name: [rows.get(moment.timestamp(), nothing).get(name) for moment in moments] for name in names}


def _steps(since: datetime, until: datetime, filters: Filters, zone: ZoneInfo) -> Iterator[datetime]:
    at = since.astimezone(zone).replace(minute=0, second=0, microsecond=0)
    at = at if filters.by == "hour" else at.replace(hour=0)
    while at < until:
        yield at
        # Of hours by the clock of the world; of days by that of the zone, where one may have 23 or 25 hours.
        at = (at.astimezone(UTC) + _STEPS["hour"]).astimezone(zone) if filters.by == "hour" else at + _STEPS["day"]


def _label(moment: datetime, filters: Filters) -> str:
    return f"{moment:%m-%d %H:00}" if filters.by == "hour" else f"{moment:%m-%d}"
