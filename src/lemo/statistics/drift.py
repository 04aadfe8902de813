"""Drift: how far what is served now has moved from a period before."""

import math
from collections.abc import Sequence

SMOOTHING = 0.5
"""Added to each count, so that an empty bin has a finite logarithm."""


def population_stability_index(before: Sequence[int], now: Sequence[int]) -> float:
    """The PSI of two histograms over the same bins: the sum of (p - q) ln(p / q) over their shares p and q.

    It is 0 for equal shapes. By convention, below 0.1 is no change and above 0.25 a large one.
    """
    wholes = [sum(counts) + SMOOTHING * len(counts) for counts in (before, now)]
    pairs = zip(before, now, strict=True)
    shares = (((old + SMOOTHING) / wholes[0], (new + SMOOTHING) / wholes[1]) for old, new in pairs)
    return sum((new - old) * math.log(new / old) for old, new in shares)


def rate_change(clicks: float, impressions: float, clicks_before: float, impressions_before: float) -> float | None:
    """Relative change of clicks per impression: -0.3 is a fall by 30 %. None where there was no rate before."""
    if not (impressions and impressions_before and clicks_before):
        return None
    return (clicks / impressions) / (clicks_before / impressions_before) - 1
