"""Source scores: sparse scores of items for some users; an item that is not there has the score 0."""

from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

Array = np.ndarray[Any, Any]
CSR = sparse.csr_matrix


class SourceScores:
    """Scores of one source: one sparse row per user, columns rising, with the moments that z-scores need."""

    def __init__(self, starts: Array, columns: Array, values: Array, items: int) -> None:
        """`starts` is int64 (users + 1,); `columns` (int64) and `values` (float64) are the cells, without zeros."""
        self.starts, self.columns, self.values, self.items = starts, columns, values, items

    @classmethod
    def of(cls, matrix: CSR) -> "SourceScores":
        """The scores in a sparse matrix, users x items."""
        scores = matrix.astype(np.float64)
        scores.sum_duplicates()
        scores.eliminate_zeros()
        starts, columns = scores.indptr.astype(np.int64), scores.indices.astype(np.int64)
        return cls(starts, columns, scores.data, int(matrix.shape[1]))

    def __len__(self) -> int:
        return len(self.starts) - 1

    def row(self, user: int) -> tuple[Array, Array]:
        """The items with a score (rising), and the scores (float64)."""
        cells = slice(self.starts[user], self.starts[user + 1])
        return self.columns[cells], self.values[cells]

    def times(self, factors: Array) -> "SourceScores":
        """The same with each item's scores times its factor (float64 (items,), none 0)."""
        return SourceScores(self.starts, self.columns, self.values * factors[self.columns], self.items)

    @cached_property
    def means(self) -> Array:
        """float64 (users,): mean over all items."""
        return self._sums(self.values) / max(self.items, 1)

    @cached_property
    def deviations(self) -> Array:
        """float64 (users,): standard deviation over all items, 0 where all are alike."""
        variances = self._sums(np.square(self.values)) / max(self.items, 1) - np.square(self.means)
        # Rounding must not make a deviation out of equal values.
        return np.sqrt(np.where(variances > 1e-12 * np.square(self.means), variances, 0.0))

    @cached_property
    def best(self) -> Array:
        """float64 (users,): the largest score, at least 0."""
        best = np.zeros(len(self))
        filled = self.starts[1:] > self.starts[:-1]
        if filled.any():
            best[filled] = np.maximum.reduceat(self.values, self.starts[:-1][filled])
        return np.maximum(best, 0.0)

    @cached_property
    def _owners(self) -> Array:
        return np.repeat(np.arange(len(self)), np.diff(self.starts))

    def _sums(self, values: Array) -> Array:
        return np.bincount(self._owners, values, len(self))
