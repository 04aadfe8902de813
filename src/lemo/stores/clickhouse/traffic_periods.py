"""Stretches of time that numbers are asked for."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

HOUR_MS = 3_600_000
AHEAD_MS = HOUR_MS
"""An event that names its answer follows from it even if it seems to be so much older: clocks differ."""

Part = Literal["attributed", "direct"]


class Period(NamedTuple):
    """A stretch of time, in Unix milliseconds; `until_ms` is the first moment after it."""

    since_ms: int
    until_ms: int

    @property
    def before(self) -> "Period":
        """The period of the same length that ends where this one begins."""
        return Period(2 * self.since_ms - self.until_ms, self.since_ms)


def within(column: str, periods: Sequence[Period], name: str = "") -> str:
    """Whether a moment lies in one of the periods, whose `bounds` are parameters of the same name."""
    each = (
        f"({column} >= fromUnixTimestamp64Milli({{{name}since{number}:Int64}}) "
        f"AND {column} < fromUnixTimestamp64Milli({{{name}until{number}:Int64}}))"
        for number in range(len(periods))
    )
    return f"({' OR '.join(each) or '0'})"


def bounds(periods: Sequence[Period], name: str = "") -> dict[str, int]:
    """The parameters of `within`."""
    return {
        f"{name}{end}{number}": moment
        for number, period in enumerate(periods)
        for end, moment in (("since", period.since_ms), ("until", period.until_ms))
    }
