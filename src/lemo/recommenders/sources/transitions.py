"""Transitions: what users take up after what, and how soon.

The three weights of STAN (Garg et al., 2019; Ludewig et al., 2021), in the form of an item-item matrix: recent
histories count more (`half_life_share`), items that stand near each other in a history count more (`fading`), and the
newest items of the user who is asked count more (`sharpness`). A matrix answers and explains as the other sources do,
where V-SKNN and STAN look up neighbouring sessions at each request.
"""

import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import Field
from scipy import sparse

from lemo.recommenders.data.interactions import Interactions
from lemo.recommenders.data.source_scores import SourceScores
from lemo.recommenders.data.weighting import decay
from lemo.recommenders.interfaces import SourceConfig
from lemo.recommenders.sources.item_knn import VANISHED, processors
from lemo.recommenders.sources.similarity import SimilaritySource, without_neighbours

Array = np.ndarray[Any, Any]
CSR = sparse.csr_matrix

MOST_BESIDE = 50
"""Interactions before and after one that are looked at: large baskets would cost their square."""
WINDOW = 10
"""Moments of a history that two interactions may be apart."""


class TransitionsConfig(SourceConfig):
    """Parameters of transitions."""

    source: str = "transitions"
    half_life_share: Annotated[float, Field(gt=0)] | None = 0.1
    """Half-life of interactions as a part of the span of time; None does not decay."""
    fading: Annotated[float, Field(gt=0, le=1)] = 0.7
    """Weight of a further moment between two interactions of a history."""
    backward: Annotated[float, Field(ge=0, le=1)] = 0.3
    """What an item says of those before it, as part of what it says of those after it."""
    shrinkage: Annotated[float, Field(ge=0)] = 10.0
    """The larger, the less a transition counts that rests on few users."""
    neighbours: Annotated[int, Field(ge=1, le=1000)] = 100
    """Items kept that speak for each item."""
    sharpness: Annotated[float, Field(gt=0, le=100)] = 4.0
    """Exponent of the weights of a user's history: the half-life of a query is divided by it."""


class Transitions(SimilaritySource):
    """An item follows from those that users took up shortly before it."""

    Config: ClassVar[type[SourceConfig]] = TransitionsConfig

    @classmethod
    def fit_many(cls, interactions: Interactions, configs: Sequence[TransitionsConfig]) -> Iterator[Self]:
        """One fitted source per configuration, in order; the histories are put in order once."""
        histories = _Histories(interactions)
        for config in configs:
            yield cls(config, histories.transitions(config))

    def scores(self, queries: CSR) -> SourceScores:
        """Scores of items for users whose weighted history are the rows of `queries`; the newest items count most."""
        return super().scores(_sharpened(queries, self._sharpness))

    @property
    def _sharpness(self) -> float:
        return TransitionsConfig.model_validate(self.config.model_dump()).sharpness


class _Histories:
    """The positive interactions by user, then time; several of one item in a row are one."""

    def __init__(self, interactions: Interactions) -> None:
        rows = interactions.positives
        rows = rows.where(np.lexsort((rows.items, rows.timestamps, rows.users)))
        again = np.zeros(len(rows), dtype=bool)
        again[1:] = (rows.users[1:] == rows.users[:-1]) & (rows.items[1:] == rows.items[:-1])
        self.rows = rows.where(~again)
        self._ages = interactions.timeline.ages(self.rows.timestamps)
        self._unit = interactions.mean_weight
        self._span = interactions.span
        self._items = len(interactions.item_ids)

    def transitions(self, config: TransitionsConfig) -> CSR:
        """Items x items (float32, sorted, empty diagonal): row j holds the items that j follows, and how surely."""
        from lemo.recommenders.kernels.transitions import follow

        rows, items = self.rows, self._items
        if not len(rows):
            return without_neighbours(items)
        half_life = config.half_life_share and config.half_life_share * self._span
        weights = rows.weights.astype(np.float64) / self._unit * decay(self._ages, half_life)
        weights[weights <= VANISHED] = 0
        bounds = np.flatnonzero(np.append(True, rows.users[1:] != rows.users[:-1]))
        lengths = np.diff(np.append(bounds, len(rows)))
        later = np.append(False, rows.timestamps[1:] != rows.timestamps[:-1])
        firsts, ends = np.repeat(bounds, lengths), np.repeat(bounds + lengths, lengths)
        moments = np.cumsum(later)  # distances are taken within a history only
        places = np.argsort(rows.items, kind="stable").astype(np.int64)
        starts = np.searchsorted(rows.items[places], np.arange(items + 1)).astype(np.int64)
        fading = np.append(0.0, config.fading ** np.arange(WINDOW))
        about = starts, places, firsts, ends, rows.items.astype(np.int64), moments, weights, fading, config.backward
        norms = np.bincount(rows.items, weights, items)
        width = min(config.neighbours, items)
        keys = np.zeros((items, width), dtype=np.uint64)
        # Dealt out in turns: popular items, which cost most, may have neighbouring numbers.
        shares = [np.arange(first, items, 8 * processors()) for first in range(min(8 * processors(), items))]

        def work(share: Array) -> None:
            found = np.zeros((len(share), width), dtype=np.uint64)
            follow(share, *about, MOST_BESIDE, norms, config.shrinkage, width, found)
            keys[share] = found

        with ThreadPoolExecutor(processors()) as threads:
            list(threads.map(work, shares))
        return _matrix(keys)


def _matrix(keys: Array) -> CSR:
    """Items x items of each item's keys (`kernels/similarity.py`)."""
    halves = keys.view(np.uint32).reshape(*keys.shape, 2)
    low, high = (0, 1) if sys.byteorder == "little" else (1, 0)
    there = keys > 0
    starts = np.append(0, np.cumsum(there.sum(axis=1)))
    cells = halves[..., high][there].view(np.float32), (~halves[..., low][there]).view(np.int32), starts
    matrix = sparse.csr_matrix(cells, shape=(len(keys), len(keys)))
    matrix.sort_indices()
    return matrix


def _sharpened(queries: CSR, sharpness: float) -> CSR:
    """The queries with their weights, as parts of the largest of each row, to this power; signs stay."""
    sizes = np.diff(queries.indptr)
    largest = np.zeros(queries.shape[0])
    filled = sizes > 0
    if filled.any():
        largest[filled] = np.maximum.reduceat(np.abs(queries.data), queries.indptr[:-1][filled])
    parts = queries.data / np.maximum(np.repeat(largest, sizes), np.finfo(np.float64).tiny)
    data = np.sign(parts) * np.abs(parts) ** sharpness
    return sparse.csr_matrix((data, queries.indices, queries.indptr), shape=queries.shape)
