"""The grid: every mix that selection may choose, judged on a window while each source is fitted only once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby, product
from typing import Any

import numpy as np
from scipy import sparse

from lemo.recommenders.evaluation.metrics import hits_of, ideal, ndcg
from lemo.recommenders.evaluation.splits import Split
from lemo.recommenders.hybrid.hybrid import LARGEST_SHARE, HybridConfig
from lemo.recommenders.sources.item_knn import item_similarities
from lemo.recommenders.sources.popularity import popularity, z_scores
from lemo.recommenders.sources.ridge import neighbourhood_ridges

Array = np.ndarray[Any, Any]
CSR = sparse.csr_matrix

POPULARITY_SPANS = (None, 0.1, 0.03, 0.01, 0.005)
"""Half-lives of popularity as parts of the span of time."""
BEHAVIOUR_SPANS = (1.0, 0.3, 0.1, 0.05)
"""Half-lives of behaviour as parts of the span of time."""
SHRINKAGE = 20.0
NEIGHBOURS = (100, 20)
EXPLAINING = 30
"""Neighbours of a ridge: more cost their third power and were no better on any public data set tried."""
PENALTIES = (5.0, 20.0, 100.0)
SHARES = (0.05, 0.1, 0.2, 0.35, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Shares of behaviour, besides 0."""
DEEPEST = 50
"""Each source's best items that become candidates: what is in none of the lists hardly reaches a mix's first 10."""


@dataclass(frozen=True, eq=False)
class SearchSpace:
    """The sources that are tried, each with each: configurations of which only what concerns the source is read."""

    popularity: list[float | None]
    """Half-lives in milliseconds."""
    behaviour: list[HybridConfig]
    """Those with the same half-life next to each other."""

    @classmethod
    def of(cls, span_ms: int) -> "SearchSpace":
        """The grid for data that spans so much time; without time nothing decays."""

        def half_lives(spans: tuple[float | None, ...]) -> list[float | None]:
            return [part and part * span_ms for part in (spans if span_ms > 0 else (None,))]

        similarities = [
            HybridConfig(behaviour_half_life_ms=half_life, neighbours=neighbours, shrinkage=SHRINKAGE)
            for half_life, neighbours in product(half_lives(BEHAVIOUR_SPANS), NEIGHBOURS)
        ]
        return cls(half_lives(POPULARITY_SPANS), similarities)

    def ridges(self, half_life_ms: float | None) -> "SearchSpace":
        """The same popularities with the ridges of one half-life: a ridge costs many times what a similarity does."""
        return SearchSpace(
            self.popularity,
            [
                HybridConfig(
                    behaviour_half_life_ms=half_life_ms,
                    relation="ridge",
                    penalty=penalty,
                    neighbours=EXPLAINING,
                    shrinkage=SHRINKAGE,
                )
                for penalty in PENALTIES
            ],
        )


def judged(window: Split, grid: SearchSpace) -> dict[HybridConfig, Array]:
    """NDCG@10 of every mix for each user of the window (float32); popularity alone comes first, with share 0.

    A mix is judged on the best candidates of behaviour and of each popularity.
    """
    from lemo.recommenders.kernels.similarity import judge

    seen = window.train.seen_csr()[window.users]
    popular = np.stack([z_scores(popularity(window.train, half_life)) for half_life in grid.popularity])
    hot = [_hottest(values, seen) for values in popular]
    counts = np.diff(window.relevant.indptr)
    gains: dict[HybridConfig, Array] = {}
    for half_life, answers in zip(grid.popularity, hot, strict=True):
        alone = _mixed(grid.behaviour[0], half_life, 0.0)
        gains[alone] = ndcg(hits_of(answers, window.relevant), counts).astype(np.float32)
    about = (*_places(seen), *_places(window.relevant), ideal(counts), np.concatenate(hot, axis=1), popular)
    parts = np.minimum(SHARES, LARGEST_SHARE)

    def judged_mixes(tastes: CSR, influence: CSR) -> Array:
        found = np.zeros((len(window.users), len(popular), len(SHARES)), dtype=np.float32)
        judge(*_cells(tastes), *_cells(influence), *about, parts, DEEPEST, found)
        return found

    # One source is judged while the next is fitted.
    with ThreadPoolExecutor(1) as judging:
        sources = [
            (source, judging.submit(judged_mixes, tastes, influence))
            for source, tastes, influence in _behaviours(window, grid)
        ]
    for source, found in sources:
        for half_life, rows in zip(grid.popularity, np.moveaxis(found.result(), 0, 2), strict=True):
            gains |= {_mixed(source, half_life, share): row for share, row in zip(SHARES, rows, strict=True)}
    return gains


def _mixed(source: HybridConfig, popularity_half_life_ms: float | None, share: float) -> HybridConfig:
    if share == 0:  # what behaviour would be is of no account, so that every grid names it alike
        return HybridConfig(popularity_half_life_ms=popularity_half_life_ms, behaviour_share=0)
    mixed = {"popularity_half_life_ms": popularity_half_life_ms, "behaviour_share": share}
    return source.model_copy(update=mixed)


def _behaviours(window: Split, grid: SearchSpace) -> Iterator[tuple[HybridConfig, CSR, CSR]]:
    """Per behaviour of the grid: its configuration, the users' tastes, what each item speaks for (items x items)."""
    unit = window.train.mean_weight
    for half_life, group in groupby(grid.behaviour, key=lambda config: config.behaviour_half_life_ms):
        members = list(group)
        tastes = window.train.user_item_matrix(half_life)
        sizes = sorted({config.neighbours for config in members}, reverse=True)
        similar = dict(zip(sizes, item_similarities(tastes, SHRINKAGE, sizes, unit), strict=True))
        asked = window.train.query_matrix(half_life)[window.users]
        plain = [config for config in members if config.relation == "similarity"]
        for config in plain:
            yield config, asked, similar[config.neighbours].T.tocsr()
        ridges = [config for config in members if config.relation == "ridge"]
        if ridges:
            penalties = [config.penalty for config in ridges]
            found = neighbourhood_ridges(tastes, similar[EXPLAINING], EXPLAINING, penalties, unit)
            for config, matrix in zip(ridges, found, strict=True):
                yield config, asked, matrix.T.tocsr()


def _hottest(values: Array, seen: CSR) -> Array:
    """int64 (users, places): the most popular items that each user has not seen; -1 where too many are seen."""
    places = np.argsort(-values, kind="stable")[: 4 * DEEPEST]
    known = seen[:, places].toarray()
    order = np.argsort(known, axis=1, kind="stable")[:, :DEEPEST]
    return np.where(np.take_along_axis(known, order, axis=1), -1, places[order])


def _places(matrix: CSR) -> tuple[Array, Array]:
    """Where each row starts, and its columns, in the one type that the kernel is compiled for."""
    return matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64)


def _cells(matrix: CSR) -> tuple[Array, Array, Array]:
    return *_places(matrix), matrix.data.astype(np.float64)
