"""The report of a scenario: each number of a period, over time, in groups, and its change against the period before."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field

from lemo.analytics.categories import by_category
from lemo.analytics.metrics import Values, change, definitions, values
from lemo.domain.counting import CountingRules, counting_rules
from lemo.domain.errors import InvalidInput
from lemo.domain.scope import Scope
from lemo.domain.time import from_milliseconds, milliseconds
from lemo.domain.zone import checked_zone
from lemo.stores.clickhouse.traffic import Asked, Counted, Numbers, Time
from lemo.stores.clickhouse.traffic_metrics import ATTRIBUTED, DIRECT, Metric, place_of
from lemo.stores.clickhouse.traffic_periods import Part, Period
from lemo.stores.connect import Stores
from lemo.threads import run_in_thread

Group = Literal["placement", "position", "category", "device", "source", "kind", "model", "pipeline", "arm"]
DEFAULT_DAYS = 7
MOST_DAYS = {"hour": 100, "day": 3_700}
"""Longest period of each time grouping, in days, so that no answer has more than a few thousand rows."""
LATEST = datetime(2149, 1, 1, tzinfo=UTC)
"""Latest end of a period; the engine's days end a little later."""
_METRICS: Mapping[Part, tuple[Metric, ...]] = {"attributed": ATTRIBUTED, "direct": DIRECT}


class Row(BaseModel):
    """Numbers of an hour, a day or a group, and the change of each: a share of the number before, null if null or 0."""

    key: datetime | str
    """Begin of the hour or day; else what the group has in common, empty where answers or events name nothing."""
    values: Values
    change: Values | None
    """Against the hour or day before, or the same group in the period before; null where that had none of it."""


class PartReport(BaseModel):
    """Numbers that are counted in one way."""

    totals: Values
    change: Values
    """Of the totals, against the period before."""
    series: list[Row]
    groups: list[Row]


