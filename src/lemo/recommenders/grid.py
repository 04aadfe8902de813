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
from lemo.recommenders.split import Split

Array = np.ndarray[Any, Any]
CSR = sparse.csr_matrix
Mix = tuple[int, int, float]
"""A point of the grid: index of the behaviour, index of the popularity, share of the behaviour."""

POPULARITY_SPANS = (None, 0.1, 0.03, 0.01, 0.005)
"""Half-lives of popularity as parts of the span of time."""
BEHAVIOUR_SPANS = (1.0, 0.3, 0.1, 0.05)
"""Half-lives of behaviour as parts of the span of time."""
SHRINKAGE = 20.0
NEIGHBOURS = (100, 20)
SHARES = (0.05, 0.1, 0.2, 0.35, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Shares of behaviour, besides 0."""
DEEPEST = 50
"""Each source's best items that become candidates: what is in none of the lists hardly reaches a mix's first 10."""


BLOCK_CELLS = 16_000_000
"""Users times items whose scores are held at once."""


@dataclass(frozen=True)
class Grid:
    """The half-lives (milliseconds) that are tried."""

    popularity: list[float | None]
    behaviour: list[tuple[float | None, int]]
    """(half-life, neighbours), those with the same half-life next to each other."""

    @classmethod
    def of(cls, span_ms: int) -> "Grid":
        """The grid for data that spans so much time; without time nothing decays."""

        def half_lives(spans: tuple[float | None, ...]) -> list[float | None]:
            return [part and part * span_ms for part in (spans if span_ms > 0 else (None,))]

        return cls(half_lives(POPULARITY_SPANS), list(product(half_lives(BEHAVIOUR_SPANS), NEIGHBOURS)))

    def config(self, mix: Mix) -> BlendConfig:
        """The configuration that a point of the grid stands for."""
        half_life, neighbours = self.behaviour[mix[0]]
        return BlendConfig(
            popularity_half_life_ms=self.popularity[mix[1]],
            behaviour_half_life_ms=half_life,
            shrinkage=SHRINKAGE,
            neighbours=neighbours,
            behaviour_share=mix[2],
        )


def judged(window: Split, grid: Grid) -> dict[Mix, float]:
    """NDCG@10 of every mix on the window; popularity alone comes first, with share 0."""
    seen = window.train.seen_csr()[window.users]
    popular = [z_scores(popularity(window.train, half_life)) for half_life in grid.popularity]
    hot = [_hottest(values, seen) for values in popular]
    counts = np.diff(window.relevant.indptr)
    gains: dict[Mix, float] = {}
    for choice, answers in enumerate(hot):
        gains[0, choice, 0.0] = float(ndcg(hits_of(answers, window.relevant), counts).sum())
    height = max(BLOCK_CELLS // max(seen.shape[1], 1), 1)
    for place, tastes, influence in _behaviours(window, grid):
        for start in range(0, len(window.users), height):
            block = slice(start, start + height)
            asked = _Asked(tastes[block] @ influence, seen[block], window.relevant[block], [row[block] for row in hot])
            for choice, values in enumerate(popular):
                for share, gain in asked.gains(values):
                    gains[place, choice, share] = gains.get((place, choice, share), 0.0) + gain
    return {mix: gain / max(len(window.users), 1) for mix, gain in gains.items()}


def _behaviours(window: Split, grid: Grid) -> Iterator[tuple[int, CSR, CSR]]:
    """Per behaviour of the grid: its place, the users' tastes, and what each item speaks for (items x items)."""
    for half_life, group in groupby(enumerate(grid.behaviour), key=lambda entry: entry[1][0]):
        members = list(group)
        tastes = window.train.tastes(half_life)
        sizes = [neighbours for _, (_, neighbours) in members]
        similarities = item_similarities(tastes, SHRINKAGE, sizes, window.train.typical_weight)
        asked = tastes[window.users].astype(np.float32)
        for (place, _), matrix in zip(members, similarities, strict=True):
            yield place, asked, matrix.T.tocsr()


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
