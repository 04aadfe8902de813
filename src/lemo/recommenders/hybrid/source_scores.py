"""Opinions: what the sources say of items to a user, kept as sparse as it comes: of most items most say nothing."""

from typing import Any

import numpy as np
from scipy import sparse

Array = np.ndarray[Any, Any]
CSR = sparse.csr_matrix

FEW_USERS = 8
"""More users than these are worth numba."""


class SourceScores:
    """What each of some relations says of items to some users; of the items that it does not mention it says 0."""

    def __init__(self, tastes: CSR, influences: CSR, relations: int = 1) -> None:
        """`user_item_matrix` is users x items; row i of `influences`, items x (relations * items), holds, relation by relation,
        the items that a taste for i speaks for.

        What is said to a user does not depend on the users beside, to the last bit: sums are taken in one order.
        """
        users, count = tastes.shape
        self._relations = relations
        lines = users * relations
        told = _told_to_many if users > FEW_USERS else _told_to_few
        self._starts, self._columns, self._values = told(tastes, influences, lines, count)
        sizes = np.diff(self._starts)
        owners = np.repeat(np.arange(lines), sizes)
        means, squares = (
            np.bincount(owners, values, lines).reshape(users, relations) / max(count, 1)
            for values in (self._values, np.square(self._values))
        )
        self.means = means
        """float64 (users, relations): over all items."""
        variances = squares - np.square(means)
        # Rounding must not make a spread out of equal values.
        self.spreads = np.sqrt(np.where(variances > 1e-12 * np.square(means), variances, 0.0))
        """float64 (users, relations): standard deviation over all items, 0 where all are alike."""
        most = np.zeros(lines)
        if len(self._values):
            most[sizes > 0] = np.maximum.reduceat(self._values, self._starts[:-1][sizes > 0])
        self.most = np.maximum(most, 0.0).reshape(users, relations)
        """float64 (users, relations): the best that is said of an item."""

    def of(self, user: int, relation: int = 0) -> tuple[Array, Array]:
        """The items that are mentioned (rising), and what is said of each (float64)."""
        line = user * self._relations + relation
        cells = slice(self._starts[line], self._starts[line + 1])
        return self._columns[cells], self._values[cells]

    def lines(self, user: int) -> tuple[Array, Array, Array]:
        """Where the cells of each relation begin and end (relations + 1), all items, and all that is said."""
        line = user * self._relations
        return self._starts[line : line + self._relations + 1], self._columns, self._values

    def about(self, user: int, items: Array) -> Array:
        """float64 (relations, items): what is said of these items."""
        said = np.zeros((self._relations, len(items)))
        for relation in range(self._relations):
            columns, values = self.of(user, relation)
            if len(columns):
                places = np.minimum(np.searchsorted(columns, items), len(columns) - 1)
                said[relation] = np.where(columns[places] == items, values[places], 0.0)
        return said


class HybridScores:
    """One user's scores of all items: popularity with what their own taste adds to some of them."""

    def __init__(self, base: Array, order: Array, columns: Array, own: Array, barred: Array) -> None:
        """`base` is float64 (items,), `order` its items best first; `own` is added to it at `columns`.

        `barred` items are in no answer.
        """
        self._base, self._order, self._columns, self._own, self._barred = base, order, columns, own, barred
        self.allowed = np.ones(len(base), dtype=bool)
        """bool (items,): what may be answered."""
        self.allowed[barred] = False

    @property
    def parts(self) -> tuple[Array, Array, Array, Array, Array]:
        """What it was made of."""
        return self._base, self._order, self._columns, self._own, self._barred

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

    def without(self, items: Array) -> "HybridScores":
        """The same, but that these items are barred too."""
        return HybridScores(self._base, self._order, self._columns, self._own, np.concatenate([self._barred, items]))


def first(items: Array, scores: Array, n: int) -> tuple[Array, Array]:
    """The n items (int32) with the largest scores, best first, and these; of equals the first item."""
    if n < len(items):
        kept = scores >= np.partition(scores, len(items) - n)[len(items) - n]
        items, scores = items[kept], scores[kept]
    order = np.lexsort((items, -scores))[:n]
    return items[order].astype(np.int32), scores[order]


def _told_to_few(tastes: CSR, influences: CSR, lines: int, count: int) -> tuple[Array, Array, Array]:
    """What is said to each user by each relation, as sparse rows: starts, columns (rising) and values (float64).

    For a single user scipy's product takes thrice as long.
    """
    users, width = tastes.shape[0], influences.shape[1]
    starts = influences.indptr[tastes.indices].astype(np.int64)
    lengths = influences.indptr[tastes.indices + 1] - starts
    cells = np.arange(lengths.sum()) + np.repeat(starts - np.cumsum(lengths) + lengths, lengths)
    rows = np.repeat(np.arange(users) * width, np.diff(tastes.indptr))
    places = influences.indices[cells] + np.repeat(rows, lengths) if users > 1 else influences.indices[cells]
    weights = np.repeat(tastes.data.astype(np.float64), lengths) * influences.data[cells]
    told = np.bincount(places, weights, minlength=users * width)
    mentioned = np.flatnonzero(told != 0)  # of bools it is found several times faster
    edges = np.searchsorted(mentioned, np.arange(lines + 1) * count)
    return edges, mentioned % max(count, 1), told[mentioned]


def _told_to_many(tastes: CSR, influences: CSR, lines: int, count: int) -> tuple[Array, Array, Array]:
    """The same by a kernel, which a process that answers requests need not load."""
    from lemo.recommenders.kernels.hybrid import told

    read = np.append(0, np.cumsum(influences.indptr[tastes.indices + 1] - influences.indptr[tastes.indices]))
    most = int(np.minimum(np.diff(read[tastes.indptr]), influences.shape[1]).sum())
    starts = np.zeros(lines + 1, dtype=np.int64)
    columns, values = np.empty(most, dtype=np.int64), np.empty(most)
    likes = tastes.indptr.astype(np.int64), tastes.indices, tastes.data.astype(np.float64)
    told(
        *likes, influences.indptr.astype(np.int64), influences.indices, influences.data, count, starts, columns, values
    )
    return starts, columns[: starts[-1]], values[: starts[-1]]
