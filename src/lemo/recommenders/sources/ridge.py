"""Neighbourhood ridge: each item regressed on its nearest neighbours alone, which is SLIM in closed form.

Ning, Karypis, 2011 (SLIM); Steck, 2019 (EASE, the closed form over all items). With k neighbours an item costs k**3, so
a catalogue costs in proportion to its items, where EASE costs their number to the third.
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
from lemo.recommenders.sources.item_knn import flat, item_similarity, largest, processors
from lemo.recommenders.sources.similarity import SimilaritySource

Array = np.ndarray[Any, Any]
CSR = sparse.csr_matrix

MOST_ITEMS = 30_000
"""Above, item-kNN serves instead: solving would cost training minutes."""
CHUNK_CELLS = 2_000_000
"""Cells of the systems that a thread solves at once."""


class RidgeConfig(SourceConfig):
    """Parameters of the neighbourhood ridge."""

    source: str = "ridge"
    half_life_ms: Annotated[float, Field(gt=0)] | None = None
    """Half-life (milliseconds) of interactions; None does not decay."""
    penalty: Annotated[float, Field(gt=0)] = 20.0
    """Added to each item's squared norm; the larger, the less a coefficient counts that rests on few users."""
    neighbours: Annotated[int, Field(ge=1, le=300)] = 30
    """Nearest items on which each item is regressed."""
    shrinkage: Annotated[float, Field(ge=0)] = 20.0
    """Shrinkage of the similarity that finds the nearest items."""


class Ridge(SimilaritySource):
    """Each item regressed on its nearest items; item-kNN serves instead where the catalogue is too large."""

    Config: ClassVar[type[SourceConfig]] = RidgeConfig

    @classmethod
    def fit_many(cls, interactions: Interactions, configs: Sequence[RidgeConfig]) -> Iterator[Self]:
        """Configurations that differ only in their penalty share similarities and systems."""
        unit = interactions.mean_weight
        alike = groupby(configs, lambda config: (config.half_life_ms, config.shrinkage, config.neighbours))
        for (half_life, shrinkage, neighbours), group in alike:
            members = list(group)
            user_items = interactions.user_item_matrix(half_life)
            similarity = item_similarity(user_items, shrinkage, neighbours, unit)
            if similarity.shape[0] > MOST_ITEMS:
                found = [similarity] * len(members)
            else:
                penalties = [config.penalty for config in members]
                found = neighbourhood_ridges(user_items, similarity, neighbours, penalties, unit)
            for config, matrix in zip(members, found, strict=True):
                yield cls(config, matrix)


def neighbourhood_ridges(
    user_items: CSR, similarity: CSR, neighbours: int, penalties: Sequence[float], unit: float = 1.0
) -> list[CSR]:
    """Per penalty, items x items (float32, sorted, empty diagonal): what a taste for a neighbour says of an item.

    `user_items` is users x items with positive weights, `similarity` items x items as `item_similarity` gives it; of
    each row the `neighbours` most similar items explain the row's item. A penalty is added to the squared norm of every
    item, weights measured in `unit`. Coefficients may be negative.
    """
    items = int(user_items.shape[1])
    near = largest(similarity, neighbours)
    near.sort_indices()
    lengths = np.diff(near.indptr)
    width = int(lengths.max(initial=0))
    if width == 0:
        return [near.astype(np.float32) for _ in penalties]
    there = np.arange(width) < lengths[:, None]
    explaining = np.full((items, width), -1, dtype=np.int64)
    explaining[there] = near.indices
    by_user = (user_items.astype(np.float32) / np.float32(unit)).tocsr()
    by_item = by_user.T.tocsr()
    found = [np.empty((items, width), dtype=np.float32) for _ in penalties]
    height = max(CHUNK_CELLS // (width * width), 1)

    def solve(start: int) -> None:
        block = slice(start, start + height)
        systems, wanted = _systems(explaining[block], start, by_user, by_item)
        diagonal = systems[:, np.arange(width), np.arange(width)]
        for values, penalty in zip(found, penalties, strict=True):
            systems[:, np.arange(width), np.arange(width)] = diagonal + np.float32(penalty)
            values[block] = np.linalg.solve(systems, wanted[:, :, None])[:, :, 0]

    # Each system is far too small to share between threads; blocks of them are not.
    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(processors()) as threads:
        list(threads.map(solve, range(0, items, height)))
    return [sparse.csr_matrix((values[there], near.indices, near.indptr), shape=(items, items)) for values in found]


def _systems(explaining: Array, first: int, by_user: CSR, by_item: CSR) -> tuple[Array, Array]:
    """For items from `first` on: common weights of those that explain each (rows, k, k), and theirs with it (rows, k).

    Absent ones (-1) have nothing in common with any.
    """
    from lemo.recommenders.kernels.similarity import common_weights

    rows, width = explaining.shape
    cells = np.flatnonzero(explaining.ravel() >= 0)
    cells = cells[np.argsort(explaining.ravel()[cells], kind="stable")]
    starts = np.searchsorted(explaining.ravel()[cells], np.arange(by_item.shape[0] + 1))
    systems = np.zeros((rows, width, width), dtype=np.float32)
    wanted = np.zeros((rows, width), dtype=np.float32)
    common_weights(starts, cells, explaining, first, *flat(by_user), *flat(by_item), systems, wanted)
    return systems, wanted
