"""Loops that numba compiles to evaluate mixtures of personal sources with popularity."""

from typing import Any

import numpy as np

from lemo.recommenders.kernels.similarity import BLOCK, compiled, key_of, narrow

Array = np.ndarray[Any, Any]


@compiled
def standardise(starts: Array, values: Array, items: int) -> None:
    """Divides the values (float64, in place) of each row by the standard deviation over all `items`, zeros included.

    A row whose items are all alike becomes 0: rounding must not make a deviation out of equal values.
    """
    for row in range(len(starts) - 1):
        total, squares = 0.0, 0.0
        for place in range(starts[row], starts[row + 1]):
            total += values[place]
            squares += values[place] * values[place]
        mean = total / items
        variance = squares / items - mean * mean
        factor = 1 / np.sqrt(variance) if variance > 1e-12 * mean * mean else 0.0
        for place in range(starts[row], starts[row + 1]):
            values[place] *= factor


@compiled
def evaluate_mixtures(
    starts: Array,
    columns: Array,
    values: Array,
    seen_starts: Array,
    seen: Array,
    relevant_starts: Array,
    relevant: Array,
    ideal: Array,
    top: Array,
    popular: Array,
    shares: Array,
    depth: int,
    gains: Array,
) -> None:
    """Adds to `gains` (float32 (users, popularities, shares)) the NDCG@10 of each mixture with popularity.

    Users x items each: the personal scores, z-scores but for a shift that is the same for all items of a user; what
    users have seen; what is relevant to them (with `ideal`, float64 (users,), the best possible gain). Candidates are
    `top` (int64 (users, places), -1 for none) and the `depth` items of the best personal scores. `popular` (float64
    (popularities, items)) are z-scores.
    """
    count = popular.shape[1]
    sums = np.zeros(count, np.float64)
    filtered, place_of = np.full(count, -1), np.full(count, -1)
    keys = np.zeros(4 * depth, np.uint64)
    cell = np.zeros(1, np.float32)
    bits = cell.view(np.uint32)
    candidates = np.zeros(depth + top.shape[1], np.int64)
    own = np.zeros(len(candidates), np.float64)
    everyone = np.zeros(len(candidates), np.float64)
    mixed = np.full(len(candidates) + BLOCK, -np.inf)
    wanted = np.zeros(len(candidates), np.int64)
    discounts = 1 / np.log2(np.arange(10) + 2.0)
    for user in range(len(starts) - 1):
        for place in range(seen_starts[user], seen_starts[user + 1]):
            filtered[seen[place]] = user
        size, least = 0, np.float32(0)
        for place in range(starts[user], starts[user + 1]):
            column = columns[place]
            sums[column] = values[place]
            if values[place] > 0 and np.float32(values[place]) >= least and filtered[column] != user:
                keys[size] = key_of(values[place], column, cell, bits)
                size += 1
                if size == len(keys):  # only what is as good as the worst of the best so far can be among the best
                    bits[0] = np.uint32(narrow(keys, size, depth) >> np.uint64(32))
                    size, least = depth, cell[0]
        if size > depth:
            narrow(keys, size, depth)
            size = depth
        for place in range(size):
            column = np.int64(np.uint32(0xFFFFFFFF) - np.uint32(keys[place] & np.uint64(0xFFFFFFFF)))
            candidates[place] = column
            place_of[column] = place
        for column in top[user]:
            if column >= 0 and place_of[column] < 0:
                candidates[size] = column
                place_of[column] = size
                size += 1
        for place in range(size):
            own[place] = sums[candidates[place]]
        for place in range(starts[user], starts[user + 1]):
            sums[columns[place]] = 0
        liked = 0
        for cells in range(relevant_starts[user], relevant_starts[user + 1]):
            if place_of[relevant[cells]] >= 0:
                wanted[liked] = place_of[relevant[cells]]
                liked += 1
        for place in range(size):
            place_of[candidates[place]] = -1
        mixed[size:] = -np.inf
        for which in range(len(popular) if liked else 0):
            for place in range(size):
                everyone[place] = popular[which, candidates[place]]
            for share in range(len(shares)):
                part, rest = shares[share], 1 - shares[share]
                for place in range(size):
                    mixed[place] = part * own[place] + rest * everyone[place]
                for found in wanted[:liked]:
                    rank = _rank(mixed, size, found, candidates)
                    if rank < 10:
                        gains[user, which, share] += discounts[rank] / ideal[user]


@compiled
def _rank(mixed: Array, size: int, found: int, candidates: Array) -> int:
    """How many candidates come before the one in the place `found`, or 10 or more; of equals the first item wins."""
    value, rank = mixed[found], 0
    for start in range(0, size, BLOCK):
        block = mixed[start : start + BLOCK]
        for place in range(BLOCK):
            rank += block[place] > value
        if rank >= 10:
            return rank
    for place in range(size):
        rank += mixed[place] == value and candidates[place] < candidates[found]
    return rank
