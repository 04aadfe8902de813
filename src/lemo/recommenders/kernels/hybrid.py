"""Loops that numba compiles to answer users: scores of a similarity source, candidates, sums of trees.

One user and many are answered by the same loops, so that they get the same answers to the last bit.
"""

from typing import Any

import numpy as np

from lemo.recommenders.kernels.similarity import compiled

Array = np.ndarray[Any, Any]


@compiled
def multiply(
    query_starts: Array,
    queried: Array,
    weights: Array,
    starts: Array,
    columns: Array,
    values: Array,
    items: int,
    out_starts: Array,
    out_columns: Array,
    out_values: Array,
) -> None:
    """Writes queries (users x items, float64 weights) times a matrix (items x items, float32) as sparse rows.

    Columns rise, and there are no zeros. `out_starts` is int64 (users + 1,); `out_columns` (int64) and `out_values`
    (float64) have room for all cells.
    """
    sums = np.zeros(items, np.float64)
    # A bit for each column that has a sum; the place of the lowest one in a word by a de Bruijn sequence.
    words = np.zeros(items // 64 + 1, np.uint64)
    sequence, one, six, low = np.uint64(0x03F79D71B4CB0A89), np.uint64(1), np.uint64(58), np.uint64(63)
    places = np.zeros(64, np.int64)
    for place in range(64):
        places[(sequence << np.uint64(place)) >> six] = place
    size = 0
    for user in range(len(query_starts) - 1):
        for place in range(query_starts[user], query_starts[user + 1]):
            weight, start, end = weights[place], starts[queried[place]], starts[queried[place] + 1]
            row, parts = columns[start:end], values[start:end]
            for cell in range(len(row)):
                column = np.uint32(row[cell])  # it is not negative: nothing to check
                sums[column] += weight * parts[cell]
                words[column >> 6] |= one << (np.uint64(column) & low)
        for word in range(len(words)):
            left = words[word]
            words[word] = 0
            while left:
                column = 64 * word + places[((left & (~left + one)) * sequence) >> six]
                left &= left - one
                if sums[column] != 0:
                    out_columns[size] = column
                    out_values[size] = sums[column]
                    sums[column] = 0
                    size += 1
        out_starts[user + 1] = size


@compiled
def push_top_k(scores: Array, items: Array, filled: int, score: float, item: int) -> int:
    """Puts an item where it belongs among the best ones, of equals the lower number first; returns how many there are.

    The first `filled` of the lists are in use; the last one falls out when they are full.
    """
    if filled == len(scores):
        if score < scores[filled - 1] or (score == scores[filled - 1] and item > items[filled - 1]):
            return filled
    else:
        filled += 1
    place = filled - 1
    while place > 0 and (score > scores[place - 1] or (score == scores[place - 1] and item < items[place - 1])):
        scores[place], items[place] = scores[place - 1], items[place - 1]
        place -= 1
    scores[place], items[place] = score, item
    return filled


@compiled
def generate_candidates(
    base: Array,
    order: Array,
    personal: Array,
    own: Array,
    filtered: Array,
    top_popular: Array,
    starts: Array,
    ends: Array,
    columns: Array,
    values: Array,
    depth: int,
    marks: Array,
    sums: Array,
    items: Array,
    source_scores: Array,
    hybrid_scores: Array,
) -> int:
    """Writes one user's candidates into `items` (int64, rising), and returns how many there are.

    They are the `depth` best of the hybrid (`base`, float64, with `own` added at `personal`; `order` is its items best
    first), of each row of `top_popular`, and of each source, whose cells are from `starts` to `ends` in `columns` and
    `values`. None is one of `filtered`. `source_scores` (float64, sources x candidates) and `hybrid_scores` receive
    their scores. `marks` (uint8) and `sums` (float64), one for each item, are all zero before and after.
    """
    is_filtered, is_personal, is_chosen = np.uint8(1), np.uint8(2), np.uint8(4)
    best, scores = np.empty(depth, np.int64), np.empty(depth, np.float64)
    size = 0
    for item in filtered:
        marks[item] |= is_filtered
    filled = 0
    for place in range(len(personal)):
        item = personal[place]
        marks[item] |= is_personal
        sums[item] = own[place]
        if not marks[item] & is_filtered:
            filled = push_top_k(scores, best, filled, base[item] + own[place], item)
    found = 0
    for item in order:
        if found == depth:
            break
        if not marks[item]:
            filled = push_top_k(scores, best, filled, base[item], item)
            found += 1
    for item in best[:filled]:
        marks[item] |= is_chosen
        items[size] = item
        size += 1
    for row in range(len(top_popular)):
        found = 0
        for item in top_popular[row]:
            if found == depth:
                break
            if not marks[item] & is_filtered:
                found += 1
                if not marks[item] & is_chosen:
                    marks[item] |= is_chosen
                    items[size] = item
                    size += 1
    for source in range(len(starts)):
        filled = 0
        for cell in range(starts[source], ends[source]):
            if values[cell] > 0 and not marks[columns[cell]] & is_filtered:
                filled = push_top_k(scores, best, filled, values[cell], columns[cell])
        for item in best[:filled]:
            if not marks[item] & is_chosen:
                marks[item] |= is_chosen
                items[size] = item
                size += 1
    items[:size].sort()
    for place in range(size):
        item = items[place]
        hybrid_scores[place] = base[item] + sums[item]
        marks[item] = 0
    for item in personal:
        sums[item] = 0
        marks[item] = 0
    for item in filtered:
        marks[item] = 0
    for source in range(len(starts)):
        for cell in range(starts[source], ends[source]):
            sums[columns[cell]] = values[cell]
        for place in range(size):
            source_scores[source, place] = sums[items[place]]
        for cell in range(starts[source], ends[source]):
            sums[columns[cell]] = 0
    return size


@compiled
def tree_sums(rows: Array, features: Array, thresholds: Array, survivors: Array, values: Array, sums: Array) -> None:
    """Writes into `sums` (float64 (rows,)) what trees of 7 nodes and 8 leaves say of rows of features (float32).

    The other arrays are those of `Trees`, `features` as int64.
    """
    lowest = np.zeros(256, np.int64)
    for byte in range(1, 256):
        while not (byte >> lowest[byte]) & 1:
            lowest[byte] += 1
    for row in range(len(rows)):
        total = 0.0
        for tree in range(len(values) // 8):
            left = np.uint8(255)
            for node in range(7 * tree, 7 * tree + 7):
                # Whether it fails is anybody's guess, the processor's too: no branches.
                fails = np.float64(rows[row, features[node]]) > thresholds[node]
                left &= survivors[node] | (np.uint8(fails) - np.uint8(1))
            total += values[8 * tree + lowest[left]]
        sums[row] = total
