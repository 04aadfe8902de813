"""Loops that numba compiles to answer many users at once: what is said to them, their candidates, what trees think.

A single request does the same in numpy, to the last bit, so that a process that answers requests need not load this.
"""

from typing import Any

import numpy as np

from lemo.recommenders.kernels.similarity import compiled

Array = np.ndarray[Any, Any]


@compiled
def told(
    taste_starts: Array,
    tasted: Array,
    tastes: Array,
    starts: Array,
    columns: Array,
    values: Array,
    count: int,
    out_starts: Array,
    out_columns: Array,
    out_values: Array,
) -> None:
    """Writes what is said to users, as sparse rows: one for each user and relation, columns rising, no zeros.

    `user_item_matrix` (float64) is users x items, `values` (float32) items x (relations * count); `out_starts` is int64
    (rows + 1,), `out_columns` (int64) and `out_values` (float64) have room for all of it.
    """
    users = len(taste_starts) - 1
    relations = (len(out_starts) - 1) // max(users, 1)
    sums = np.zeros(relations * count, np.float64)
    # A bit for each column that has a sum; the place of the lowest one in a word by a de Bruijn sequence.
    words = np.zeros(relations * count // 64 + 1, np.uint64)
    sequence, one, six, low = np.uint64(0x03F79D71B4CB0A89), np.uint64(1), np.uint64(58), np.uint64(63)
    places = np.zeros(64, np.int64)
    for place in range(64):
        places[(sequence << np.uint64(place)) >> six] = place
    size = 0
    for user in range(users):
        for place in range(taste_starts[user], taste_starts[user + 1]):
            weight = tastes[place]
            for cell in range(starts[tasted[place]], starts[tasted[place] + 1]):
                column = columns[cell]
                sums[column] += weight * values[cell]
                words[column >> 6] |= one << (np.uint64(column) & low)
        relation = 0
        for word in range(len(words)):
            left = words[word]
            words[word] = 0
            while left:
                column = 64 * word + places[((left & (~left + one)) * sequence) >> six]
                left &= left - one
                while column >= (relation + 1) * count:
                    relation += 1
                    out_starts[user * relations + relation] = size
                if sums[column] != 0:
                    out_columns[size] = column - relation * count
                    out_values[size] = sums[column]
                    sums[column] = 0
                    size += 1
        for rest in range(relation + 1, relations + 1):
            out_starts[user * relations + rest] = size


@compiled
def keep(scores: Array, items: Array, filled: int, score: float, item: int) -> int:
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
def choose(
    base: Array,
    order: Array,
    mixed: Array,
    own: Array,
    barred: Array,
    hottest: Array,
    starts: Array,
    columns: Array,
    values: Array,
    depth: int,
    marks: Array,
    sums: Array,
    items: Array,
    said: Array,
    blended: Array,
) -> int:
    """Writes one user's candidates into `items` (int64, rising), and returns how many there are.

    They are the `depth` best of the blend (`base`, float64, with `own` added at `mixed`; `order` is its items best
    first), of each row of `hottest`, and of each relation, whose cells begin at `starts` in `columns` and `values`.
    None is one of `barred`. `said` (float64, relations x candidates) is what each relation says of them, `blended` the
    blend's score. `marks` (uint8) and `sums` (float64), one for each item, are all zero before and after.
    """
    is_barred, is_mixed, is_chosen = np.uint8(1), np.uint8(2), np.uint8(4)
    best, scores = np.empty(depth, np.int64), np.empty(depth, np.float64)
    size = 0
    for item in barred:
        marks[item] |= is_barred
    filled = 0
    for place in range(len(mixed)):
        item = mixed[place]
        marks[item] |= is_mixed
        sums[item] = own[place]
        if not marks[item] & is_barred:
            filled = keep(scores, best, filled, base[item] + own[place], item)
    found = 0
    for item in order:
        if found == depth:
            break
        if not marks[item]:
            filled = keep(scores, best, filled, base[item], item)
            found += 1
    for item in best[:filled]:
        marks[item] |= is_chosen
        items[size] = item
        size += 1
    for row in range(len(hottest)):
        found = 0
        for item in hottest[row]:
            if found == depth:
                break
            if not marks[item] & is_barred:
                found += 1
                if not marks[item] & is_chosen:
                    marks[item] |= is_chosen
                    items[size] = item
                    size += 1
    for relation in range(len(starts) - 1):
        filled = 0
        for cell in range(starts[relation], starts[relation + 1]):
            if values[cell] > 0 and not marks[columns[cell]] & is_barred:
                filled = keep(scores, best, filled, values[cell], columns[cell])
        for item in best[:filled]:
            if not marks[item] & is_chosen:
                marks[item] |= is_chosen
                items[size] = item
                size += 1
    items[:size].sort()
    for place in range(size):
        item = items[place]
        blended[place] = base[item] + sums[item]
        marks[item] = 0
    for item in mixed:
        sums[item] = 0
        marks[item] = 0
    for item in barred:
        marks[item] = 0
    for relation in range(len(starts) - 1):
        for cell in range(starts[relation], starts[relation + 1]):
            sums[columns[cell]] = values[cell]
        for place in range(size):
            said[relation, place] = sums[items[place]]
        for cell in range(starts[relation], starts[relation + 1]):
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