class Report(PartReport):
    """Numbers of the answers and what followed from them and, in `direct`, of all events."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    since: datetime = Field(alias="from")
    until: datetime = Field(alias="to")
    compared_since: datetime = Field(alias="compared_from")
    """Where the period before begins; it ends where this one begins."""
    timezone: str
    by: Time
    group: Group | None
    goal: list[str]
    """The actions that count as a conversion."""
    attribution_hours: int
    """For how long an event follows from an answer."""
    direct: PartReport
    """Of all events that happened in the period; in groups by device and category only, as events know no other."""
    definitions: dict[Part, dict[str, str]]
    """What each number means."""


def report(
    stores: Stores,
    scope: Scope,
    since: datetime | None = None,
    until: datetime | None = None,
    by: Time = "day",
    group: Group | None = None,
    timezone: str | None = None,
) -> Report:
    """Numbers of [since, until): by default from the start of the day, in the zone, a week before `until`, to now.

    The zone is the scenario's unless another one is given, which takes longer. Raises InvalidInput, NotFound for an
    unknown scenario, and EngineUnavailable.
    """
    asked = _asked(stores, scope, since, until, by, timezone)
    return _reported(asked, _Parts(stores, scope, asked, by, group), by, group)


def report_with_course_before(
    stores: Stores, scope: Scope, since: datetime, until: datetime, by: Time
) -> tuple[Report, dict[Part, list[Row]]]:
    """The report without groups, and the series of the period before. Raises as `report` does."""
    asked = _asked(stores, scope, since, until, by, None)
    parts = _Parts(stores, scope, asked, by, None)
    return _reported(asked, parts, by, None), {part: parts.course_before(part) for part in _METRICS}


def groups_alone(stores: Stores, scope: Scope, since: datetime, until: datetime, group: Group) -> dict[Part, list[Row]]:
    """The groups of a report, without what takes the most of its time. Raises as `report` does."""
    parts = _Parts(stores, scope, _asked(stores, scope, since, until, "day", None), None, group)
    return {part: parts.groups(part) for part in _METRICS}


class _Asked(NamedTuple):
    """What a report is asked for."""

    begin: datetime
    end: datetime
    rules: CountingRules
    zone: ZoneInfo

    @property
    def period(self) -> Period:
        return Period(milliseconds(self.begin), milliseconds(self.end))


def _asked(
    stores: Stores, scope: Scope, since: datetime | None, until: datetime | None, by: Time, timezone: str | None
) -> _Asked:
    rules = counting_rules(stores.scenarios.get(scope))
    zone = ZoneInfo(_zone(timezone) if timezone is not None else rules.zone)
    end = until or datetime.now(UTC)
    if end > LATEST:
        raise InvalidInput(f"The period ends after {LATEST.year}.", "Leave the end out for numbers up to now.")
    begin = since or _floor(end - timedelta(days=DEFAULT_DAYS), "day", zone)
    _check(begin, end, by)
    return _Asked(begin, end, rules, zone)


def _reported(asked: _Asked, parts: "_Parts", by: Time, group: Group | None) -> Report:
    return Report(
        since=asked.begin,
        until=asked.end,
        compared_since=from_milliseconds(asked.period.before.since_ms),
        timezone=asked.zone.key,
        by=by,
        group=group,
        goal=list(asked.rules.goal),
        attribution_hours=asked.rules.window_hours,
        **dict(parts.part("attributed")),
        direct=parts.part("direct"),
        definitions={part: definitions(metrics) for part, metrics in _METRICS.items()},
    )


class _Parts:
    """Asks for the numbers of a report, without `by` for those of groups alone, and puts its parts together."""

    def __init__(self, stores: Stores, scope: Scope, asked: _Asked, by: Time | None, group: Group | None) -> None:
        self._by, self._group, self._zone = by, group, asked.zone
        self._catalogue = stores.items.count(scope)
        traffic, rules, zone = stores.traffic, asked.rules, asked.zone.key
        plans = traffic.plans(scope, asked.period, rules, zone)
        # The engine plans each question on one core, so they are asked at the same time.
        novelty = run_in_thread(lambda: traffic.novelty(plans, scope, rules, zone), "novelty") if by else None
        if group == "category":
            items = run_in_thread(lambda: traffic.items(plans, scope, rules, zone), "items")
            self._numbers = traffic.numbers(plans, scope, rules, by, None, zone)
            groups = by_category(stores, scope, items.result())
            self._numbers = {asked: numbers._replace(groups=groups[asked]) for asked, numbers in self._numbers.items()}
        else:
            self._numbers = traffic.numbers(plans, scope, rules, by, group, zone)
        self._novelty = novelty.result() if novelty else {}

    def part(self, part: Part) -> PartReport:
        """One of the two parts."""
        metrics = _METRICS[part]
        totals, before = (
            values(
                metrics,
                self._numbers[Asked(part, earlier)].total,
                {"catalogue_items": self._catalogue, "novelty": self._novelty.get(earlier)},
                None,
            )
            for earlier in (False, True)
        )
        series = self._series(metrics, self._numbers[Asked(part, before=False)].series)
        return PartReport(totals=totals, change=change(totals, before), series=series, groups=self.groups(part))

    def course_before(self, part: Part) -> list[Row]:
        """The series of the period before."""
        return self._series(_METRICS[part], self._numbers[Asked(part, before=True)].series)

    def groups(self, part: Part) -> list[Row]:
        """The groups of a part."""
        now, then = (self._numbers[Asked(part, before)] for before in (False, True))
        return [
            self._row(_METRICS[part], key, self._with_curve(now, key), self._with_curve(then, key), self._group)
            for key in sorted(now.groups, key=lambda key: (int(key) if self._group == "position" else 0, key))
        ]

    def _with_curve(self, found: Numbers, key: str) -> "_WithCurve | None":
        if key not in found.groups:
            return None
        return found.groups[key], _curve(found, key) if self._group == "position" else None

    def _series(self, metrics: tuple[Metric, ...], found: dict[int, Counted]) -> list[Row]:
        rows = []
        for second, counted in found.items():
            start = datetime.fromtimestamp(second, self._zone)
            last = _floor(start.astimezone(UTC) - timedelta(seconds=1), self._by or "day", self._zone)
            before = found.get(round(last.timestamp()))
            rows.append(self._row(metrics, start, (counted, None), (before, None) if before else None, None))
        return rows

    def _row(
        self,
        metrics: tuple[Metric, ...],
        key: datetime | str,
        counted: "_WithCurve | None",
        before: "_WithCurve | None",
        group: Group | None,
    ) -> Row:
        now, then = (self._values(metrics, each, group) if each else None for each in (counted, before))
        return Row(key=key, values=now or {}, change=change(now, then) if now and then else None)

    def _values(self, metrics: tuple[Metric, ...], counted: "_WithCurve", group: Group | None) -> Values:
        given = {"catalogue_items": self._catalogue, "ctr_of_first": counted[1] if group == "position" else None}
        return values(metrics, counted[0], given, group)


_WithCurve = tuple[Counted, float | None]
"""Numbers, and of a position its clicks per impression by those of the first."""


def _curve(found: Numbers, key: str) -> float | None:
    own, first = (_ctr(found.groups[each]) if each in found.groups else None for each in (key, "1"))
    return own / first if own is not None and first else None


def _ctr(counted: Counted) -> float | None:
    impressions, clicks = (counted.sums[place_of(ATTRIBUTED, name) - 1] for name in ("impressions", "clicks"))
    return clicks / impressions if impressions else None


def _floor(moment: datetime, by: Time, zone: ZoneInfo) -> datetime:
    """Where the hour or day of a zone begins that a moment lies in."""
    local = moment.astimezone(zone)
    begun = local.replace(minute=0, second=0, microsecond=0)
    return begun if by == "hour" else begun.replace(hour=0, fold=0)


def _zone(name: str) -> str:
    try:
        return checked_zone(name)
    except ValueError as error:
        raise InvalidInput(f"{error}.", "Leave it out for the scenario's own zone.") from None


def _check(since: datetime, until: datetime, by: Time) -> None:
    if since >= until:
        raise InvalidInput(
            f"The period begins at {since.isoformat()} and ends at {until.isoformat()}.",
            "`from` must be before `to`.",
        )
    most = MOST_DAYS[by]
    if until - since > timedelta(days=most):
        raise InvalidInput(
            f"The period is longer than {most:,} days.", "Ask for a shorter one, or by day instead of by hour."
        )
