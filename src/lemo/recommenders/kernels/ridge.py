"""Loops that numba compiles to regress items on their nearest items.

Items are numbered by popularity, the most liked is 0. The Gram matrix of the first items stands in a packed triangle,
in which a cell is found at once. The rows of the others are sparse, and short.
"""

from typing import Any

import numpy as np

from lemo.recommenders.kernels.similarity import compiled, compiled_fast

Array = np.ndarray[Any, Any]

PANEL = 4
"""Rows that are eliminated at once, so that each row below is read and written once for all of them."""


@compiled
def fill_triangle(
    rows: Array,
    item_starts: Array,
    users: Array,
    own_weights: Array,
    user_starts: Array,
    items: Array,
    weights: Array,
    triangle: Array,
) -> None:
    """Adds the Gram cells of these rows to `triangle` (float32, zeros): the i cells of row i begin at i (i - 1) / 2.

    `user_starts` (int64), `items` (uint32, rising within a user) and `weights` (float32) are users x items;
    `item_starts`, `users` and `own_weights` the same, items x users.
    """
    for row in rows:
        first = row * (row - 1) // 2
        for place in range(item_starts[row], item_starts[row + 1]):
            weight = own_weights[place]
            for cell in range(user_starts[users[place]], user_starts[users[place] + 1]):
                if items[cell] >= row:
                    break
                triangle[first + items[cell]] += weight * weights[cell]


@compiled
def gather(
    members: Array,
    k: int,
    triangle: Array,
    packed: int,
    starts: Array,
    columns: Array,
    values: Array,
    place_of: Array,
    system: Array,
) -> None:
    """Writes the Gram cells of the first k + 1 `members` into the upper triangle of `system`; its diagonal is not used.

    The first `packed` items stand in `triangle`; `starts`, `columns` and `values` are the rows of the others, with all
    items. `place_of` (int32 (items,)) is -1 everywhere, before and after.
    """
    rising = np.argsort(members[: k + 1])
    if members[rising[k]] >= packed:
        system[: k + 1, : k + 1] = 0
        for a in range(k + 1):
            place_of[members[a]] = a
    for last in range(k + 1):
        a = rising[last]
        item = members[a]
        if item < packed:
            first = item * (item - 1) // 2
            row = triangle[first : first + item]
            for b in rising[:last]:
                system[min(a, b), max(a, b)] = row[members[b]]
        else:
            for cell in range(starts[item - packed], starts[item - packed + 1]):
                b = place_of[columns[cell]]
                if b >= 0:
                    system[min(a, b), max(a, b)] = values[cell]
    if members[rising[k]] >= packed:
        for a in range(k + 1):
            place_of[members[a]] = -1


@compiled_fast
def factorise(system: Array, k: int) -> None:
    """Replaces the upper triangle of the first k rows by its Cholesky factor, and column k by the forward solution.

    The diagonal becomes the inverse of the factor's. A row that depends on those before, but for rounding, becomes 0.
    """
    # Loops from 0 over slices: the compiler then knows that no index is negative, and adds several columns at once.
    for top in range(0, k, PANEL):
        bottom = min(top + PANEL, k)
        for a in range(top, bottom):
            row = system[a, a : k + 1]
            for above in range(top, a):
                other, part = system[above, a : k + 1], system[above, a]
                for column in range(len(row)):
                    row[column] -= part * other[column]
            inverse = np.float32(1 / np.sqrt(row[0])) if row[0] > 0 else np.float32(0)
            for column in range(len(row)):
                row[column] *= inverse
            row[0] = inverse
        for a in range(bottom, k):  # there are rows below whole panels only
            row = system[a, a : k + 1]
            first, second = system[top, a : k + 1], system[top + 1, a : k + 1]
            third, fourth = system[top + 2, a : k + 1], system[top + 3, a : k + 1]
            of_first, of_second, of_third, of_fourth = first[0], second[0], third[0], fourth[0]
            for column in range(len(row)):
                row[column] -= (
                    of_first * first[column]
                    + of_second * second[column]
                    + of_third * third[column]
                    + of_fourth * fourth[column]
                )


@compiled_fast
def solve(system: Array, k: int, size: int, solution: Array) -> None:
    """Writes the solution of the leading `size` rows of a factorised system into `solution` (float32)."""
    for a in range(size - 1, -1, -1):
        row, known, total = system[a, a + 1 : size], solution[a + 1 : size], np.float32(0)
        for b in range(len(row)):
            total += row[b] * known[b]
        solution[a] = (system[a, k] - total) * system[a, a]


@compiled
def regress(
    targets: Array,
    near: Array,
    triangle: Array,
    packed: int,
    starts: Array,
    columns: Array,
    values: Array,
    norms: Array,
    penalties: Array,
    dropouts: Array,
    sizes: Array,
    order: Array,
    found: Array,
) -> None:
    """Adds to `found` (float32 (settings, items, k), zeros) the mean coefficients of each target's nearest items.

    `near` is int32 (items, k), most similar first, -1 for none; `norms` (float32) is the diagonal of the Gram matrix,
    and the others as in `gather`; `sizes` (int64, rising) are the neighbourhood sizes whose mean is taken; `order` is
    the row of `found` that belongs to each item.
    The system of the first few neighbours is the leading block of the system of all, and its Cholesky factor the
    leading block of their factor: one factorisation serves all sizes.
    """
    width = near.shape[1]
    place_of = np.full(len(norms), -1, np.int32)
    members = np.zeros(width + 1, np.int64)
    system = np.zeros((width + 1, width + 1), np.float32)
    factor = np.zeros((width + 1, width + 1), np.float32)
    solution = np.zeros(width, np.float32)
    part = np.float32(1 / len(sizes))
    for target in targets:
        k = 0
        while k < width and near[target, k] >= 0:
            members[k] = near[target, k]
            k += 1
        members[k] = target  # the right-hand side is one more column
        gather(members, k, triangle, packed, starts, columns, values, place_of, system)
        for setting in range(len(penalties)):
            for a in range(k):
                norm = norms[members[a]]
                factor[a, a] = norm + penalties[setting] + dropouts[setting] * norm
                factor[a, a + 1 : k + 1] = system[a, a + 1 : k + 1]
            factorise(factor, k)
            for size in sizes:
                some = min(size, k)
                solve(factor, k, some, solution)
                for a in range(some):
                    found[setting, order[target], a] += part * solution[a]
