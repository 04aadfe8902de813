"""Popularity: how much an item is liked by everybody, recent acts counting more."""

from typing import Any

import numpy as np

from lemo.recommenders.data.interactions import Interactions

Array = np.ndarray[Any, Any]

MOST_OF_A_PAIR = 5.0
"""In typical weights: a user who comes back to an item likes it more, one who comes a thousand times is no crowd."""


def popularity(interactions: Interactions, half_life_ms: float | None = None) -> Array:
    """float64 (items,): the sum of each item's positive weights, decayed by their age before now.

    What one user says of one item counts up to `MOST_OF_A_PAIR`, however often it is said.
    """
    said = interactions.csr(half_life_ms)
    most = MOST_OF_A_PAIR * interactions.mean_weight
    return np.bincount(said.indices, np.minimum(said.data, most), minlength=len(interactions.item_ids))


def z_scores(values: Array) -> Array:
    """The values minus their mean, over their standard deviation (float64); zeros where all are equal."""
    if len(values) == 0:
        return np.zeros(0)
    spread = float(values.std())
    mean = float(values.mean())
    if spread <= 1e-12 * max(abs(mean), 1e-300):
        return np.zeros(len(values))
    return np.asarray((values - mean) / spread)
