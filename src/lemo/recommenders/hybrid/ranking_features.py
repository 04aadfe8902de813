"""Ranking features: what is known of a candidate for a user, as numbers that mean the same on any day.

Scores and counts drift between the folds that a ranker is trained on and the day that it serves. So scores become
z-scores, ranks and parts of the best within a request; counts become z-scores, ranks and logarithms of ratios.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict
from scipy import sparse

from lemo.recommenders.data.interactions import Interactions
from lemo.recommenders.data.source_scores import SourceScores
from lemo.recommenders.hybrid.hybrid_scores import HybridScores
from lemo.recommenders.sources.item_knn import ItemKnnConfig, item_similarity
from lemo.recommenders.sources.popularity import popularity, z_scores
from lemo.recommenders.sources.ridge import MOST_ITEMS, Ridge, RidgeConfig
from lemo.recommenders.sources.similarity import SimilaritySource

Array = np.ndarray[Any, Any]
CSR = sparse.csr_matrix

SOURCE_SPANS = (1.0, 0.1)
"""Half-lives of the sources as parts of the span of time."""
POPULARITY_SPANS = (None, 0.3, 0.1, 0.03, 0.01, 0.005, 0.0025)
CANDIDATE_SPANS = (3, 4, 6)
"""The popularities, by place, whose first items are candidates."""
SHRINKAGE, NEIGHBOURS = 20.0, 100
REGRESSORS, PENALTY = 30, 20.0
DEPTH = 30
"""Candidates of each source."""
TOP_POPULAR = 300
"""Popular items among which those are looked for that a user has not seen."""
HOUR_MS = 3_600_000.0
LONGEST_HISTORY = 100
"""Longer histories count as this long: the recent history of a user that serving reads is bounded too."""


class HalfLives(BaseModel):
    """The half-lives (milliseconds) of the sources, fixed when the ranker is trained."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sources: tuple[float | None, ...]
    popularity: tuple[float | None, ...]

    @classmethod
    def of(cls, span_ms: int) -> "HalfLives":
        """Those for data that spans so much time; without time nothing decays."""
        if span_ms <= 0:
            return cls(sources=(None,), popularity=(None,) * len(POPULARITY_SPANS))
        return cls(
            sources=tuple(part * span_ms for part in SOURCE_SPANS),
            popularity=tuple(part and part * span_ms for part in POPULARITY_SPANS),
        )


