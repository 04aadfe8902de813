"""Neighbourhood ridge: each item regressed on its nearest items, which is SLIM in closed form.

Ning, Karypis, 2011 (SLIM); Steck, 2019 (EASE, the closed form over all items); Steck, 2020 (EDLAE: dropout as a part of
each item's own norm on the diagonal). With k neighbours an item costs k**3, so that a catalogue costs in proportion to
its items, where EASE costs their number to the third.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import Field
from scipy import sparse
from threadpoolctl import threadpool_limits

from lemo.recommenders.data.interactions import Interactions
from lemo.recommenders.interfaces import SourceConfig
from lemo.recommenders.sources.item_knn import Ranked, counting, processors
from lemo.recommenders.sources.similarity import SimilaritySource, without_neighbours

Array = np.ndarray[Any, Any]
CSR = sparse.csr_matrix

MOST_ITEMS = 30_000
"""Above, item-kNN serves instead: solving would cost training minutes."""
Neighbours = Annotated[int, Field(ge=1, le=300)]


class RidgeConfig(SourceConfig):
    """Parameters of the neighbourhood ridge."""

    source: str = "ridge"
    half_life_ms: Annotated[float, Field(gt=0)] | None = None
    """Half-life (milliseconds) of interactions; None does not decay."""
    penalty: Annotated[float, Field(gt=0)] = 20.0
    """Added to each item's squared norm; the larger, the less a coefficient counts that rests on few users."""
    dropout: Annotated[float, Field(ge=0)] = 0.3
    """Part of each item's own squared norm that is added too: p / (1 - p) of a dropout p."""
    popularity_exponent: Annotated[float, Field(ge=-1, le=1)] = 0.0
    """An item's scores are divided by its number of users to this power; above 0, rare items gain."""
    neighbours: tuple[Neighbours, ...] = (30, 50, 100)
    """Numbers of nearest items on which each item is regressed; the coefficients are the mean over these."""
    shrinkage: Annotated[float, Field(ge=0)] = 20.0
    """Shrinkage of the undecayed similarity that finds the nearest items."""


class Ridge(SimilaritySource):
    """Each item regressed on its nearest items; item-kNN serves instead where the catalogue is too large."""

    Config: ClassVar[type[SourceConfig]] = RidgeConfig

    @classmethod
    def fit_many(cls, interactions: Interactions, configs: Sequence[RidgeConfig]) -> Iterator[Self]:
        """Configurations with the same half-life and neighbours share nearest items and their systems."""
        unit = interactions.mean_weight
        undecayed = counting(interactions.user_item_matrix(), unit)
        users = np.maximum(np.bincount(undecayed.indices, minlength=undecayed.shape[1]), 1)
        ranked, found_for = Ranked.of(undecayed), (-1.0, 0)
        alike = groupby(configs, lambda config: (config.half_life_ms, config.shrinkage, config.neighbours))
        for (half_life, shrinkage, neighbours), group in alike:
            members = list(group)
            if (shrinkage, max(neighbours)) != found_for:  # half-lives share them
                near, values = ranked.nearest(np.arange(ranked.items), shrinkage, max(neighbours))
                found_for = shrinkage, max(neighbours)
            settings = list(dict.fromkeys((config.penalty, config.dropout) for config in members))
            if undecayed.shape[1] > MOST_ITEMS:
                found = [_matrix(near, values)] * len(settings)
            else:
                weighted = counting(interactions.user_item_matrix(half_life), unit) if half_life else undecayed
                found = neighbourhood_ridges(weighted, near, neighbours, settings)
            matrices = dict(zip(settings, found, strict=True))
            for config in members:
                factors = users.astype(np.float64) ** -config.popularity_exponent
                yield cls(config, _scaled(matrices[config.penalty, config.dropout], factors))


def neighbourhood_ridges(
    user_items: CSR, near: Array, sizes: Sequence[int], settings: Sequence[tuple[float, float]]
) -> list[CSR]:
    """Per setting (penalty, dropout), items x items (float32): row j holds what a liked item says of j.

    `user_items` is users x items (float32, positive, in units of a typical weight), `near` int32 (items, k): each
    item's most similar items, best first, -1 where there are no more. Coefficients may be negative; they are the mean
    over the neighbourhoods of these `sizes`.
    """
    from lemo.recommenders.kernels.ridge import regress

    items = int(user_items.shape[1])
    if not near.size or items < 2:
        return [without_neighbours(items) for _ in settings]
    common = (user_items.T @ user_items).tocsr()
    common.sort_indices()
    penalties, dropouts = (np.array(values, dtype=np.float32) for values in zip(*settings, strict=True))
    found = np.zeros((len(settings), items, near.shape[1]), dtype=np.float32)
    gram = common.indptr.astype(np.int64), common.indices, common.data.astype(np.float32)
    norms = common.diagonal().astype(np.float32)
    about = near, *gram, norms, penalties, dropouts, np.array(sorted(sizes), dtype=np.int64)
    threads = processors()
    # Dealt out in turns: popular items, whose rows are long, may have neighbouring numbers.
    shares = [np.arange(first, items, 8 * threads) for first in range(8 * threads)]
    # Each system is far too small to share between threads; items are not.
    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda share: regress(share, *about, found), shares))
    return [_matrix(near, values) for values in found]


def _matrix(near: Array, values: Array) -> CSR:
    """Items x items (float32, sorted) with these values at the nearest items of each row."""
    there = near >= 0
    starts = np.append(0, np.cumsum(there.sum(axis=1)))
    cells = values[there].astype(np.float32), near[there], starts
    matrix = sparse.csr_matrix(cells, shape=(len(near), len(near)))
    matrix.sort_indices()
    return matrix


def _scaled(matrix: CSR, factors: Array) -> CSR:
    """The matrix with each row times its factor."""
    data = matrix.data * np.repeat(factors, np.diff(matrix.indptr)).astype(np.float32)
    scaled = sparse.csr_matrix((data, matrix.indices, matrix.indptr), shape=matrix.shape)
    scaled.has_sorted_indices = True
    return scaled
