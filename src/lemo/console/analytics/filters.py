"""What the page Analytics is asked for. It stands in the address, so that a view can be shared."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal, Self, cast, get_args
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from lemo.analytics.report import Group
from lemo.console.language import t
from lemo.domain.errors import InvalidInput
from lemo.domain.reasons import did_you_mean, shortened

Part = Literal["answers", "events"]
"""Numbers of answers and what followed from them (`attributed`), or of all events (`direct`)."""
Step = Literal["hour", "day"]
DAYS = (1, 7, 28, 90)
DEFAULT_DAYS = 7
PARAMETERS = ("scenario", "days", "from", "to", "by", "group", "count", "metric")


@dataclass(frozen=True, slots=True)
class Filters:
    """A view of the page."""

    scenario: str
    days: int = DEFAULT_DAYS
    """The last days, of which the first is whole; not heeded where `first` is given."""
    first: date | None = None
    last: date | None = None
    """First and last day, both inside."""
    by: Step = "day"
    group: Group = "placement"
    part: Part = "answers"
    metric: str = ""
    """The number that the trend shows; empty for the first."""

    @classmethod
    def of_address(cls, scenario: str, given: dict[str, str]) -> Self:
        """The view that an address asks for; raises InvalidInput."""
        first, last = _day("from", given["from"]), _day("to", given["to"])
        if last is not None and first is None:
            raise InvalidInput(
                t("The address has `to` without `from`.", "地址中有 `to` 但没有 `from`。"),
                "?from=2026-11-01&to=2026-11-07",
            )
        days = _days(given["days"])
        return cls(
            scenario,
            days,
            first,
            (last or datetime.now(UTC).date()) if first else None,
            by=_choice("by", given["by"], get_args(Step)) or ("hour" if days == 1 and not first else "day"),
            group=_choice("group", given["group"], get_args(Group)) or "placement",
            part=_choice("count", given["count"], get_args(Part)) or "answers",
            metric=given["metric"],
        )

    @property
    def address(self) -> str:
        """The address of this view; what is as by default is left out."""
        plain = Filters(self.scenario)
        pairs = {
            "scenario": self.scenario,
            "days": "" if self.first or self.days == plain.days else str(self.days),
            "from": str(self.first or ""),
            "to": str(self.last or "") if self.first else "",
            "by": "" if self.by == ("hour" if self.days == 1 and not self.first else "day") else self.by,
            "group": "" if self.group == plain.group else self.group,
            "count": "" if self.part == plain.part else self.part,
            "metric": self.metric,
        }
        return "/analytics?" + urlencode({name: value for name, value in pairs.items() if value})

    def but(self, **changes: Any) -> Self:
        """The view with some changes."""
        return replace(self, **changes)

    def period(self, now: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
        """Begin and end of the period, whose days are those of the zone; the end is outside."""
        if self.first:
            last = self.last or now.astimezone(zone).date()
            return _midnight(self.first, zone), _midnight(last + timedelta(days=1), zone)
        if self.days == 1:
            return (now - timedelta(hours=23)).replace(minute=0, second=0, microsecond=0), now
        return _midnight(now.astimezone(zone).date() - timedelta(days=self.days - 1), zone), now


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone)


def _day(name: str, text: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(
            t(f"`{name}` is no day: {shortened(text)}.", f"`{name}` 不是日期：{shortened(text)}。"), "2026-11-01"
        ) from error


def _days(text: str) -> int:
    if not text:
        return DEFAULT_DAYS
    if text.isdecimal() and 1 <= int(text) <= 366:
        return int(text)
    raise InvalidInput(
        t(
            f"`days` is no number from 1 to 366: {shortened(text)}.",
            f"`days` 不是 1 到 366 的整数：{shortened(text)}。",
        ),
        "7",
    )


def _choice(name: str, text: str, choices: tuple[str, ...]) -> Any:
    if text and text not in choices:
        raise InvalidInput(
            t(f"`{name}` has no value {shortened(text)}.", f"`{name}` 没有取值 {shortened(text)}。"),
            f"{did_you_mean(text, choices)}{', '.join(choices)}",
        )
    return cast(Any, text) or None
