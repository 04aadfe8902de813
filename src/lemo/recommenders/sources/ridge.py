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

from lemo.recommenders.data.interactions import Interactions
from lemo.recommenders.interfaces import SourceConfig
from lemo.recommenders.sources.item_knn import Ranked, counting, flat, processors
from lemo.recommenders.sources.similarity import SimilaritySource, without_neighbours

Array = np.ndarray[Any, Any]
CSR = sparse.csr_matrix

MOST_ITEMS = 30_000
"""Above, item-kNN serves instead: solving would cost training minutes."""
PACKED = 4_000
"""The most popular items, whose Gram matrix stands in a triangle of at most 32 MB: a system is then read cell by cell.
Others have few users, and few items in common."""
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
        users = _users(undecayed)
        ranked, found_for = Ranked.of(undecayed), (-1.0, 0)
        alike = groupby(configs, lambda config: (config.half_life_ms, config.shrinkage, config.neighbours))
        for (half_life, shrinkage, neighbours), group in alike:
            members = list(group)
            if (shrinkage, max(neighbours)) != found_for:  # half-lives share them
                near, values = ranked.nearest(np.arange(ranked.items), shrinkage, max(neighbours))
                found_for = shrinkage, max(neighbours)
            settings = list(dict.fromkeys((config.penalty, config.dropout) for config in members))
            if undecayed.shape[1] > MOST_ITEMS:
                found = _matrices(near, values[None]) * len(settings)
            else:
                weighted = counting(interactions.user_item_matrix(half_life), unit) if half_life else undecayed
                found = neighbourhood_ridges(weighted, near, neighbours, settings)
            matrices = dict(zip(settings, found, strict=True))
            for config in members:
                factors = users**-config.popularity_exponent
                yield cls(config, _scaled(matrices[config.penalty, config.dropout], factors))


def users_of_items(interactions: Interactions) -> Array:
    """float64 (items,): how many users like each item, at least 1: what the popularity exponent is of."""
    return _users(counting(interactions.user_item_matrix(), interactions.mean_weight))


def _users(counted: CSR) -> Array:
    return np.maximum(np.bincount(counted.indices, minlength=counted.shape[1]), 1).astype(np.float64)


def neighbourhood_ridges(
    user_items: CSR, near: Array, sizes: Sequence[int], settings: Sequence[tuple[float, float]]
) -> list[CSR]:
    """Per setting (penalty, dropout), items x items (float32): row j holds what a liked item says of j.

    `user_items` is users x items (float32, positive, in units of a typical weight), `near` int32 (items, k): each
    item's most similar items, best first, -1 where there are no more. Coefficients may be negative; they are the mean
    over the neighbourhoods of these `sizes`.
    """
    from lemo.recommenders.kernels.ridge import fill_triangle, regress

    items = int(user_items.shape[1])
    if not near.size or items < 2:
        return [without_neighbours(items) for _ in settings]
    ranked = Ranked.of(user_items)
    packed = min(items, PACKED)
    triangle = np.zeros(packed * (packed - 1) // 2, dtype=np.float32)
    others = sparse.csr_matrix(ranked.by_item[packed:] @ ranked.by_user)
    gram = triangle, packed, others.indptr.astype(np.int64), others.indices, others.data
    numbered = np.where(near >= 0, ranked.places[near], -1).astype(np.int32)[ranked.order]
    penalties, dropouts = (np.array(values, dtype=np.float32) for values in zip(*settings, strict=True))
    found = np.zeros((len(settings), *near.shape), dtype=np.float32)
    norms = np.square(ranked.norms).astype(np.float32)
    about = numbered, *gram, norms, penalties, dropouts, np.array(sorted(sizes), dtype=np.int64), ranked.order
    by_item, by_user = flat(ranked.by_item), flat(ranked.by_user)
    threads = processors()

    def dealt(count: int) -> list[Array]:
        """In turns, as the most popular items cost most."""
        return [np.arange(first, count, 8 * threads) for first in range(8 * threads)]

    # Each system is far too small to share between threads; items are not.
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda share: fill_triangle(share, *by_item, *by_user, triangle), dealt(packed)))
        list(pool.map(lambda share: regress(share, *about, found), dealt(items)))
    return _matrices(near, found)


def _matrices(near: Array, found: Array) -> list[CSR]:
    """Items x items (float32, sorted) for each of `found` (n, items, k): its values at each row's nearest items."""
    items = len(near)
    order = np.argsort(near, axis=1)
    columns = np.take_along_axis(near, order, axis=1)
    there = columns >= 0
    starts, columns = np.append(0, np.cumsum(there.sum(axis=1))), columns[there]
    matrices = []
    for values in found:
        cells = np.take_along_axis(values, order, axis=1)[there], columns, starts
        matrix = sparse.csr_matrix(cells, shape=(items, items))
        matrix.has_sorted_indices = True
        matrices.append(matrix)
    return matrices


def _scaled(matrix: CSR, factors: Array) -> CSR:
    """The matrix with each row times its factor."""
    data = matrix.data * np.repeat(factors, np.diff(matrix.indptr)).astype(np.float32)
    scaled = sparse.csr_matrix((data, matrix.indices, matrix.indptr), shape=matrix.shape)
    scaled.has_sorted_indices = True
    return scaled
