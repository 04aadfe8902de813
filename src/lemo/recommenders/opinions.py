"""Opinions: what the sources say of items to a user, kept as sparse as it comes: of most items most say nothing."""

from typing import Any

import numpy as np
from scipy import sparse

Array = np.ndarray[Any, Any]
CSR = sparse.csr_matrix


class Opinions:
    """What each of some relations says of items to some users; of the items that it does not mention it says 0."""

    def __init__(self, tastes: CSR, influences: CSR, relations: int = 1) -> None:
        """`tastes` is users x items; row i of `influences`, items x (relations * items), holds, relation by relation,
        the items that a taste for i speaks for."""
        users, count = tastes.shape
        told = _product(tastes, influences).reshape(users, relations, count)
        self._told = told
        self.means = told.sum(axis=2) / max(count, 1)
        """float64 (users, relations): over all items."""
        variances = np.square(told).sum(axis=2) / max(count, 1) - np.square(self.means)
        # Rounding must not make a spread out of equal values.
        self.spreads = np.sqrt(np.where(variances > 1e-12 * np.square(self.means), variances, 0.0))
        """float64 (users, relations): standard deviation over all items, 0 where all are alike."""
        self.most = told.max(axis=2, initial=0.0)
        """float64 (users, relations): the best that is said of an item."""

    def of(self, user: int, relation: int = 0) -> tuple[Array, Array]:
        """The items that are mentioned (rising), and what is said of each (float64)."""
        told = self._told[user, relation]
        columns = np.flatnonzero(told)
        return columns, told[columns]

    def about(self, user: int, items: Array) -> Array:
        """float64 (relations, items): what is said of these items."""
        return np.asarray(self._told[user, :, items].T)


class Mix:
    """One user's scores of all items: popularity with what their own taste adds to some of them."""

    def __init__(self, base: Array, order: Array, columns: Array, own: Array, barred: Array) -> None:
        """`base` is float64 (items,), `order` its items best first; `own` is added to it at `columns`.

        `barred` items are in no answer.
        """
        self._base, self._order, self._columns, self._own, self._barred = base, order, columns, own, barred
        self.allowed = np.ones(len(base), dtype=bool)
        """bool (items,): what may be answered."""
        self.allowed[barred] = False

    def best(self, n: int) -> tuple[Array, Array]:
        """The n best items that may be answered (int32) and their scores, best first; of equals the first item."""
        if n <= 0:
            return np.zeros(0, dtype=np.int32), np.zeros(0)
        counting = self.allowed[self._columns]
        near, own = self._columns[counting], self._own[counting]
        silent = self.allowed.copy()
        silent[near] = False
        most = self._order[: n + len(self._columns) + len(self._barred)]
        popular = most[silent[most]][:n]
        return first(np.concatenate([near, popular]), np.concatenate([self._base[near] + own, self._base[popular]]), n)

    def own(self, items: Array) -> Array:
        """float64: what the user's own taste adds to these items."""
        spread = np.zeros(len(self._base))
        spread[self._columns] = self._own
        return np.asarray(spread[items])

    def scores(self, items: Array) -> Array:
        """float64: the scores of these items."""
        return np.asarray(self._base[items] + self.own(items))

    def without(self, items: Array) -> "Mix":
        """The same, but that these items are barred too."""
        return Mix(self._base, self._order, self._columns, self._own, np.concatenate([self._barred, items]))


def first(items: Array, scores: Array, n: int) -> tuple[Array, Array]:
    """The n items (int32) with the largest scores, best first, and these; of equals the first item."""
    if n < len(items):
        kept = scores >= np.partition(scores, len(items) - n)[len(items) - n]
        items, scores = items[kept], scores[kept]
    order = np.lexsort((items, -scores))[:n]
    return items[order].astype(np.int32), scores[order]


def _product(tastes: CSR, influences: CSR) -> Array:
    """float64 (users * columns,): the product of both; a user's part does not depend on the users beside.

    For a single user scipy's takes thrice as long.
    """
    users, width = tastes.shape[0], influences.shape[1]
    starts = influences.indptr[tastes.indices].astype(np.int64)
    lengths = influences.indptr[tastes.indices + 1] - starts
    cells = np.arange(lengths.sum()) + np.repeat(starts - np.cumsum(lengths) + lengths, lengths)
    rows = np.repeat(np.arange(users) * width, np.diff(tastes.indptr))
    places = influences.indices[cells] + np.repeat(rows, lengths) if users > 1 else influences.indices[cells]
    weights = np.repeat(tastes.data, lengths) * influences.data[cells]
    return np.bincount(places, weights, minlength=users * width)
