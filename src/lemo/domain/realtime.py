"""Real time: what sessions, metrics of minutes and hot scores are. Worker and Flink jobs are tested against this.

It uses the standard library alone, because the jobs of `deploy/flink` run this very file.

All three only ever grow with the set of events, and each row carries a number (`version`) that rises whenever more
events change it. So of two rows with one key the one of more events wins, whoever wrote it, in whatever order and
however often. That is why worker and Flink may take turns, and both work at once.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

DAY_MS = 86_400_000
MINUTE_MS = 60_000
GAP_MS = 30 * MINUTE_MS
"""A session ends when nothing happens for longer than this; it ends at midnight (UTC) too."""
HALF_LIVES: Mapping[str, int] = {"10m": 600, "1h": 3_600, "4h": 14_400}
"""Half-lives of hot scores, in seconds."""
HOT_MS = DAY_MS
"""Events this old count in no hot score: six of the longest half-lives, a weight below 2 %."""
CORRECTED_DAYS = 7
"""Minutes of so many days back are corrected by late events; older ones are left to `lemo analytics`."""
LONGEST_PLACEMENT = 100


class Act(NamedTuple):
    """An event, as far as real time needs it."""

    event_id: str
    user_id: str
    item_id: str
    action: str
    at_ms: int
    """When it happened, in Unix milliseconds."""
    placement: str = ""
    """Where on a page, as the event says in its field `placement`."""
    value: float = 0.0
    """Its value where it is a conversion."""
    converts: bool = False
    """Whether it is an event of the scenario's goal."""
    weight: float = 0.0
    """By the scenario's rules; at or below 0 it makes nothing hot."""


class SessionRow(NamedTuple):
    """An event with its place in a session."""

    event_id: str
    user_id: str
    item_id: str
    action: str
    at_ms: int
    session_id: str
    """The id of the session's first event."""
    place: int
    """From 1."""
    dwell_ms: int | None
    """Until the next event of the session; None for its last one."""

    @property
    def version(self) -> int:
        """Rises with each event that changes the row: an earlier one raises `place`, a later one lowers `dwell_ms`."""
        ended = 0 if self.dwell_ms is None else GAP_MS + 1 - self.dwell_ms
        return self.place * (GAP_MS + 2) + ended


class MinuteRow(NamedTuple):
    """What happened in one minute at one placement."""

    minute: int
    """Its first Unix second."""
    placement: str
    events: int
    """Of all actions. It is the version too: only more events change the row."""
    impressions: int
    clicks: int
    conversions: int
    value: float
    """Sum of `value` over the conversions."""

    @property
    def ctr(self) -> float | None:
        """Clicks per impression; None without impressions."""
        return self.clicks / self.impressions if self.impressions else None


def placement_of(given: object) -> str:
    """The placement that an event's field names; empty where it is no text or too long."""
    return given if isinstance(given, str) and len(given) <= LONGEST_PLACEMENT else ""


def once(acts: Iterable[Act]) -> list[Act]:
    """The first of each event id, in the order in which they came."""
    first: dict[str, Act] = {}
    for act in acts:
        first.setdefault(act.event_id, act)
    return list(first.values())


def day_of(at_ms: int) -> int:
    """The day (UTC, counted from 1970) that a moment is in."""
    return at_ms // DAY_MS


def minute_of(at_ms: int) -> int:
    """The first Unix second of the minute that a moment is in."""
    return at_ms // MINUTE_MS * 60


def sessionised(acts: Iterable[Act]) -> list[SessionRow]:
    """The events of one user, each once, as rows of sessions in the order of time; of one moment the smaller id first.

    Days do not depend on each other: rows of a day need no events of another one.
    """
    ordered = sorted(acts, key=lambda act: (act.at_ms, act.event_id))
    rows: list[SessionRow] = []
    session_id, place = "", 0
    for index, act in enumerate(ordered):
        if index == 0 or not _together(ordered[index - 1], act):
            session_id, place = act.event_id, 0
        place += 1
        following = ordered[index + 1] if index + 1 < len(ordered) else None
        dwell = following.at_ms - act.at_ms if following is not None and _together(act, following) else None
        rows.append(SessionRow(act.event_id, act.user_id, act.item_id, act.action, act.at_ms, session_id, place, dwell))
    return rows


def _together(before: Act, after: Act) -> bool:
    return after.at_ms - before.at_ms <= GAP_MS and day_of(before.at_ms) == day_of(after.at_ms)


def minutes(acts: Iterable[Act]) -> list[MinuteRow]:
    """The metrics of events, each once, by minute and placement, in that order."""
    groups: dict[tuple[int, str], list[Act]] = {}
    for act in acts:
        groups.setdefault((minute_of(act.at_ms), act.placement), []).append(act)
    return [
        MinuteRow(
            minute,
            placement,
            len(group),
            sum(act.action == "impression" for act in group),
            sum(act.action == "click" for act in group),
            sum(act.converts for act in group),
            math.fsum(act.value for act in group if act.converts),
        )
        for (minute, placement), group in sorted(groups.items())
    ]


def hot_level(weight: float, at_ms: int, half_life: int) -> float:
    """The level that one event gives an item: the binary logarithm of its weight, in forward decay.

    Levels are compared with each other whatever the clock says, and an item's level only rises: nothing has to be
    computed anew because time passes (Cormode et al. 2009). `weight` is above 0, `half_life` in seconds.
    """
    return math.log2(weight) + at_ms / (1000 * half_life)


def added(level: float, other: float) -> float:
    """The level of two events, or of two sets of them, together."""
    low, high = sorted((level, other))
    return high + math.log2(1 + 2.0 ** (low - high))


def hot_levels(acts: Iterable[Act], half_life: int) -> dict[str, float]:
    """The level of each item that events of positive weight, each once, make hot."""
    found: dict[str, float] = {}
    for act in acts:
        if act.weight > 0:
            level = hot_level(act.weight, act.at_ms, half_life)
            found[act.item_id] = added(found[act.item_id], level) if act.item_id in found else level
    return found


def hottest(levels: Mapping[str, float], most: int) -> list[str]:
    """The items of the highest levels, the highest first."""
    ordered: Sequence[tuple[str, float]] = sorted(levels.items(), key=lambda each: (-each[1], each[0]))
    return [item_id for item_id, _ in ordered[:most]]
