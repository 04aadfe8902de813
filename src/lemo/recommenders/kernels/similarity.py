"""Loops that numba compiles to fit sources: each item's nearest items, the largest cells of a row.

Compiling takes some seconds, once for a machine: the code is kept beside this file, in NUMBA_CACHE_DIR, or in the
user's cache folder, whichever can be written. Nothing here holds Python's global lock, so plain threads may run it side
by side.

A candidate is one unsigned number, its *key*: the bits of its value (a positive float32 orders as its bits do), then
the complement of its number. So the larger key is the larger value, and of equal values the lower number.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np

Array = np.ndarray[Any, Any]
Function = TypeVar("Function", bound=Callable[..., Any])

BLOCK = 32
"""Cells that are compared at once."""
SAMPLES = 256
"""Candidates of a long row that are looked at to guess how good the k-th will be."""
ROUNDING = 1 - 1e-6
"""A bound in float64 lets pass whatever reaches it when rounded to float32."""


def compiled(function: Function) -> Function:
    """Compiles at the first call; without a folder that can be written, in each process anew."""
    return _compiled(function, set())


def compiled_fast(function: Function) -> Function:
    """`compiled`, for sums of floats that may be added up in any order, so that several are added at once."""
    return _compiled(function, {"reassoc", "contract"})


def _compiled(function: Function, fastmath: set[str]) -> Function:
    try:
        return cast(Function, numba.njit(nogil=True, error_model="numpy", fastmath=fastmath, cache=True)(function))
    except RuntimeError:
        return cast(Function, numba.njit(nogil=True, error_model="numpy", fastmath=fastmath)(function))


@compiled
def key_of(value: Any, number: Any, cell: Array, bits: Array) -> Any:
    """The key of a candidate; `cell` is float32 (1,) and `bits` the same memory as uint32."""
    cell[0] = value
    return (np.uint64(bits[0]) << np.uint64(32)) | np.uint64(np.uint32(0xFFFFFFFF) - np.uint32(number))


@compiled
def narrow(keys: Array, count: int, k: int) -> Any:
    """Brings the k largest of the first `count` keys to the front, in any order; returns the least of them."""
    low, high = 0, count - 1
    while low < high:
        first, middle, last = keys[low], keys[(low + high) >> 1], keys[high]
        pivot = max(min(first, middle), min(max(first, middle), last))
        i, j = low, high
        while i <= j:
            while keys[i] > pivot:
                i += 1
            while keys[j] < pivot:
                j -= 1
            if i <= j:
                keys[i], keys[j] = keys[j], keys[i]
                i += 1
                j -= 1
        if k - 1 <= j:
            high = j
        elif k - 1 >= i:
            low = i
        else:
            break
    least = keys[0]
    for place in range(1, k):
        least = min(least, keys[place])
    return least


@compiled
def nearest(
    rows: Array,
    user_starts: Array,
    items: Array,
    weights: Array,
    item_starts: Array,
    users: Array,
    own_weights: Array,
    norms: Array,
    shrinkage: float,
    numbers: Array,
    k: int,
    found: Array,
) -> None:
    """Writes the keys of the k nearest items of each of `rows` into its row of `found` (uint64 (rows, k), zeros).

    `user_starts` (int64), `items` (uint32) and `weights` (float32) are users x items; `item_starts`, `users` and
    `own_weights` the same, items x users; `norms` float64 (items,); `numbers` what an item is called in its key.
    Items should be in the order of popularity: then most sums fall into few lines of the processor's cache.
    """
    count = len(norms)
    blocks = (count + BLOCK - 1) // BLOCK
    sums = np.zeros(blocks * BLOCK, np.float64)
    lengths = np.ones(blocks * BLOCK, np.float64)
    for column in range(count):
        if norms[column] > 0:  # of an item that nobody likes any length will do but 0
            lengths[column] = norms[column]
    nonzero = np.zeros(count + 1, np.uint32)
    capacity = 4 * k + 2 * BLOCK
    passing = np.zeros(capacity, np.uint32)
    keys = np.zeros(capacity, np.uint64)
    sample = np.zeros(count // 8 + 2, np.uint64)
    cell = np.zeros(1, np.float32)
    bits = cell.view(np.uint32)
    for row in range(len(rows)):
        item = rows[row]
        norm = norms[item]
        cost = 0
        for place in range(item_starts[item], item_starts[item + 1]):
            cost += user_starts[users[place] + 1] - user_starts[users[place]]
        # If most sums are nonzero, a scan of all is cheaper than a list of them.
        dense = 4 * cost >= count
        candidates = count if dense else 0
        for place in range(item_starts[item], item_starts[item + 1]):
            weight = np.float64(own_weights[place])
            start, end = user_starts[users[place]], user_starts[users[place] + 1]
            theirs, values = items[start:end], weights[start:end]
            if dense:
                for other in range(len(theirs)):
                    sums[theirs[other]] += weight * values[other]
            else:
                for other in range(len(theirs)):
                    column = theirs[other]
                    before = sums[column]
                    nonzero[candidates] = column
                    candidates += before == 0
                    sums[column] = before + weight * values[other]
        sums[item] = 0
        # The k-th best is guessed from a sample, so that few candidates have to be looked at twice.
        least = np.float32(0)
        if candidates > 2 * k + SAMPLES:
            step = max(candidates // SAMPLES, 8)
            size = 0
            for place in range(0, candidates, step):
                column = place if dense else nonzero[place]
                value = np.float32(sums[column] / (norm * lengths[column] + shrinkage))
                sample[size] = key_of(value, 0, cell, bits)
                size += 1
            wanted = (k + k // 4) // step + 4
            if size > wanted:
                bits[0] = np.uint32(narrow(sample, size, wanted) >> np.uint64(32))
                least = cell[0]
        while True:
            slope, offset = ROUNDING * least * norm, ROUNDING * least * shrinkage
            size, ready = 0, 0
            for start in range(0, candidates, BLOCK):
                if dense:
                    above = 0
                    for lane in range(BLOCK):
                        above += sums[start + lane] > slope * lengths[start + lane] + offset
                    if above == 0:
                        continue
                # Whether one passes is anybody's guess, the processor's too: no branches.
                for place in range(start, start + BLOCK if dense else min(start + BLOCK, candidates)):
                    column = place if dense else nonzero[place]
                    passing[size] = column
                    size += sums[column] > slope * lengths[column] + offset
                if size > capacity - BLOCK:
                    for place in range(ready, size):
                        column = passing[place]
                        value = np.float32(sums[column] / (norm * lengths[column] + shrinkage))
                        keys[place] = key_of(value, numbers[column], cell, bits)
                    bits[0] = np.uint32(narrow(keys, size, k) >> np.uint64(32))
                    slope, offset = ROUNDING * cell[0] * norm, ROUNDING * cell[0] * shrinkage
                    size, ready = k, k
            if size >= k or least == 0:
                break
            least = np.float32(0)
        for place in range(ready, size):
            column = passing[place]
            value = np.float32(sums[column] / (norm * lengths[column] + shrinkage))
            keys[place] = key_of(value, numbers[column], cell, bits)
        if size > k:
            narrow(keys, size, k)
        for place in range(min(size, k)):
            found[row, place] = keys[place]
        if dense:
            sums[:] = 0
        else:
            for place in range(candidates):
                sums[nonzero[place]] = 0


@compiled
def mark_largest(starts: Array, columns: Array, values: Array, k: int, kept: Array) -> None:
    """Sets `kept` (bool (cells,)) where a cell is among the k largest of its row and above 0."""
    longest = 0
    for row in range(len(starts) - 1):
        longest = max(longest, starts[row + 1] - starts[row])
    keys = np.zeros(longest, np.uint64)
    cell = np.zeros(1, np.float32)
    bits = cell.view(np.uint32)
    for row in range(len(starts) - 1):
        size = 0
        for place in range(starts[row], starts[row + 1]):
            if values[place] > 0:
                keys[size] = key_of(values[place], columns[place], cell, bits)
                size += 1
        least = narrow(keys, size, k) if size > k else np.uint64(0)
        for place in range(starts[row], starts[row + 1]):
            kept[place] = values[place] > 0 and key_of(values[place], columns[place], cell, bits) >= least
