"""The time of a scenario: the beginning and the end of its activity, and the pauses in between.

Decay and half-lives are measured on it (docs/decisions/0003-now-is-where-activity-is.md). It depends on the events
alone, and the influence of each user is bounded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lemo.domain.activity import strays

Array = np.ndarray[Any, Any]

POINTS = 10
"""Events of one user, evenly spread over all of the user's, that count for pauses."""
LONGEST = 0.05
"""A longer part of all time is a pause; at most 1 / LONGEST pauses can be found."""
LEAST_MS = 86_400_000
"""Nothing shorter is a pause: nights are part of time."""


@dataclass(frozen=True)
class Timeline:
    """Times are Unix milliseconds; `lived` gives milliseconds without the pauses."""

    since: int = 0
    """The beginning of activity: all but a few users begin later."""
    now: int = 0
    """The end of activity: all but a few users end before."""
    pauses: tuple[tuple[int, int], ...] = ()
    """The start of each pause, and the milliseconds that do not count."""

    @classmethod
    def of(cls, users: Array, timestamps: Array) -> "Timeline":
        """The timeline of events by these users (codes) at these times, in any order."""
        if not len(users):
            return cls()
        order = np.lexsort((timestamps, users))
        users, times = users[order], timestamps[order]
        starts = np.flatnonzero(np.append(True, users[1:] != users[:-1]))
        counts = np.diff(np.append(starts, len(users)))
        few = strays(len(starts))
        first, last = times[starts], times[starts + counts - 1]
        since, now = int(np.partition(first, few)[few]), int(-np.partition(-last, few)[few])
        return cls(since, now, _pauses(times[_points(starts, counts)]))

    @property
    def span(self) -> int:
        """Lived milliseconds between the beginning and the end of activity."""
        return max(self.lived_at(self.now) - self.lived_at(self.since), 0)

    def lived(self, timestamps: Array) -> Array:
        """int64: the times on a clock that stops in pauses; their order stays the same."""
        still = np.zeros(np.shape(timestamps), dtype=np.int64)
        for start, length in self.pauses:
            still += np.clip(timestamps - start, 0, length)
        return np.asarray(timestamps - still)

    def lived_at(self, timestamp_ms: int) -> int:
        """`lived` of one time."""
        if not self.pauses:
            return timestamp_ms
        return timestamp_ms - sum(min(max(timestamp_ms - start, 0), length) for start, length in self.pauses)

    def ages(self, timestamps: Array) -> Array:
        """int64: lived milliseconds before now, 0 for what is newer."""
        return np.asarray(np.maximum(self.lived_at(self.now) - self.lived(timestamps), 0))


def _points(starts: Array, counts: Array) -> Array:
    """Indices of at most `POINTS` events of each user, including the first and the last."""
    rank = np.arange(counts.sum()) - np.repeat(starts, counts)
    steps = np.repeat(np.maximum(counts - 1, 1), counts)
    part = rank * (POINTS - 1) // steps
    before = (rank - 1) * (POINTS - 1) // steps
    return np.asarray(np.flatnonzero(part != before))


def _pauses(times: Array) -> tuple[tuple[int, int], ...]:
    """The gaps that are longer than `LONGEST` of all gaps together, each of which counts at most so much itself.

    A single event far from all others therefore changes nothing. With few times there is no pause.
    """
    moments = np.unique(times)
    gaps = np.diff(moments)
    if len(gaps) * LONGEST <= 1:
        return ()
    rising = np.sort(gaps)
    sums = np.cumsum(rising, dtype=np.float64)
    # Where `longer` gaps count `cap` each: cap = LONGEST * (the sum of the others + longer * cap).
    for longer in range(len(gaps)):
        cap = LONGEST * sums[-1 - longer] / (1 - LONGEST * longer)
        if cap >= rising[-1 - longer]:
            break
    cap = max(int(cap), LEAST_MS)
    found = np.flatnonzero(gaps > cap)
    return tuple((int(moments[place]) + cap, int(gaps[place]) - cap) for place in found)


def pauses_from(stored: Sequence[Sequence[int]]) -> tuple[tuple[int, int], ...]:
    """The pauses of their JSON form."""
    return tuple((int(start), int(length)) for start, length in stored)
