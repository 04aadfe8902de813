"""Item-kNN: items are alike when the same users like them (Sarwar et al., 2001)."""

import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import Field
from scipy import sparse

from lemo.recommenders.data.interactions import Interactions
from lemo.recommenders.interfaces import SourceConfig
from lemo.recommenders.sources.similarity import SimilaritySource

Array = np.ndarray[Any, Any]
CSR = sparse.csr_matrix

LONGEST_ROW = 500
"""Items of one user that count. It bounds the number of pairs; users who like everything carry little information."""
VANISHED = 1e-9
"""Weights below this many units count as absent."""
PARTS = 8
"""Pieces of work per processor: they are alike in cost, not equal."""


class ItemKnnConfig(SourceConfig):
    """Parameters of item-kNN."""

    source: str = "item-knn"
    half_life_ms: Annotated[float, Field(gt=0)] | None = None
    """Half-life (milliseconds) of interactions; None does not decay."""
    shrinkage: Annotated[float, Field(ge=0)] = 10.0
    """The larger, the less a similarity counts that rests on few users."""
    neighbours: Annotated[int, Field(ge=1, le=1000)] = 50
    """Similar items kept for each item."""


class ItemKnn(SimilaritySource):
    """Items are similar when the same users like them."""

    Config: ClassVar[type[SourceConfig]] = ItemKnnConfig

    @classmethod
    def fit_many(cls, interactions: Interactions, configs: Sequence[ItemKnnConfig]) -> Iterator[Self]:
        """Configurations that differ only in their number of neighbours share the comparison of items."""
        for (half_life, shrinkage), group in groupby(configs, lambda config: (config.half_life_ms, config.shrinkage)):
            members = list(group)
            user_items = interactions.user_item_matrix(half_life)
            sizes = [config.neighbours for config in members]
            found = item_similarities(user_items, shrinkage, sizes, interactions.mean_weight)
            for config, similarity in zip(members, found, strict=True):
                yield cls(config, similarity)


def item_similarity(user_items: CSR, shrinkage: float, neighbours: int, unit: float = 1.0) -> CSR:
    """Items x items (float32, sorted columns, empty diagonal): each row the item's `neighbours` most similar items.

    `user_items` is users x items with positive weights (zeros and NaN count as absent). The similarity of items
    a and b is a.b / (|a| |b| + `shrinkage`), weights measured in `unit`, so that few common users are no proof.
    Of equally similar items the first counts.
    """
    similarity = item_similarities(user_items, shrinkage, [neighbours], unit)[0]
    similarity.sort_indices()
    return similarity


def item_similarities(user_items: CSR, shrinkage: float, sizes: list[int], unit: float = 1.0) -> list[CSR]:
    """`item_similarity` for several numbers of neighbours at the cost of one; columns best first."""
    ranked = Ranked.of(counting(user_items, unit))
    numbers, values = ranked.nearest(np.arange(ranked.items), shrinkage, max(sizes))
    return [_matrix(numbers[:, :size], values[:, :size]) for size in sizes]


def counting(user_items: CSR, unit: float = 1.0) -> CSR:
    """The weights that count, float32, in units: no zeros, no NaN, and of long rows only the strongest."""
    matrix = user_items.astype(np.float64)
    there = matrix.data > VANISHED * unit
    if not there.all():
        matrix.data = np.where(there, matrix.data, 0.0)
        matrix.eliminate_zeros()
    if matrix.nnz and np.diff(matrix.indptr).max() > LONGEST_ROW:
        matrix = largest(matrix, LONGEST_ROW)
    matrix.data /= unit
    return matrix.astype(np.float32)


def largest(matrix: CSR, k: int) -> CSR:
    """The k largest positive values of each row; of equal ones the first column's."""
    from lemo.recommenders.kernels.similarity import mark_largest

    kept = np.zeros(matrix.nnz, dtype=np.bool_)
    mark_largest(
        matrix.indptr.astype(np.int64),
        matrix.indices.astype(np.uint32),
        matrix.data.astype(np.float32),
        max(k, 1),
        kept,
    )
    starts = np.append(0, np.cumsum(kept))[matrix.indptr]
    return sparse.csr_matrix((matrix.data[kept], matrix.indices[kept], starts), shape=matrix.shape)


