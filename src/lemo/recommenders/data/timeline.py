"""The time of a scenario: where its activity begins and ends, and pauses in which time hardly passes.

Decay and half-lives are measured on it (docs/decisions/0003-now-is-where-activity-is.md). It follows from the events
alone, and no user has more than a small, bounded part in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lemo.domain.activity import strays

Array = np.ndarray[Any, Any]

POINTS = 10
"""Events of one user, evenly spread over the user's own, that tell when the scenario is active."""
LONGEST = 0.05
"""A longer part of all time is a pause; at most 1 / LONGEST pauses can be found."""
LEAST_MS = 86_400_000
"""Nothing shorter is a pause: nights are part of time."""


@dataclass(frozen=True)
class Timeline:
    """Moments are Unix milliseconds; what `lived` gives are milliseconds without the pauses."""

    since: int = 0
    """Where activity begins: all but a few users begin later."""
    now: int = 0
    """Where activity ends: all but a few users end before."""
    pauses: tuple[tuple[int, int], ...] = ()
    """From when time stands still, and for how many milliseconds."""

    @classmethod
    def of(cls, users: Array, timestamps: Array) -> "Timeline":
        """That of events, of these users (codes) at these moments, in any order."""
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
        """int64: the moments on a clock that stands still in pauses; their order stays."""
        still = np.zeros(np.shape(timestamps), dtype=np.int64)
        for start, length in self.pauses:
            still += np.clip(timestamps - start, 0, length)
        return np.asarray(timestamps - still)

    def lived_at(self, timestamp_ms: int) -> int:
        """`lived` of one moment."""
        if not self.pauses:
            return timestamp_ms
        return timestamp_ms - sum(min(max(timestamp_ms - start, 0), length) for start, length in self.pauses)

    def ages(self, timestamps: Array) -> Array:
        """int64: lived milliseconds before now, 0 for what is newer."""
        return np.asarray(np.maximum(self.lived_at(self.now) - self.lived(timestamps), 0))


def _points(starts: Array, counts: Array) -> Array:
    """Places of each user's events that tell: all of a few, else `POINTS`, with the first and the last."""
    rank = np.arange(counts.sum()) - np.repeat(starts, counts)
    steps = np.repeat(np.maximum(counts - 1, 1), counts)
    part = rank * (POINTS - 1) // steps
    before = (rank - 1) * (POINTS - 1) // steps
    return np.asarray(np.flatnonzero(part != before))


def _pauses(times: Array) -> tuple[tuple[int, int], ...]:
    """The gaps that are longer than `LONGEST` of all gaps together, each of which counts at most so much itself.

    So far an event alone is from all others is of no account. With few moments every gap is long, and none a pause.
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
    """Pauses as JSON keeps them."""
    return tuple((int(start), int(length)) for start, length in stored)
