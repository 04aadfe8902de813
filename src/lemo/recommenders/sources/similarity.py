"""The base of sources that score by an item-item similarity matrix."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from scipy import sparse

from lemo.recommenders.data.interactions import Interactions
from lemo.recommenders.data.source_scores import SourceScores
from lemo.recommenders.data.sparse import csr_arrays, csr_from, transposed
from lemo.recommenders.interfaces import SourceConfig

Array = np.ndarray[Any, Any]
CSR = sparse.csr_matrix


class SimilaritySource:
    """Scores an item by the weighted sum of its similarity to the items of a user's history.

    A subclass names its `Config` and implements `similarity`.
    """

    Config: ClassVar[type[SourceConfig]] = SourceConfig
    personal: ClassVar[bool] = True
    scores_unseen: ClassVar[bool] = False

    def __init__(self, config: SourceConfig, similarity: CSR, transpose: CSR | None = None) -> None:
        self._config = config
        self.transpose = transposed(similarity) if transpose is None else transpose
        """Items x items: row i holds the items that a liked i speaks for."""
        # Twice transposed, its columns rise, which takes less time than a sort.
        self.similar = similarity if similarity.has_sorted_indices else transposed(self.transpose)
        """Items x items: row j holds the items that speak for j (below 0: against it), and how much."""

    @property
    def config(self) -> SourceConfig:
        """The parameters that it was fitted with."""
        return self._config

    @classmethod
    def similarity(cls, interactions: Interactions, config: Any) -> CSR:
        """Items x items (float32): row j holds the items that speak for j, and how much; its diagonal is empty."""
        raise NotImplementedError(f"{cls.__name__} implements neither similarity nor fit_many")

    @classmethod
    def fit_many(cls, interactions: Interactions, configs: Sequence[Any]) -> Iterator[Self]:
        """One fitted source per configuration, in order."""
        for config in configs:
            yield cls(config, cls.similarity(interactions, config))

    def scores(self, queries: CSR) -> SourceScores:
        """Scores of items for users whose weighted history are the rows of `queries`."""
        # Imported here, as only what asks a model needs compiled loops.
        from lemo.recommenders.kernels.hybrid import multiply

        matrix, items = self.transpose, queries.shape[1]
        read = np.append(0, np.cumsum(matrix.indptr[queries.indices + 1] - matrix.indptr[queries.indices]))
        most = int(np.minimum(np.diff(read[queries.indptr]), items).sum())
        starts = np.zeros(queries.shape[0] + 1, dtype=np.int64)
        columns, values = np.empty(most, dtype=np.int64), np.empty(most)
        weighted = queries.indptr.astype(np.int64), queries.indices, queries.data.astype(np.float64)
        multiply(*weighted, matrix.indptr.astype(np.int64), matrix.indices, matrix.data, items, starts, columns, values)
        return SourceScores(starts, columns[: starts[-1]], values[: starts[-1]], items)

    def because(self, items: Array, queried: Array, weights: Array) -> Array:
        """Per item the liked item of the history that speaks most for it, of equals the first; or -1."""
        found = np.full(len(items), -1)
        lengths = np.diff(self.similar.indptr)[items].astype(np.int64)
        having = np.flatnonzero(lengths)
        if not len(having):
            return found
        lengths = lengths[having]
        starts = self.similar.indptr[items[having]].astype(np.int64)
        liked = np.zeros(self.similar.shape[0])
        liked[queried] = np.maximum(weights, 0)
        firsts = np.cumsum(lengths) - lengths
        cells = np.arange(lengths.sum()) + np.repeat(starts - firsts, lengths)
        near = self.similar.indices[cells]
        parts = liked[near] * self.similar.data[cells]
        most = np.maximum.reduceat(parts, firsts)
        best = np.flatnonzero(parts == np.repeat(most, lengths))
        found[having] = np.where(most > 0, near[best[np.searchsorted(best, firsts)]], -1)
        return found

    def to_arrays(self) -> dict[str, Array]:
        """Both matrices as named arrays."""
        return {**csr_arrays("similarity", self.similar), **csr_arrays("transposed", self.transpose)}

    @classmethod
    def from_arrays(cls, config: Any, arrays: Mapping[str, Array], items: int) -> Self:
        """What `to_arrays` gave; the arrays may be memory-mapped and read-only."""
        return cls(config, csr_from("similarity", arrays, items), csr_from("transposed", arrays, items))


def without_neighbours(items: int) -> CSR:
    """A similarity matrix in which nothing is similar."""
    nothing = np.zeros(0, dtype=np.float32), np.zeros(0, dtype=np.int32), np.zeros(items + 1, dtype=np.int64)
    return sparse.csr_matrix(nothing, shape=(items, items))
