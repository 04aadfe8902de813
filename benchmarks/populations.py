"""Made-up behaviour for benchmarks: some users do much, some items are popular, as it is everywhere."""

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

SIZES = {"1e5": (100_000, 3_000, 5_000), "1e6": (1_000_000, 20_000, 20_000), "1e7": (10_000_000, 150_000, 50_000)}
"""Interactions, users and items."""


def interactions(size: str, seed: int = 1) -> tuple[Array, Array, Array]:
    """Users and items (int64) of different pairs, in no order, and weights (float32) from 1 to 3 that have decayed."""
    count, users, items = SIZES[size]
    random = np.random.default_rng(seed)
    activity = np.cumsum(random.lognormal(0, 1, users))
    popularity = np.cumsum(1 / (random.permutation(items) + 20) ** 0.9)
    pairs = np.zeros(0, dtype=np.int64)
    while len(pairs) < count:
        who = np.searchsorted(activity, random.random(count) * activity[-1])
        what = np.searchsorted(popularity, random.random(count) * popularity[-1])
        pairs = np.unique(np.concatenate([pairs, who * items + what]))
    pairs = random.permutation(pairs)[:count]
    weights = random.integers(1, 4, count) * np.exp2(-8 * random.random(count))
    return pairs // items, pairs % items, weights.astype(np.float32)
