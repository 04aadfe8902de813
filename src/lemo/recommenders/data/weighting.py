"""The weighting rule: how much each interaction of a user counts for an item.

Of a user's interactions with an item the strongest counts, decayed by its age, unless the newest one with an opinion is
negative: then the item has no positive weight. Of a user's items with a positive weight the newest `LONGEST_HISTORY`
count. Training (`Interactions`), the hourly similarity (`LatestInteractions`), and serving and precomputing (`Encoder`)
all follow these functions.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lemo.domain.scenario import ActionRule, Weighing

Array = np.ndarray[Any, Any]

LONGEST_HISTORY = 1_000
"""Items of one user that count, the newest. It bounds what one user costs, and what one user changes for others."""
OLDEST_HALF_LIVES = 60.0
"""Older weights stop halving: 2**-60 is as good as nothing and still far from the end of float32."""
_NO_OPINION = Weighing(0.0, -np.inf, -np.inf, 0.0)


def event_weights(table: pa.Table, rules: Mapping[str, ActionRule]) -> tuple[Array, Array]:
    """Each event's weight (float64: above 0 for its item, below 0 against it), and whether the item counts as seen.

    Reads the columns action and value (nullable; NaN counts as no value). An action without a rule has weight 0.
    `interaction_weight` gives the weight of a single event.
    """
    encoded = table.column("action").cast(pa.string()).combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):  # some pyarrow versions return a chunked array
        encoded = encoded.unify_dictionaries().combine_chunks()
    known = [rules.get(action) for action in encoded.dictionary.to_pylist()]
    # The extra last element keeps the look-ups valid for an empty table.
    numbers = np.array([rule.weighing if rule else _NO_OPINION for rule in known] + [_NO_OPINION], dtype=np.float64)
    seen = np.array([rule.seen if rule else False for rule in known] + [False])
    actions = encoded.indices.to_numpy(zero_copy_only=False)
    values = pc.fill_null(table.column("value").cast(pa.float64()), float("nan")).to_numpy()
    weight, liked_from, disliked_to, without_value = numbers.T[:, actions]
    conditions = [np.isnan(values), values >= liked_from, values <= disliked_to]
    return np.select(conditions, [without_value, weight, -weight], 0.0), seen[actions]


def decay(ages_ms: Array, half_life_ms: float | None) -> Array:
    """The factor in (0, 1] that interactions of these ages are multiplied by (float64); 1 without a half-life."""
    if half_life_ms is None:
        return np.ones(len(ages_ms))
    halvings = np.clip(np.asarray(ages_ms, dtype=np.float64) / max(half_life_ms, 1.0), 0.0, OLDEST_HALF_LIVES)
    return np.exp2(-halvings)


def decay_one(age_ms: int, half_life_ms: float | None) -> float:
    """`decay` of one interaction, without the cost of an array."""
    if half_life_ms is None:
        return 1.0
    return math.exp2(-min(max(age_ms / max(half_life_ms, 1.0), 0.0), OLDEST_HALF_LIVES))


def turned_against(starts: Array, weights: Array, times: Array) -> Array:
    """bool, one per pair of user and item: whether the newest interaction with an opinion is negative.

    Rows are grouped by pair, and each group begins at one of `starts`. Of two at the same moment the negative one
    decides. Weights of 0 and NaN are no opinion. `filtered_items` decides the same for one history.
    """
    if not len(starts):
        return np.zeros(0, dtype=bool)
    before = np.iinfo(np.int64).min
    negative = weights < 0
    newest_negative = np.maximum.reduceat(np.where(negative, times, before), starts)
    newest_positive = np.maximum.reduceat(np.where(weights > 0, times, before), starts)
    return np.asarray(np.logical_or.reduceat(negative, starts) & (newest_negative >= newest_positive))


def newest_of_each_user(users: Array, times: Array, ties: Callable[[], Array] | None = None) -> Array:
    """bool: which rows are among the newest `LONGEST_HISTORY` of their user (codes).

    Of rows at the same moment those with the lowest `ties` stay, or those that come first.
    """
    counts = np.bincount(users, minlength=1)
    newest = np.ones(len(users), dtype=bool)
    if counts.max() > LONGEST_HISTORY:
        order = np.lexsort((-times, users) if ties is None else (ties(), -times, users))
        newest[order] = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts) < LONGEST_HISTORY
    return newest


def newest_items(items: Iterable[tuple[int, str]]) -> list[str]:
    """The newest `LONGEST_HISTORY` of one user's items (time, id); of items at the same moment those of lower ids."""
    return [item_id for _, item_id in sorted((-time, item_id) for time, item_id in items)[:LONGEST_HISTORY]]
