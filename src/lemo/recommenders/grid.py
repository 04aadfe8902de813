"""The grid: every mix that selection may choose, judged on a window while each source is fitted only once."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, product
from typing import Any

import numpy as np
from scipy import sparse

from lemo.recommenders.blend import LARGEST_SHARE, BlendConfig
from lemo.recommenders.evaluation import hits_of, ideal, ndcg
from lemo.recommenders.item_knn import item_similarities, largest
from lemo.recommenders.popularity import popularity, z_scores
from lemo.recommenders.ridge import neighbourhood_ridges
from lemo.recommenders.split import Split

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
BLOCK_CELLS = 16_000_000
"""Users times items whose scores are held at once."""


@dataclass(frozen=True)
class Grid:
    """The sources that are tried, each with each: configurations of which only what concerns the source is read."""

    popularity: list[float | None]
    """Half-lives in milliseconds."""
    behaviour: list[BlendConfig]
    """Those with the same half-life next to each other."""

    @classmethod
    def of(cls, span_ms: int) -> "Grid":
        """The grid for data that spans so much time; without time nothing decays."""

        def half_lives(spans: tuple[float | None, ...]) -> list[float | None]:
            return [part and part * span_ms for part in (spans if span_ms > 0 else (None,))]

        similarities = [
            BlendConfig(behaviour_half_life_ms=half_life, neighbours=neighbours, shrinkage=SHRINKAGE)
            for half_life, neighbours in product(half_lives(BEHAVIOUR_SPANS), NEIGHBOURS)
        ]
        return cls(half_lives(POPULARITY_SPANS), similarities)

    def ridges(self, half_life_ms: float | None) -> "Grid":
        """The same popularities with the ridges of one half-life: a ridge costs many times what a similarity does."""
        return Grid(
            self.popularity,
            [
                BlendConfig(
                    behaviour_half_life_ms=half_life_ms,
                    relation="ridge",
                    penalty=penalty,
                    neighbours=EXPLAINING,
                    shrinkage=SHRINKAGE,
                )
                for penalty in PENALTIES
            ],
        )


def judged(window: Split, grid: Grid) -> dict[BlendConfig, float]:
    """NDCG@10 of every mix on the window; popularity alone comes first, with share 0."""
    seen = window.train.seen_csr()[window.users]
    popular = [z_scores(popularity(window.train, half_life)) for half_life in grid.popularity]
    hot = [_hottest(values, seen) for values in popular]
    counts = np.diff(window.relevant.indptr)
    gains: dict[BlendConfig, float] = {}
    for half_life, answers in zip(grid.popularity, hot, strict=True):
        alone = _mixed(grid.behaviour[0], half_life, 0.0)
        gains[alone] = float(ndcg(hits_of(answers, window.relevant), counts).sum())
    height = max(BLOCK_CELLS // max(seen.shape[1], 1), 1)
    for source, tastes, influence in _behaviours(window, grid):
        for start in range(0, len(window.users), height):
            block = slice(start, start + height)
            asked = _Asked(tastes[block] @ influence, seen[block], window.relevant[block], [row[block] for row in hot])
            for half_life, values in zip(grid.popularity, popular, strict=True):
                for share, gain in asked.gains(values):
                    mix = _mixed(source, half_life, share)
                    gains[mix] = gains.get(mix, 0.0) + gain
    return {mix: gain / max(len(window.users), 1) for mix, gain in gains.items()}


def _mixed(source: BlendConfig, popularity_half_life_ms: float | None, share: float) -> BlendConfig:
    if share == 0:  # what behaviour would be is of no account, so that every grid names it alike
        return BlendConfig(popularity_half_life_ms=popularity_half_life_ms, behaviour_share=0)
    mixed = {"popularity_half_life_ms": popularity_half_life_ms, "behaviour_share": share}
    return source.model_copy(update=mixed)


def _behaviours(window: Split, grid: Grid) -> Iterator[tuple[BlendConfig, CSR, CSR]]:
    """Per behaviour of the grid: its configuration, the users' tastes, what each item speaks for (items x items)."""
    unit = window.train.typical_weight
    for half_life, group in groupby(grid.behaviour, key=lambda config: config.behaviour_half_life_ms):
        members = list(group)
        tastes = window.train.tastes(half_life)
        sizes = sorted({config.neighbours for config in members}, reverse=True)
        similar = dict(zip(sizes, item_similarities(tastes, SHRINKAGE, sizes, unit), strict=True))
        asked = tastes[window.users].astype(np.float32)
        plain = [config for config in members if config.relation == "similarity"]
        for config in plain:
            yield config, asked, similar[config.neighbours].T.tocsr()
        ridges = [config for config in members if config.relation == "ridge"]
        if ridges:
            penalties = [config.penalty for config in ridges]
            found = neighbourhood_ridges(tastes, similar[EXPLAINING], EXPLAINING, penalties, unit)
            for config, matrix in zip(ridges, found, strict=True):
                yield config, asked, matrix.T.tocsr()


