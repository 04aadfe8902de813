"""The loop that numba compiles to regress items on their nearest items."""

from typing import Any

import numpy as np

from lemo.recommenders.kernels.similarity import compiled

Array = np.ndarray[Any, Any]


@compiled
def regress(
    targets: Array,
    near: Array,
    starts: Array,
    items: Array,
    common: Array,
    norms: Array,
    penalties: Array,
    dropouts: Array,
    sizes: Array,
    found: Array,
) -> None:
    """Adds to `found` (float32 (settings, items, k), zeros) the mean coefficients of each target's nearest items.

    `near` is int32 (items, k), most similar first, -1 for none; `starts`, `items` and `common` (float32) are the Gram
    matrix in rows, `norms` its diagonal; `sizes` (int64, rising) are the neighbourhood sizes whose mean is taken.
    The system of the first few neighbours is the leading block of the system of all, and its Cholesky factor the
    leading block of their factor: one factorisation serves all sizes.
    """
    width = near.shape[1]
    place = np.full(len(starts) - 1, -1, np.int32)
    system = np.zeros((width, width), np.float32)
    wanted = np.zeros(width, np.float32)
    forward = np.empty(width, np.float64)
    back = np.empty(width, np.float64)
    for row in range(len(targets)):
        target = targets[row]
        k = 0
        while k < width and near[target, k] >= 0:
            place[near[target, k]] = k
            k += 1
        if k == 0:
            continue
        system[:k, :k] = 0
        wanted[:k] = 0
        for a in range(k):
            for cell in range(starts[near[target, a]], starts[near[target, a] + 1]):
                b = place[items[cell]]
                if b >= 0:
                    system[a, b] = common[cell]
        for cell in range(starts[target], starts[target + 1]):
            b = place[items[cell]]
            if b >= 0:
                wanted[b] = common[cell]
        for a in range(k):
            place[near[target, a]] = -1
        for setting in range(len(penalties)):
            for a in range(k):
                norm = norms[near[target, a]]
                system[a, a] = norm + penalties[setting] + dropouts[setting] * norm
            lower = np.linalg.cholesky(system[:k, :k].copy())
            for a in range(k):
                total = np.float64(wanted[a])
                for b in range(a):
                    total -= lower[a, b] * forward[b]
                forward[a] = total / lower[a, a]
            for size in sizes:
                some = min(size, k)
                back[:some] = forward[:some]
                for a in range(some - 1, -1, -1):
                    back[a] /= lower[a, a]
                    for b in range(a):
                        back[b] -= lower[a, b] * back[a]
                for a in range(some):
                    found[setting, target, a] += np.float32(back[a] / len(sizes))
