"""The loop that numba compiles to count what followed what in users' histories."""

from typing import Any

import numpy as np

from lemo.recommenders.kernels.similarity import compiled, key_of, narrow

Array = np.ndarray[Any, Any]


@compiled
def follow(
    targets: Array,
    starts: Array,
    places: Array,
    firsts: Array,
    ends: Array,
    items: Array,
    moments: Array,
    weights: Array,
    fading: Array,
    backward: float,
    most: int,
    norms: Array,
    shrinkage: float,
    k: int,
    found: Array,
) -> None:
    """Writes the keys of the k items that speak most for each of `targets` into its row of `found` (uint64, zeros).

    Interactions stand by user, then time: `items` (int64), `moments` (int64: the number of the moment in the user's
    history) and `weights` (float64, decayed); `firsts` and `ends` bound the history that each belongs to. `starts` and
    `places` (int64) give the interactions of each item. `fading` (float64) is the weight of a distance in moments; it
    is 0 for none, and distances beyond its end do not count, nor do more than `most` interactions on either side.
    `norms` is float64 (items,): the sum of an item's weights.
    """
    count = len(norms)
    sums = np.zeros(count, np.float64)
    nonzero = np.zeros(count, np.int64)
    keys = np.zeros(count, np.uint64)
    cell = np.zeros(1, np.float32)
    bits = cell.view(np.uint32)
    window = len(fading)
    for row in range(len(targets)):
        target = targets[row]
        size = 0
        for cells in range(starts[target], starts[target + 1]):
            place = places[cells]
            for step in range(1, min(most, place - firsts[place]) + 1):
                other = place - step
                distance = moments[place] - moments[other]
                if distance >= window:
                    break
                part = weights[place] * fading[distance]  # the later of the two dates the transition
                if part > 0:
                    if sums[items[other]] == 0:
                        nonzero[size] = items[other]
                        size += 1
                    sums[items[other]] += part
            for step in range(1, min(most, ends[place] - place - 1) + 1):
                other = place + step
                distance = moments[other] - moments[place]
                if backward == 0 or distance >= window:
                    break
                part = backward * weights[other] * fading[distance]
                if part > 0:
                    if sums[items[other]] == 0:
                        nonzero[size] = items[other]
                        size += 1
                    sums[items[other]] += part
        filled = 0
        for cells in range(size):
            item = nonzero[cells]
            value = np.float32(sums[item] / (np.sqrt(norms[item] * norms[target]) + shrinkage))
            sums[item] = 0
            if value > 0 and item != target:
                keys[filled] = key_of(value, item, cell, bits)
                filled += 1
        if filled > k:
            narrow(keys, filled, k)
            filled = k
        for cells in range(filled):
            found[row, cells] = keys[cells]
