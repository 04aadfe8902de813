"""Simulated experiments: users with tastes of their own who come, see and click, looked at every day."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from lemo.statistics.estimates import Difference, Sample, compare
from lemo.statistics.verdict import FEWEST_ACTING, FEWEST_UNITS, verdicts

Array = np.ndarray[Any, Any]
CONTROL, TREATMENT = "control", "treatment"
RATE = 0.1
"""Click rate of the average user in the control."""


@dataclass(frozen=True)
class World:
    """How the users of an experiment behave."""

    lift: float = 0.0
    """Relative: the treatment multiplies each user's click rate by 1 + lift."""
    returning: bool = False
    """Whether users come back on every later day, and their sums grow with each look."""
    ratio: bool = True
    """Clicks per impression; else clicks per user."""
    cuped: bool = False
    days: int = 20
    per_day: int = 100
    """New users of an arm a day, on average: the numbers are drawn."""

    @property
    def true_difference(self) -> float:
        """Of the metric, for those who come once."""
        return RATE * self.lift * (1 if self.ratio else IMPRESSIONS)


IMPRESSIONS = 4.0
"""Of a user on a day, on average: 1 + Poisson(3)."""


def looks(world: World, random: np.random.Generator) -> Iterator[tuple[Sample, Sample]]:
    """What each day's look sees: the control and the treatment, all days so far."""
    arms = [_days(world, 0.0, random), _days(world, world.lift, random)]
    if world.returning:
        yield from zip(*arms, strict=True)
        return
    control, treatment = Sample(), Sample()
    for more_control, more_treatment in zip(*arms, strict=True):
        control, treatment = control + more_control, treatment + more_treatment
        yield control, treatment


def _days(world: World, lift: float, random: np.random.Generator) -> list[Sample]:
    """Of users who return: all sums so far, by day; else the sums of the day's new users."""
    arrivals = random.poisson(world.per_day, world.days)
    users = int(arrivals.sum())
    day = np.repeat(np.arange(world.days), arrivals)
    rates = random.beta(2, 2 / RATE - 2, users)
    before = random.binomial(20, rates) if world.cuped else np.zeros(users)
    changed = np.minimum(rates * (1 + lift), 1.0)
    seen, clicked = np.zeros(users), np.zeros(users)
    samples = []
    for today in range(world.days):
        present = day <= today if world.returning else day == today
        impressions = 1 + random.poisson(IMPRESSIONS - 1, int(present.sum()))
        seen[present] += impressions
        clicked[present] += random.binomial(impressions, changed[present])
        samples.append(Sample.of(clicked[present], seen[present] if world.ratio else None, before[present]))
    return samples


@dataclass(frozen=True)
class Outcome:
    """What somebody who looks every day and stops at the first verdict concludes."""

    decision: str
    """better, worse or undecided."""
    day: int
    """The day of the verdict, from 1; the last where there is none."""
    always_covered: bool
    """Whether the interval held the true difference at every look that was not too early."""
    covered_at_end: bool
    lift_covered: bool
    """Whether the interval of the lift held the true lift at every such look."""
    blocked: bool
    last: Difference


def watch(world: World, random: np.random.Generator, tightest_at: int | None = None) -> Outcome:
    """Looks at one experiment every day, through the verdict that users read."""
    planned = tightest_at or 2 * world.days * world.per_day
    decision, stopped, always, lift_always, blocked = "undecided", world.days, True, True, False
    holds = True
    difference: Difference | None = None
    for day, (control, treatment) in enumerate(looks(world, random), 1):
        difference = compare(control, treatment, planned)
        units = {CONTROL: control.units, TREATMENT: treatment.units}
        verdict = verdicts({TREATMENT: difference}, units, {CONTROL: 0.5, TREATMENT: 0.5})[TREATMENT]
        if verdict.decision in ("better", "worse") and decision == "undecided":
            decision, stopped = verdict.decision, day
        blocked |= verdict.decision == "blocked"
        if min(units.values()) < FEWEST_UNITS or difference.acting < FEWEST_ACTING:
            continue
        holds = difference.low <= world.true_difference <= difference.high
        always &= holds
        if difference.lift_low is not None and difference.lift_high is not None:
            lift_always &= difference.lift_low <= world.lift <= difference.lift_high
    assert difference is not None
    return Outcome(decision, stopped, always, holds, lift_always, blocked, difference)


def share(outcomes: list[Outcome], name: str) -> float:
    """Share of the outcomes of which the attribute is true."""
    return sum(bool(getattr(each, name)) for each in outcomes) / len(outcomes)


def variance_of_a_unit(world: World, users: int = 200_000) -> float:
    """What a plan needs to know, as the weeks before tell it; after CUPED where it is used."""
    random = np.random.default_rng(5)
    one, other = _days(World(ratio=world.ratio, cuped=world.cuped, days=2, per_day=users // 2), 0.0, random)
    return (one + other).variance * compare(one, other).variance_kept
