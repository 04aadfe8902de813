"""Confidence intervals by bootstrap, and a paired test of two recommenders."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel

Array = np.ndarray[Any, Any]

CONFIDENCE = 0.95
RESAMPLES = 1_000
FEWEST_RESAMPLES = 200
DRAWS = 20_000_000
"""Users drawn in all: so many users need fewer resamples, as their means vary little."""


class Comparison(BaseModel):
    """Whether one recommender answers the same users better than another; differences are ours minus theirs."""

    difference: float
    """Mean over the users."""
    low: float
    high: float
    """95 % confidence interval of the difference."""
    p_value: float
    """The probability of such a difference if ours is no better; 1 where it cannot be computed."""
    users: int

    @property
    def better(self) -> bool:
        """Whether ours is better beyond noise."""
        return self.p_value < 1 - CONFIDENCE


def compare(ours: Sequence[float] | Array, theirs: Sequence[float] | Array) -> Comparison:
    """One-sided paired t-test of a metric's values for the same users in the same order.

    Among paired tests of per-query metrics it keeps its error rate and is the most powerful
    (Smucker et al., CIKM 2007; Urbano et al., SIGIR 2019), and it needs no random numbers.
    """
    differences = np.asarray(ours, dtype=np.float64) - np.asarray(theirs, dtype=np.float64)
    users = len(differences)
    mean = float(differences.mean()) if users else 0.0
    # Where all differ by the same, which in practice means by nothing, there is no noise to compare with.
    if users < 2 or float(np.ptp(differences)) <= 1e-12:
        return Comparison(difference=mean, low=mean, high=mean, p_value=1.0, users=users)
    from scipy.special import stdtr, stdtrit  # scipy.stats, which has the whole test, takes a second to import

    error = float(differences.std(ddof=1)) / np.sqrt(users)
    margin = float(stdtrit(users - 1, (1 + CONFIDENCE) / 2)) * error
    p_value = float(stdtr(users - 1, -mean / error))
    return Comparison(difference=mean, low=mean - margin, high=mean + margin, p_value=p_value, users=users)


def intervals(values: Array, seed: int = 0) -> Array:
    """float64 (metrics, 2): 95 % intervals of the means of `values` (users x metrics), by resampling users.

    The percentile bootstrap (Efron, 1979). The same seed gives the same intervals; one user has none to speak of.
    """
    users, metrics = values.shape
    if users < 2:
        return np.repeat(values.mean(axis=0) if users else np.zeros(metrics), 2).reshape(metrics, 2)
    random = np.random.default_rng(seed)
    resamples = int(np.clip(DRAWS // users, FEWEST_RESAMPLES, RESAMPLES))
    means = np.empty((resamples, metrics))
    height = max(1, 2_000_000 // users)
    for start in range(0, resamples, height):
        rows = min(height, resamples - start)
        drawn = random.integers(0, users, (rows, users)) + np.arange(rows)[:, None] * users
        counts = np.bincount(drawn.ravel(), minlength=rows * users).reshape(rows, users)
        means[start : start + rows] = counts @ values / users
    tail = (1 - CONFIDENCE) / 2
    return np.quantile(means, [tail, 1 - tail], axis=0).T
