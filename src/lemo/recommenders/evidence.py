"""Evidence: everything that is known of a candidate for a user, as features that mean the same on any day.

Scores and counts drift between the weeks that a ranker learns from and the day that it serves, so none is used as it
is: scores become z-scores, ranks and parts of the best within a request, counts become z-scores, ranks and logarithms
of ratios. Training and serving both call `Evidence.candidates`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict
from scipy import sparse

from lemo.recommenders.interactions import Interactions
from lemo.recommenders.item_knn import item_similarity
from lemo.recommenders.popularity import popularity, z_scores
from lemo.recommenders.ridge import MOST_ITEMS, neighbourhood_ridges

Array = np.ndarray[Any, Any]
CSR = sparse.csr_matrix

RELATION_SPANS = (1.0, 0.1)
"""Half-lives of the related items as parts of the span of time."""
POPULARITY_SPANS = (None, 0.3, 0.1, 0.03, 0.01, 0.005, 0.0025)
HOT_SPANS = (3, 4, 6)
"""The popularities, by place, whose first items are candidates."""
SHRINKAGE, NEIGHBOURS = 20.0, 100
EXPLAINING, PENALTY = 30, 100.0
DEPTH = 30
"""Candidates of each source."""
HOTTEST = 300
"""Popular items among which those are looked for that a user has not seen."""
HOUR_MS = 3_600_000.0
LONGEST_HISTORY = 100
"""Longer histories count as this long: what serving remembers of a user ends too."""


class HalfLives(BaseModel):
    """The half-lives (milliseconds) of the sources, fixed when the ranker is taught."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    relations: tuple[float, ...]
    popularity: tuple[float | None, ...]

    @classmethod
    def of(cls, span_ms: int) -> "HalfLives":
        """Those for data that spans so much time."""
        return cls(
            relations=tuple(part * span_ms for part in RELATION_SPANS),
            popularity=tuple(part and part * span_ms for part in POPULARITY_SPANS),
        )


@dataclass(frozen=True)
class Candidates:
    """Users' candidates: one row each, users rising and items rising within a user."""

    users: Array
    items: Array
    features: Array
    """float32 (rows, features)."""
    blended: Array
    """float64 (rows,): the blend's own score."""


@dataclass(frozen=True)
class Evidence:
    """What is known of items and their relations at one moment; immutable."""

    influences: Sequence[CSR]
    """Items x items each: row i holds the items that a taste for i speaks for."""
    items: Array
    """float32 (items, features): what is known of an item whoever asks."""
    hottest: Array
    """int32 (lists, places): the most popular items, best first."""

    @classmethod
    def fit(cls, interactions: Interactions, half_lives: HalfLives) -> "Evidence":
        """Learns similarities and ridges of each half-life, and counts items."""
        unit = interactions.typical_weight
        influences: list[CSR] = []
        for half_life in half_lives.relations:
            tastes = interactions.tastes(half_life)
            similarity = item_similarity(tastes, SHRINKAGE, NEIGHBOURS, unit)
            influences.append(similarity.T.tocsr())
            if similarity.shape[0] <= MOST_ITEMS:
                (ridge,) = neighbourhood_ridges(tastes, similarity, EXPLAINING, [PENALTY], unit)
                influences.append(ridge.T.tocsr())
        counts = [popularity(interactions, half_life) / unit for half_life in half_lives.popularity]
        orders = [np.argsort(-values, kind="stable") for values in counts]
        hottest = np.stack([orders[place][:HOTTEST] for place in HOT_SPANS]).astype(np.int32)
        return cls(influences, _of_items(interactions, counts, orders), hottest)

    def candidates(self, tastes: CSR, blended: Array) -> Candidates:
        """The users' candidates, for users x items tastes and blended scores (float64; -inf where not to be answered).

        A row depends on its user alone.
        """
        users, count = blended.shape
        allowed = blended > -np.inf
        chosen = np.zeros((users, count), dtype=bool)
        _mark(chosen, blended, DEPTH)
        for order in self.hottest:
            open_places = allowed[:, order]
            first = open_places & (np.cumsum(open_places, axis=1) <= DEPTH)
            row, place = np.nonzero(first)
            chosen[row, order[place]] = True
        asked = tastes.astype(np.float32)
        scored = [(asked @ influence).toarray() for influence in self.influences]
        for scores in scored:
            _mark(chosen, np.where(allowed & (scores > 0), scores, -np.inf), DEPTH)
        rows, items = np.nonzero(chosen)
        features = np.empty((len(rows), 3 * len(scored) + 3 + self.items.shape[1]), dtype=np.float32)
        for which, scores in enumerate(scored):
            mean, spread = scores.mean(axis=1), scores.std(axis=1)
            spread[spread == 0] = 1
            own = scores[rows, items]
            features[:, 3 * which] = (own - mean[rows]) / spread[rows]
            features[:, 3 * which + 1] = own / np.maximum(scores.max(axis=1), 1e-12)[rows]
            features[:, 3 * which + 2] = _log_ranks(rows, own)
        at = 3 * len(scored)
        own = blended[rows, items]
        features[:, at] = own
        features[:, at + 1] = _log_ranks(rows, own)
        features[:, at + 2] = np.log1p(np.minimum(np.diff(tastes.indptr), LONGEST_HISTORY))[rows]
        features[:, at + 3 :] = self.items[items]
        return Candidates(rows, items, features, own)

    def to_arrays(self) -> dict[str, Array]:
        """Everything as named arrays."""
        arrays = {"evidence_items": self.items, "evidence_hottest": self.hottest}
        for place, matrix in enumerate(self.influences):
            arrays |= csr_arrays(f"evidence{place}", matrix)
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> "Evidence":
        """What `to_arrays` gave."""
        items = arrays["evidence_items"]
        places = range(sum(name.startswith("evidence") and name.endswith("_indptr") for name in arrays))
        influences = [csr_from(f"evidence{place}", arrays, len(items)) for place in places]
        return cls(influences, items, arrays["evidence_hottest"])