class _Asked:
    """Some users, their candidates, and what behaviour says of these; only candidates that are hits cost work."""

    def __init__(self, similar: CSR, seen: CSR, relevant: CSR, hot: list[Array]) -> None:
        scores = similar.toarray()
        mean = scores.mean(axis=1, dtype=np.float64, keepdims=True)
        spread = scores.std(axis=1, dtype=np.float64, keepdims=True)
        flat = spread <= 1e-6 * np.abs(mean)
        near = _places(largest(_without(similar, seen), DEEPEST), DEEPEST)
        candidates = _distinct(np.concatenate([near, *hot], axis=1))
        hits = hits_of(candidates, relevant)
        asked = hits.any(axis=1)
        self._candidates = candidates[asked]
        rows, columns = np.nonzero(hits[asked])
        self._rows, self._columns = rows, columns[:, None]
        own = np.take_along_axis(scores[asked], self._candidates, axis=1)
        self._own = np.where(flat[asked], 0.0, (own - mean[asked]) / np.where(flat[asked], 1.0, spread[asked]))
        self._lost = self._candidates < 0
        self._best = ideal(np.diff(relevant.indptr))[asked][rows]

    def gains(self, popular: Array) -> Iterator[tuple[float, float]]:
        """(share, sum of NDCG@10 over the users) for mixes of behaviour with these z-scores of popularity."""
        everyone = np.where(self._lost, -np.inf, popular[self._candidates])
        before = np.arange(everyone.shape[1]) < self._columns
        for share in SHARES:
            part = min(share, LARGEST_SHARE)
            mix = (part * self._own + (1 - part) * everyone)[self._rows]
            value = np.take_along_axis(mix, self._columns, axis=1)
            # Candidates are in the order of items, so of equals the first wins here as in the model.
            ranks = ((mix > value) | ((mix == value) & before)).sum(axis=1)
            first = ranks < 10
            yield share, float((1 / np.log2(ranks[first] + 2) / self._best[first]).sum())


def _hottest(values: Array, seen: CSR) -> Array:
    """int64 (users, places): the most popular items that each user has not seen; -1 where too many are seen."""
    places = np.argsort(-values, kind="stable")[: 4 * DEEPEST]
    known = seen[:, places].toarray()
    order = np.argsort(known, axis=1, kind="stable")[:, :DEEPEST]
    return np.where(np.take_along_axis(known, order, axis=1), -1, places[order])


def _without(matrix: CSR, seen: CSR) -> CSR:
    """The matrix with negative numbers where something is seen."""
    top = float(matrix.data.max()) if matrix.nnz else 0.0
    difference: CSR = (matrix - seen.astype(np.float32) * np.float32(2 * top + 1)).tocsr()
    return difference


def _places(matrix: CSR, width: int) -> Array:
    """int64 (rows, width): the columns of each row's cells; -1 where there are fewer."""
    places = np.full((matrix.shape[0], width), -1, dtype=np.int64)
    places[np.arange(width) < np.diff(matrix.indptr)[:, None]] = matrix.indices
    return places


def _distinct(items: Array) -> Array:
    """The rows sorted, repeated items replaced by -1, and columns that are empty throughout cut off."""
    items = np.sort(items, axis=1)
    items[:, 1:][items[:, 1:] == items[:, :-1]] = -1
    items = np.sort(items, axis=1)
    return items[:, (items >= 0).any(axis=0)]
