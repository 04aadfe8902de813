"""Simulated interleavings: users whom one of two rankings fits, who come again, looked at every day."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np

from lemo.statistics.estimates import Sample
from lemo.statistics.interleaving import judged, preference
from lemo.statistics.verdict import FEWEST_UNITS

Array = np.ndarray[Any, Any]
PLACES = 4
"""Of each team in an answer of eight."""
LIKED, OTHER = 0.3, 0.1
"""How likely a user clicks an item of the ranking that fits, and of the other one."""


@dataclass(frozen=True)
class World:
    """How the users of an interleaving behave."""

    fans: float = 0.5
    """Share of users whom the second ranking fits; the first fits the others."""
    days: int = 14
    per_day: int = 40
    """New users a day, on average."""
    again: float = 1.0
    """Answers of a user beyond the first on a day, on average."""

    @property
    def true_share(self) -> float:
        """Of the answers that either ranking wins, those of the second."""
        liked, other = _clicks(LIKED), _clicks(OTHER)
        more = sum(liked[a] * other[b] for a in range(PLACES + 1) for b in range(a))
        less = sum(other[a] * liked[b] for a in range(PLACES + 1) for b in range(a))
        return (self.fans * more + (1 - self.fans) * less) / (more + less)


def _clicks(rate: float) -> list[float]:
    return [comb(PLACES, k) * rate**k * (1 - rate) ** (PLACES - k) for k in range(PLACES + 1)]


def looks(world: World, random: np.random.Generator) -> Iterator[Sample]:
    """What each day's look sees: all users so far, who came back on every day."""
    arrivals = random.poisson(world.per_day, world.days)
    day = np.repeat(np.arange(world.days), arrivals)
    fan = random.random(len(day)) < world.fans
    won = np.zeros((2, len(day)))
    for today in range(world.days):
        users = np.repeat(np.flatnonzero(day <= today), 1 + random.poisson(world.again, int((day <= today).sum())))
        first = random.binomial(PLACES, np.where(fan[users], OTHER, LIKED))
        second = random.binomial(PLACES, np.where(fan[users], LIKED, OTHER))
        np.add.at(won[0], users[first > second], 1)
        np.add.at(won[1], users[second > first], 1)
        deciding = won.sum(axis=0) > 0
        yield Sample.of((won[1] - won[0])[deciding], won.sum(axis=0)[deciding])


@dataclass(frozen=True)
class Outcome:
    """What somebody who looks every day and stops at the first verdict concludes."""

    decision: str
    """better, worse or undecided."""
    always_covered: bool
    """Whether the interval held the true share at every look that was not too early."""


def watch(world: World, random: np.random.Generator, planned: int) -> Outcome:
    """Looks at one interleaving every day."""
    decision, covered = "undecided", True
    for sample in looks(world, random):
        found = preference(sample, planned)
        today, _ = judged(found, ("a", "b"), planned)
        if decision == "undecided" and today in ("better", "worse"):
            decision = today
        if found.units >= FEWEST_UNITS and found.low is not None and found.high is not None:
            covered &= found.low <= world.true_share <= found.high
    return Outcome(decision, covered)