def _of_items(interactions: Interactions, counts: list[Array], orders: list[Array]) -> Array:
    """float32 (items, features): per popularity its z-scores and ranks; ages; whether an item rises or falls."""
    columns: list[Array] = []
    items = len(interactions.item_ids)
    for values, order in zip(counts, orders, strict=True):
        ranks = np.empty(items)
        ranks[order] = np.arange(items)
        columns += [z_scores(values), np.log1p(ranks)]
    liked = interactions.liked
    first = np.full(items, interactions.newest, dtype=np.int64)
    np.minimum.at(first, liked.items, liked.timestamps)
    last = first.copy()
    np.maximum.at(last, liked.items, liked.timestamps)
    columns += [np.log1p((interactions.newest - moment) / HOUR_MS) for moment in (first, last)]
    rates = [values / (part or 1.0) + 1e-3 for values, part in zip(counts, POPULARITY_SPANS, strict=True)]
    columns += [np.log(rates[short] / rates[long]) for short, long in ((4, 2), (2, 1))]
    return np.stack(columns, axis=1).astype(np.float32) if columns else np.zeros((items, 0), dtype=np.float32)


def _mark(chosen: Array, scores: Array, depth: int) -> None:
    """Marks each row's `depth` largest finite scores."""
    if scores.shape[1] > depth:
        best = np.argpartition(-scores, depth, axis=1)[:, :depth]
    else:
        best = np.broadcast_to(np.arange(scores.shape[1]), scores.shape)
    finite = np.take_along_axis(scores, best, axis=1) > -np.inf
    rows = np.broadcast_to(np.arange(len(scores))[:, None], best.shape)
    chosen[rows[finite], best[finite]] = True


def _log_ranks(rows: Array, values: Array) -> Array:
    """log(1 + rank) of each value among those of its row, from 0 for the largest; `rows` rise."""
    order = np.lexsort((-values, rows))
    ranks = np.empty(len(rows))
    ranks[order] = np.arange(len(rows)) - np.searchsorted(rows, rows)
    return np.asarray(np.log1p(ranks))


def csr_arrays(name: str, matrix: CSR) -> dict[str, Array]:
    """A sparse matrix as three named arrays."""
    return {
        f"{name}_data": matrix.data.astype(np.float32, copy=False),
        f"{name}_indices": matrix.indices.astype(np.int32, copy=False),
        f"{name}_indptr": matrix.indptr.astype(np.int64, copy=False),
    }


def csr_from(name: str, arrays: Mapping[str, Array], size: int) -> CSR:
    """What `csr_arrays` gave, size x size, nothing copied."""
    parts = (arrays[f"{name}_data"], arrays[f"{name}_indices"], arrays[f"{name}_indptr"])
    matrix = sparse.csr_matrix(parts, shape=(size, size), copy=False)
    matrix.has_sorted_indices = True
    return matrix
