"""Beyond accuracy: how new and how varied the items of an answer are (Castells, Hurley, Vargas, 2022)."""

from typing import Any

import numpy as np
from scipy import sparse

from lemo.recommenders.data.interactions import Interactions

Array = np.ndarray[Any, Any]
CSR = sparse.csr_matrix

LISTS = 1_000
"""Lists whose diversity is measured: a mean over more hardly differs."""
RATERS = 20_000
"""Users of the past by whom items are compared."""
CHUNK = 128
"""Lists that are compared at once."""


def novelty(shown: Array, past: Interactions) -> Array:
    """float64 (lists,): mean self-information of a list's items, in bits; NaN for an empty list.

    -log2 of the share of users who liked an item in the past: what everybody knows is no news (Zhou et al., 2010). An
    item that nobody liked counts as liked by one. `shown` is lists x places, -1 for nothing.
    """
    liked = _liked(past)
    users = max(int((np.diff(liked.indptr) > 0).sum()), 1)
    likers = np.bincount(liked.indices, minlength=len(past.item_ids))
    information = np.append(-np.log2(np.clip(likers, 1, users) / users), 0.0)
    return _mean(information[shown], shown >= 0)


def diversity(shown: Array, past: Interactions) -> Array:
    """float64 (lists,): mean distance of two items of a list, 0 to 1; NaN where it has fewer than two items.

    Distance is 1 minus the cosine of the users who liked both items (Ziegler et al., 2005; Vargas, Castells, 2011).
    Of many lists `LISTS` are measured, evenly spaced, and the others are NaN.
    """
    liked = _liked(past)
    step = max(1, -(-liked.shape[0] // RATERS))
    by_item = sparse.csr_matrix(liked[::step].T, dtype=np.float32)
    lengths = np.sqrt(np.diff(by_item.indptr))
    by_item.data /= np.repeat(lengths, np.diff(by_item.indptr)).astype(np.float32)
    values = np.full(len(shown), np.nan)
    if shown.size == 0 or not len(past.item_ids):
        return values
    chosen = np.unique(np.linspace(0, len(shown) - 1, min(LISTS, len(shown))).astype(np.int64))
    for start in range(0, len(chosen), CHUNK):
        lists = chosen[start : start + CHUNK]
        items = shown[lists]
        rows, places = np.nonzero(items >= 0)
        picked = sparse.csr_matrix(
            (np.ones(len(rows), dtype=np.float32), (rows, items[rows, places])), shape=(len(lists), by_item.shape[0])
        )
        sums = picked @ by_item
        together = np.asarray(sums.multiply(sums).sum(axis=1), dtype=np.float64).ravel()
        # The square of a sum of vectors is that of each with itself, 1 for whoever has likers, and of all pairs.
        alone = np.asarray(picked @ (lengths > 0)).ravel()
        counts = (items >= 0).sum(axis=1)
        pairs = np.maximum(counts * (counts - 1), 1)
        values[lists] = np.where(counts > 1, np.clip(1 - (together - alone) / pairs, 0.0, 1.0), np.nan)
    return values


def mean_or_none(values: Array) -> float | None:
    """The mean of what is not NaN; None where all is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def _liked(past: Interactions) -> CSR:
    """Users x items (bool): what speaks for what."""
    liked = past.csr().astype(bool)
    liked.eliminate_zeros()
    return liked


def _mean(values: Array, counted: Array) -> Array:
    counts = counted.sum(axis=1)
    return np.where(counts > 0, (values * counted).sum(axis=1) / np.maximum(counts, 1), np.nan)
