"""Loops that numba compiles to evaluate mixtures of personal sources with popularity."""

from typing import Any

import numpy as np

from lemo.recommenders.kernels.similarity import compiled, key_of, narrow

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
    filtered, chosen = np.full(count, -1), np.full(count, -1)
    keys = np.zeros(count, np.uint64)
    cell = np.zeros(1, np.float32)
    bits = cell.view(np.uint32)
    candidates = np.zeros(depth + top.shape[1], np.int64)
    own = np.zeros(len(candidates), np.float64)
    everyone = np.zeros(len(candidates), np.float64)
    for user in range(len(starts) - 1):
        for place in range(seen_starts[user], seen_starts[user + 1]):
            filtered[seen[place]] = user
        size = 0
        for place in range(starts[user], starts[user + 1]):
            column = columns[place]
            sums[column] = values[place]
            if values[place] > 0 and filtered[column] != user:
                keys[size] = key_of(values[place], column, cell, bits)
                size += 1
        if size > depth:
            narrow(keys, size, depth)
            size = depth
        for place in range(size):
            column = np.int64(np.uint32(0xFFFFFFFF) - np.uint32(keys[place] & np.uint64(0xFFFFFFFF)))
            candidates[place] = column
            chosen[column] = user
        for column in top[user]:
            if column >= 0 and chosen[column] != user:
                candidates[size] = column
                chosen[column] = user
                size += 1
        for place in range(size):
            own[place] = sums[candidates[place]]
        for place in range(starts[user], starts[user + 1]):
            sums[columns[place]] = 0
        for cells in range(relevant_starts[user], relevant_starts[user + 1]):
            item = relevant[cells]
            if chosen[item] != user:
                continue
            found = 0
            while candidates[found] != item:
                found += 1
            for which in range(len(popular)):
                for place in range(size):
                    everyone[place] = popular[which, candidates[place]]
                for share in range(len(shares)):
                    part, rest = shares[share], 1 - shares[share]
                    wanted = part * own[found] + rest * everyone[found]
                    rank = 0
                    for place in range(size):
                        rank += part * own[place] + rest * everyone[place] > wanted
                    if rank < 10:  # of equals the first item wins
                        for place in range(size):
                            value = part * own[place] + rest * everyone[place]
                            rank += value == wanted and candidates[place] < item
                    if rank < 10:
                        gains[user, which, share] += 1 / np.log2(rank + 2.0) / ideal[user]
