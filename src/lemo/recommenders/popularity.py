"""Popularity: how much an item is liked by everybody, recent acts counting more."""

from typing import Any

import numpy as np

from lemo.recommenders.interactions import Interactions

Array = np.ndarray[Any, Any]


def popularity(interactions: Interactions, half_life_ms: float | None = None) -> Array:
    """float64 (items,): the sum of each item's positive weights, decayed by their age before the newest act."""
    weights = interactions.weights_of_liked(half_life_ms)
    return np.bincount(interactions.liked.items, weights=weights, minlength=len(interactions.item_ids))


def z_scores(values: Array) -> Array:
    """The values minus their mean, over their standard deviation (float64); zeros where all are equal."""
    if len(values) == 0:
        return np.zeros(0)
    spread = float(values.std())
    mean = float(values.mean())
    if spread <= 1e-12 * max(abs(mean), 1e-300):
        return np.zeros(len(values))
    return np.asarray((values - mean) / spread)
