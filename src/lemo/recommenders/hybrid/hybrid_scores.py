"""Hybrid scores: one user's scores of all items, from all sources."""

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


class HybridScores:
    """One user's scores of all items: those of everybody, with what personal sources add to some of them."""

    def __init__(self, base: Array, order: Array, columns: Array, own: Array, filtered: Array) -> None:
        """`base` is float64 (items,), `order` its items best first; `own` is added to it at `columns`.

        `filtered` items are in no answer.
        """
        self.base, self.order, self.columns, self._own, self._filtered = base, order, columns, own, filtered
        self.allowed = np.ones(len(base), dtype=bool)
        """bool (items,): what may be answered."""
        self.allowed[filtered] = False

    @property
    def parts(self) -> tuple[Array, Array, Array, Array, Array]:
        """What it was made of."""
        return self.base, self.order, self.columns, self._own, self._filtered

    def best(self, n: int) -> tuple[Array, Array]:
        """The n best items that may be answered (int32) and their scores, best first; of equals the first item."""
        if n <= 0:
            return np.zeros(0, dtype=np.int32), np.zeros(0)
        counting = self.allowed[self.columns]
        near, own = self.columns[counting], self._own[counting]
        rest = self.allowed.copy()
        rest[near] = False
        most = self.order[: n + len(self.columns) + len(self._filtered)]
        popular = most[rest[most]][:n]
        scores = np.concatenate([self.base[near] + own, self.base[popular]])
        return top_k(np.concatenate([near, popular]), scores, n)

    def own(self, items: Array) -> Array:
        """float64: what personal sources add to these items."""
        spread = np.zeros(len(self.base))
        spread[self.columns] = self._own
        return np.asarray(spread[items])

    def scores(self, items: Array) -> Array:
        """float64: the scores of these items."""
        return np.asarray(self.base[items] + self.own(items))

    def without(self, items: Array) -> "HybridScores":
        """The same, but that these items are filtered too."""
        filtered = np.concatenate([self._filtered, items])
        return HybridScores(self.base, self.order, self.columns, self._own, filtered)


def top_k(items: Array, scores: Array, n: int) -> tuple[Array, Array]:
    """The n items (int32) with the largest scores, best first, and these; of equals the first item."""
    if n < len(items):
        kept = scores >= np.partition(scores, len(items) - n)[len(items) - n]
        items, scores = items[kept], scores[kept]
    order = np.lexsort((items, -scores))[:n]
    return items[order].astype(np.int32), scores[order]