@dataclass(frozen=True, eq=False)
class Candidates:
    """Users' candidates: one row each, user by user, items rising within a user."""

    sizes: Array
    """int64 (users,): how many each user has."""
    items: Array
    features: Array
    """float32 (rows, features)."""
    hybrid: Array
    """float64 (rows,): the hybrid score."""

    @cached_property
    def normalised(self) -> Array:
        """float64 (rows,): the z-score of `hybrid` among the user's candidates, 0 where all are equal."""
        users = np.repeat(np.arange(len(self.sizes)), self.sizes)
        counts = np.maximum(self.sizes, 1)
        apart = self.hybrid - (np.bincount(users, self.hybrid, len(counts)) / counts)[users]
        deviations = np.sqrt(np.bincount(users, np.square(apart), len(counts)) / counts)[users]
        return np.asarray(apart / np.where(deviations > 1e-12, deviations, np.inf))

    @classmethod
    def joined(cls, parts: Sequence["Candidates"]) -> "Candidates":
        """Those of all parts, one after the other."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))


@dataclass(frozen=True, eq=False)
class RankingFeatures:
    """Features of items and of the sources' scores at one moment; immutable."""

    sources: Sequence[SimilaritySource]
    items: Array
    """float32 (items, features): what is known of an item whoever asks."""
    top_popular: Array
    """int32 (lists, places): the most popular items, best first."""

    @classmethod
    def fit(cls, interactions: Interactions, half_lives: HalfLives) -> "RankingFeatures":
        """Fits item-kNN and ridges of each half-life, and counts items."""
        unit = interactions.mean_weight
        sources: list[SimilaritySource] = []
        small = len(interactions.item_ids) <= MOST_ITEMS
        ridges = Ridge.fit_many(
            interactions,
            [
                RidgeConfig(half_life_ms=half_life, neighbours=(REGRESSORS,), penalty=PENALTY)
                for half_life in (half_lives.sources if small else ())
            ],
        )
        for half_life in half_lives.sources:
            user_items = interactions.user_item_matrix(half_life)
            similarity = item_similarity(user_items, SHRINKAGE, NEIGHBOURS, unit)
            sources.append(SimilaritySource(ItemKnnConfig(), similarity))
            if small:
                sources.append(next(ridges))
        counts = [popularity(interactions, half_life) / unit for half_life in half_lives.popularity]
        orders = [np.argsort(-values, kind="stable") for values in counts]
        top_popular = np.stack([orders[place][:TOP_POPULAR] for place in CANDIDATE_SPANS]).astype(np.int32)
        return cls(sources, _of_items(interactions, counts, orders), top_popular)

    def candidates(self, queries: CSR, hybrid: Sequence[HybridScores]) -> Candidates:
        """The users' candidates, for their queries (users x items) and hybrid scores.

        A row depends on its user alone.
        """
        scores = [source.scores(queries) for source in self.sources]
        count = len(scores)
        chosen = self._generated(scores, hybrid)
        sizes = np.array([len(items) for items, _, _ in chosen], dtype=np.int64)
        users = np.repeat(np.arange(len(chosen)), sizes)
        items = np.concatenate([np.zeros(0, dtype=np.int64), *(items for items, _, _ in chosen)])
        own = np.concatenate([np.zeros((count, 0)), *(own for _, own, _ in chosen)], axis=1)
        mixed = np.concatenate([np.zeros(0), *(mixed for _, _, mixed in chosen)])
        ranks = _log_ranks(np.concatenate([own, mixed[None]]), sizes)
        features = np.empty((len(items), 3 * count + 3 + self.items.shape[1]), dtype=np.float32)
        for which, of in enumerate(scores):
            deviations = np.where(of.deviations > 0, of.deviations, 1.0)
            features[:, 3 * which] = (own[which] - of.means[users]) / deviations[users]
            features[:, 3 * which + 1] = own[which] / np.maximum(of.best[users], 1e-12)
            features[:, 3 * which + 2] = ranks[which]
        at = 3 * count
        features[:, at] = mixed
        features[:, at + 1] = ranks[count]
        features[:, at + 2] = np.log1p(np.minimum(np.diff(queries.indptr), LONGEST_HISTORY))[users]
        features[:, at + 3 :] = self.items[items]
        return Candidates(sizes, items, features, mixed)

    def _generated(
        self, scores: Sequence[SourceScores], hybrid: Sequence[HybridScores]
    ) -> list[tuple[Array, Array, Array]]:
        """Per user the candidates (int64, rising), their scores by source (sources x candidates), and hybrid scores."""
        from lemo.recommenders.kernels.hybrid import generate_candidates

        most = DEPTH * (1 + len(self.top_popular) + len(scores))
        marks, sums = np.zeros(len(self.items), dtype=np.uint8), np.zeros(len(self.items))
        items, own, mixed = np.empty(most, dtype=np.int64), np.empty((len(scores), most)), np.empty(most)
        offsets = np.cumsum([0, *(len(of.columns) for of in scores)])
        starts = np.stack([of.starts + offset for of, offset in zip(scores, offsets[:-1], strict=True)], axis=1)
        columns = np.concatenate([of.columns for of in scores])
        values = np.concatenate([of.values for of in scores])
        found = []
        for user, each in enumerate(hybrid):
            cells = starts[user], starts[user + 1], columns, values
            size = generate_candidates(*each.parts, self.top_popular, *cells, DEPTH, marks, sums, items, own, mixed)
            found.append((items[:size].copy(), own[:, :size].copy(), mixed[:size].copy()))
        return found

    def to_arrays(self) -> dict[str, Array]:
        """Everything as named arrays."""
        arrays = {
            "ranking_sources": np.array(len(self.sources)),
            "ranking_items": self.items,
            "ranking_top_popular": self.top_popular,
        }
        for place, source in enumerate(self.sources):
            arrays |= {f"ranking_source_{place}_{name}": array for name, array in source.to_arrays().items()}
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> "RankingFeatures":
        """What `to_arrays` gave."""
        items = arrays["ranking_items"]
        sources = []
        for place in range(int(arrays["ranking_sources"])):
            prefix = f"ranking_source_{place}_"
            own = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
            sources.append(SimilaritySource.from_arrays(ItemKnnConfig(), own, len(items)))
        return cls(sources, items, arrays["ranking_top_popular"])


def _of_items(interactions: Interactions, counts: list[Array], orders: list[Array]) -> Array:
    """float32 (items, features): per popularity its z-scores and ranks; ages; whether an item rises or falls."""
    columns: list[Array] = []
    items = len(interactions.item_ids)
    for values, order in zip(counts, orders, strict=True):
        ranks = np.empty(items)
        ranks[order] = np.arange(items)
        columns += [z_scores(values), np.log1p(ranks)]
    positives = interactions.positives
    ages = interactions.timeline.ages(positives.timestamps)
    last = np.full(items, np.iinfo(np.int64).max)
    np.minimum.at(last, positives.items, ages)
    last[last == np.iinfo(np.int64).max] = 0
    first = last.copy()
    np.maximum.at(first, positives.items, ages)
    columns += [np.log1p(age / HOUR_MS) for age in (first, last)]
    rates = [values / (part or 1.0) + 1e-3 for values, part in zip(counts, POPULARITY_SPANS, strict=True)]
    columns += [np.log(rates[short] / rates[long]) for short, long in ((4, 2), (2, 1))]
    return np.stack(columns, axis=1).astype(np.float32) if columns else np.zeros((items, 0), dtype=np.float32)


def _log_ranks(values: Array, sizes: Array) -> Array:
    """log(1 + rank) of each value among those of its user, from 0 for the largest; of equals the first.

    `values` is (kinds, rows): each kind is ranked by itself.
    """
    there = np.arange(sizes.max(initial=0)) < sizes[:, None]
    padded = np.full((len(values), *there.shape), np.inf)
    padded[:, there] = -values
    ranks = np.empty(padded.shape, dtype=np.int64)
    np.put_along_axis(ranks, np.argsort(padded, axis=2, kind="stable"), np.arange(there.shape[1]), axis=2)
    return np.asarray(np.log1p(ranks[:, there]))
