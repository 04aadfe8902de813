"""Evidence: everything that is known of a candidate for a user, as features that mean the same on any day.

Scores and counts drift between the weeks that a ranker learns from and the day that it serves, so none is used as it
is: scores become z-scores, ranks and parts of the best within a request, counts become z-scores, ranks and logarithms
of ratios. Training and serving both call `RankingFeatures.candidates`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict
from scipy import sparse

from lemo.recommenders.data.interactions import Interactions
from lemo.recommenders.hybrid.source_scores import FEW_USERS, HybridScores, SourceScores, first
from lemo.recommenders.sources.item_knn import item_similarity
from lemo.recommenders.sources.popularity import popularity, z_scores
from lemo.recommenders.sources.ridge import MOST_ITEMS, neighbourhood_ridges

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

    relations: tuple[float | None, ...]
    popularity: tuple[float | None, ...]

    @classmethod
    def of(cls, span_ms: int) -> "HalfLives":
        """Those for data that spans so much time; without time nothing decays."""
        if span_ms <= 0:
            return cls(relations=(None,), popularity=(None,) * len(POPULARITY_SPANS))
        return cls(
            relations=tuple(part * span_ms for part in RELATION_SPANS),
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
    blended: Array
    """float64 (rows,): the blend's own score."""

    @cached_property
    def standing(self) -> Array:
        """float64 (rows,): the z-score of `blended` among the user's candidates, 0 where all are equal."""
        users = np.repeat(np.arange(len(self.sizes)), self.sizes)
        counts = np.maximum(self.sizes, 1)
        apart = self.blended - (np.bincount(users, self.blended, len(counts)) / counts)[users]
        spreads = np.sqrt(np.bincount(users, np.square(apart), len(counts)) / counts)[users]
        return np.asarray(apart / np.where(spreads > 1e-12, spreads, np.inf))

    @classmethod
    def joined(cls, parts: Sequence["Candidates"]) -> "Candidates":
        """Those of all parts, one after the other."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))


@dataclass(frozen=True, eq=False)
class RankingFeatures:
    """What is known of items and their relations at one moment; immutable."""

    influences: CSR
    """Items x (relations * items): row i holds, relation by relation, the items that a taste for i speaks for."""
    relations: int
    items: Array
    """float32 (items, features): what is known of an item whoever asks."""
    hottest: Array
    """int32 (lists, places): the most popular items, best first."""

    @classmethod
    def fit(cls, interactions: Interactions, half_lives: HalfLives) -> "RankingFeatures":
        """Learns similarities and ridges of each half-life, and counts items."""
        unit = interactions.mean_weight
        influences: list[CSR] = []
        for half_life in half_lives.relations:
            tastes = interactions.user_item_matrix(half_life)
            similarity = item_similarity(tastes, SHRINKAGE, NEIGHBOURS, unit)
            influences.append(similarity.T.tocsr())
            if similarity.shape[0] <= MOST_ITEMS:
                (ridge,) = neighbourhood_ridges(tastes, similarity, EXPLAINING, [PENALTY], unit)
                influences.append(ridge.T.tocsr())
        counts = [popularity(interactions, half_life) / unit for half_life in half_lives.popularity]
        orders = [np.argsort(-values, kind="stable") for values in counts]
        hottest = np.stack([orders[place][:HOTTEST] for place in HOT_SPANS]).astype(np.int32)
        joined = sparse.hstack(influences, format="csr")
        joined.sort_indices()
        return cls(joined, len(influences), _of_items(interactions, counts, orders), hottest)

    def candidates(self, tastes: CSR, mixes: Sequence[HybridScores]) -> Candidates:
        """The users' candidates, for their tastes (users x items) and blended scores.

        A row depends on its user alone.
        """
        opinions = SourceScores(tastes, self.influences, self.relations)
        relations = self.relations
        chosen = (self._of_many if len(mixes) > FEW_USERS else self._of_few)(opinions, mixes)
        sizes = np.array([len(items) for items, _, _ in chosen], dtype=np.int64)
        users = np.repeat(np.arange(len(chosen)), sizes)
        items = np.concatenate([np.zeros(0, dtype=np.int64), *(items for items, _, _ in chosen)])
        own = np.concatenate([np.zeros((relations, 0)), *(own for _, own, _ in chosen)], axis=1)
        blended = np.concatenate([np.zeros(0), *(blended for _, _, blended in chosen)])
        spreads = np.where(opinions.spreads > 0, opinions.spreads, 1.0)
        ranks = _log_ranks(np.concatenate([own, blended[None]]), sizes)
        features = np.empty((len(items), 3 * relations + 3 + self.items.shape[1]), dtype=np.float32)
        for which in range(relations):
            features[:, 3 * which] = (own[which] - opinions.means[users, which]) / spreads[users, which]
            features[:, 3 * which + 1] = own[which] / np.maximum(opinions.most[users, which], 1e-12)
            features[:, 3 * which + 2] = ranks[which]
        at = 3 * relations
        features[:, at] = blended
        features[:, at + 1] = ranks[relations]
        features[:, at + 2] = np.log1p(np.minimum(np.diff(tastes.indptr), LONGEST_HISTORY))[users]
        features[:, at + 3 :] = self.items[items]
        return Candidates(sizes, items, features, blended)

    def _of_few(self, opinions: SourceScores, mixes: Sequence[HybridScores]) -> list[tuple[Array, Array, Array]]:
        """Per user the candidates (int64, rising), what each relation says of them, and the blend's scores."""
        chosen = [self._chosen(mix, opinions, user) for user, mix in enumerate(mixes)]
        return [
            (items, opinions.about(user, items), mix.scores(items))
            for user, (mix, items) in enumerate(zip(mixes, chosen, strict=True))
        ]

    def _of_many(self, opinions: SourceScores, mixes: Sequence[HybridScores]) -> list[tuple[Array, Array, Array]]:
        """The same by a kernel, which a process that answers requests need not load."""
        from lemo.recommenders.kernels.hybrid import choose

        most = DEPTH * (1 + len(self.hottest) + self.relations)
        marks, sums = np.zeros(len(self.items), dtype=np.uint8), np.zeros(len(self.items))
        items, said, blended = np.empty(most, dtype=np.int64), np.empty((self.relations, most)), np.empty(most)
        found = []
        for user, mix in enumerate(mixes):
            size = choose(*mix.parts, self.hottest, *opinions.lines(user), DEPTH, marks, sums, items, said, blended)
            found.append((items[:size].copy(), said[:, :size].copy(), blended[:size].copy()))
        return found

    def _chosen(self, mix: HybridScores, opinions: SourceScores, user: int) -> Array:
        """int64, rising: the best items of each source that may be answered."""
        chosen = np.zeros(len(self.items), dtype=bool)
        chosen[mix.best(DEPTH)[0]] = True
        for order in self.hottest:
            chosen[order[mix.allowed[order]][:DEPTH]] = True
        for relation in range(self.relations):
            columns, values = opinions.of(user, relation)
            kept = mix.allowed[columns] & (values > 0)
            chosen[first(columns[kept], values[kept], DEPTH)[0]] = True
        return np.flatnonzero(chosen)

    def to_arrays(self) -> dict[str, Array]:
        """Everything as named arrays."""
        return {
            "evidence_relations": np.array(self.relations),
            "evidence_items": self.items,
            "evidence_hottest": self.hottest,
            **csr_arrays("evidence", self.influences),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> "RankingFeatures":
        """What `to_arrays` gave."""
        items = arrays["evidence_items"]
        relations = int(arrays["evidence_relations"])
        return cls(csr_from("evidence", arrays, relations * len(items)), relations, items, arrays["evidence_hottest"])


def _of_items(interactions: Interactions, counts: list[Array], orders: list[Array]) -> Array:
    """float32 (items, features): per popularity its z-scores and ranks; ages; whether an item rises or falls."""
    columns: list[Array] = []
    items = len(interactions.item_ids)
    for values, order in zip(counts, orders, strict=True):
        ranks = np.empty(items)
        ranks[order] = np.arange(items)
        columns += [z_scores(values), np.log1p(ranks)]
    liked = interactions.positives
    ages = interactions.timeline.ages(liked.timestamps)
    last = np.full(items, np.iinfo(np.int64).max)
    np.minimum.at(last, liked.items, ages)
    last[last == np.iinfo(np.int64).max] = 0
    first = last.copy()
    np.maximum.at(first, liked.items, ages)
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


def csr_arrays(name: str, matrix: CSR) -> dict[str, Array]:
    """A sparse matrix as three named arrays."""
    return {
        f"{name}_data": matrix.data.astype(np.float32, copy=False),
        f"{name}_indices": matrix.indices.astype(np.int32, copy=False),
        f"{name}_indptr": matrix.indptr.astype(np.int64, copy=False),
    }


def csr_from(name: str, arrays: Mapping[str, Array], columns: int) -> CSR:
    """What `csr_arrays` gave, with so many columns, nothing copied."""
    data, indices, starts = (arrays[f"{name}_{part}"] for part in ("data", "indices", "indptr"))
    matrix = sparse.csr_matrix((data, indices, starts), shape=(len(starts) - 1, columns), copy=False)
    matrix.has_sorted_indices = True
    return matrix