@dataclass(frozen=True, eq=False)
class Ranked:
    """Users x items by user and by item, with items in the order of popularity, ready to be compared."""

    order: Array
    """int64 (items,): the item in each place."""
    places: Array
    """int64 (items,): the place of each item."""
    by_user: CSR
    by_item: CSR
    norms: Array
    """float64 (items,): the length of the item in each place."""

    @classmethod
    def of(cls, user_items: CSR) -> "Ranked":
        """Orders the columns of users x items (float32, no zeros)."""
        items = int(user_items.shape[1])
        order = np.argsort(-np.bincount(user_items.indices, minlength=items), kind="stable")
        places = np.empty(items, dtype=np.int64)
        places[order] = np.arange(items)
        indices = places[user_items.indices].astype(np.int32)
        by_item = sparse.csr_matrix((user_items.data, indices, user_items.indptr), shape=user_items.shape).T.tocsr()
        norms = np.sqrt(_row_sums(np.square(by_item.data, dtype=np.float64), by_item.indptr))
        # Twice transposed: sorted within each user, without a sort.
        return cls(order, places, by_item.T.tocsr(), by_item, norms)

    @property
    def items(self) -> int:
        """How many items there are."""
        return len(self.order)

    def nearest(self, items: Array, shrinkage: float, k: int) -> tuple[Array, Array]:
        """Each of these items' most similar ones, best first: int32 (items, k), -1 where there are no more, and
        float32 (items, k), 0 where there are no more."""
        from lemo.recommenders.kernels.similarity import nearest

        rows = self.places[items]
        width = max(min(k, self.items - 1), 1)
        numbers = np.empty((len(rows), width), dtype=np.int32)
        values = np.empty((len(rows), width), dtype=np.float32)
        # In the order of popularity, where neighbours in a share have users in common.
        dealt = np.argsort(rows, kind="stable")
        shares = [dealt[start:end] for start, end in _parts(self._costs()[rows[dealt]])]
        by_user, by_item = flat(self.by_user), flat(self.by_item)

        def work(share: Array) -> None:
            keys = np.zeros((len(share), width), dtype=np.uint64)
            nearest(rows[share], *by_user, *by_item, self.norms, float(shrinkage), self.order, width, keys)
            keys.sort(axis=1)
            halves = np.ascontiguousarray(keys[:, ::-1]).view(np.uint32).reshape(len(share), width, 2)
            low, high = (0, 1) if sys.byteorder == "little" else (1, 0)
            # The complement; a key of 0, which nobody has, becomes -1.
            numbers[share] = np.where(halves[..., high] == 0, np.uint32(0xFFFFFFFF), ~halves[..., low]).view(np.int32)
            values[share] = halves[..., high].view(np.float32)

        with ThreadPoolExecutor(processors()) as threads:
            list(threads.map(work, shares))
        return numbers, values

    def _costs(self) -> Array:
        """int64 (items,): what it costs to compare the item in each place with all others."""
        lengths = np.diff(self.by_user.indptr)[self.by_item.indices]
        return _row_sums(lengths.astype(np.int64), self.by_item.indptr) + self.items // 8


def _matrix(numbers: Array, values: Array) -> CSR:
    """Items x items from each item's neighbours."""
    there = numbers >= 0
    if there.all():
        starts = np.arange(len(numbers) + 1) * numbers.shape[1]
        return sparse.csr_matrix((values.ravel(), numbers.ravel(), starts), shape=(len(numbers), len(numbers)))
    starts = np.append(0, np.cumsum(there.sum(axis=1)))
    return sparse.csr_matrix((values[there], numbers[there], starts), shape=(len(numbers), len(numbers)))


def _row_sums(values: Array, starts: Array) -> Array:
    """The sum of each row's values."""
    sums = np.zeros(len(starts) - 1, dtype=values.dtype)
    filled = starts[1:] > starts[:-1]
    if filled.any():
        sums[filled] = np.add.reduceat(values, starts[:-1][filled])
    return sums


def flat(matrix: CSR) -> tuple[Array, Array, Array]:
    """The matrix's arrays in the one type that the kernel is compiled for."""
    return matrix.indptr.astype(np.int64), matrix.indices.view(np.uint32), matrix.data


def _parts(costs: Array) -> Iterator[tuple[int, int]]:
    """Ranges of about the same cost."""
    total = np.cumsum(costs)
    if len(total):
        cuts = np.searchsorted(total, np.linspace(0, total[-1], PARTS * processors() + 1)[1:-1])
        yield from pairwise(np.unique([0, *cuts, len(total)]).tolist())


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
