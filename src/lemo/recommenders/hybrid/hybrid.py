"""The hybrid: the weighted z-scores of several sources, and a ranker above them; one code for request and batch.

It is long because fit, answers, scores and arrays are of one model.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SerializeAsAny
from scipy import sparse

from lemo.domain.interaction import Interaction
from lemo.domain.newness import Newness
from lemo.domain.scenario import ActionRule
from lemo.recommenders.data.histories import Encoder
from lemo.recommenders.data.interactions import Interactions
from lemo.recommenders.data.strings import pack_strings, unpack_strings
from lemo.recommenders.data.timeline import Timeline, pauses_from
from lemo.recommenders.hybrid.hybrid_scores import HybridScores, top_k
from lemo.recommenders.hybrid.ranker import TreeRanker
from lemo.recommenders.hybrid.ranking_features import Candidates, RankingFeatures
from lemo.recommenders.interfaces import Source, SourceConfig
from lemo.recommenders.registry import source_class, source_config
from lemo.recommenders.repeats import RepeatRates
from lemo.recommenders.scored import Scored
from lemo.recommenders.sources.item_knn import ItemKnnConfig
from lemo.recommenders.sources.popularity import PopularityConfig, z_scores

Array = np.ndarray[Any, Any]
CSR = sparse.csr_matrix

CHUNK_CELLS = 2_000_000
"""Users times items whose scores are held at once."""
NOTHING = np.zeros(0, dtype=np.int32)
"""No items."""


class HybridConfig(BaseModel):
    """The sources of a hybrid with their parameters and weights, and the ranker above them."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    sources: tuple[SerializeAsAny[Annotated[SourceConfig, BeforeValidator(source_config)]], ...] = (
        ItemKnnConfig(weight=0.5),
        PopularityConfig(weight=0.5),
    )
    query_half_life_ms: Annotated[float, Field(gt=0)] | None = None
    """Half-life (milliseconds) of a user's interactions when the model is asked; None does not decay."""
    ranker: TreeRanker | None = Field(default=None, repr=False)
    """Orders the candidates where it was better than the hybrid on validation."""

    def of(self, source: str) -> Any | None:
        """The configuration of the first source of this name."""
        return next((config for config in self.sources if config.source == source), None)


class HybridRecommender:
    """A fitted hybrid; immutable, so that threads may share it.

    An item's score is the sum of its z-scores in each source, each times the weight of the source. Users without a
    known interaction get the sources that are the same for everybody. A ranker, where there is one, reorders the best
    candidates of this score and of its own sources; other items follow in the order of the hybrid.
    """

    def __init__(
        self,
        item_ids: list[str],
        sources: Sequence[Source],
        config: HybridConfig,
        rules: Mapping[str, ActionRule],
        timeline: Timeline,
        ranking_features: RankingFeatures | None = None,
    ) -> None:
        self.item_ids = item_ids
        self.sources = sources
        self.config = config
        self.rules = dict(rules)
        self.timeline = timeline
        self.newness = Newness()
        """What the scenario calls new; told to whoever serves the model."""
        self.repeats: RepeatRates | None = None
        """How users have its items again; None in a model from before there were rates."""
        self.ranking_features = ranking_features
        """Features of candidates; None without a ranker."""
        self._encoder = Encoder(item_ids, self.rules, config.query_half_life_ms, timeline)
        weights = [each.weight for each in config.sources]
        weighing = [(weight, source) for weight, source in zip(weights, sources, strict=True) if weight > 0]
        self._personal = [(weight, source) for weight, source in weighing if source.personal]
        shared = [(weight, source) for weight, source in weighing if not source.personal]
        total = sum(weight for weight, _ in shared)
        self._everyone = np.zeros(len(item_ids))
        for weight, source in shared:
            scores = np.zeros(len(item_ids))
            columns, values = source.scores(_no_query(len(item_ids))).row(0)
            scores[columns] = values
            self._everyone += weight / total * z_scores(scores)
        self._base = total * self._everyone
        self._order = np.argsort(-self._everyone, kind="stable")

    @classmethod
    def fit(
        cls,
        interactions: Interactions,
        config: HybridConfig,
        rules: Mapping[str, ActionRule],
        sources: Sequence[Source] | None = None,
    ) -> "HybridRecommender":
        """Fits all sources, or takes those that are fitted already; any data will do, none too."""
        if sources is None:
            sources = [next(source_class(each.source).fit_many(interactions, [each])) for each in config.sources]
        return cls(
            interactions.item_ids,
            sources,
            config,
            rules,
            interactions.timeline,
            RankingFeatures.fit(interactions, config.ranker.half_lives) if config.ranker else None,
        )

    @property
    def query_half_life_ms(self) -> float | None:
        """Half-life (milliseconds) by which a user's interactions are weighted when the model is asked."""
        return self.config.query_half_life_ms

    def recommend(
        self,
        histories: Sequence[Sequence[Interaction]],
        n: int,
        unavailable: Collection[str] = (),
        seen: Sequence[Collection[str]] = (),
    ) -> list[list[Scored]]:
        """The best n unseen items for each history (the order of interactions does not matter), best first.

        `unavailable` items are in no answer (inactive, blocked), nor are those that `seen` names, history by history,
        beside what the histories themselves hold. Fewer than n come back where fewer are left.
        """
        queries, known = self._encoder.encode(histories, seen)
        return self.answers(queries, known, n, self.rows(unavailable))

    def encode(
        self, histories: Sequence[Sequence[Interaction]], seen: Sequence[Collection[str]] = ()
    ) -> tuple[CSR, CSR]:
        """The queries of histories, and what their users have seen, as `rank` takes them."""
        return self._encoder.encode(histories, seen)

    def rows(self, item_ids: Collection[str]) -> Array:
        """The numbers (int32) of those of the items that the model knows."""
        return self._encoder.rows(item_ids)

    def answers(self, queries: CSR, seen: CSR, n: int, filtered: Array) -> list[list[Scored]]:
        """The answer for encoded users, without the items of the numbers in `filtered` (int32)."""
        answers = []
        ranked = self._ranked(queries, seen, n, filtered)
        for row, (items, scores, hybrid) in enumerate(ranked):
            cells = slice(queries.indptr[row], queries.indptr[row + 1])
            answers.append(self._explained(items, scores, hybrid, queries.indices[cells], queries.data[cells]))
        return answers

    def popular(self, n: int, unavailable: Collection[str] = ()) -> list[Scored]:
        """The n most popular items now."""
        return self.recommend([()], n, unavailable)[0]

    def scores_of(self, queries: CSR, seen: CSR, items: Array) -> Array:
        """float64 (users, items): the hybrid scores of some items (int32) for encoded users, -inf for what was seen.

        They are sums of z-scores, so that they can be compared between users; a ranker's cannot.
        """
        nothing = np.zeros(0, dtype=np.int32)
        rows = [
            np.where(each.allowed[items], each.scores(items), -np.inf)
            for some, known in _chunks(queries, seen)
            for each in self._hybrid_scores(some, known, nothing)
        ]
        return np.array(rows).reshape(queries.shape[0], len(items))

    def because(self, queries: CSR, items: Array) -> list[str | None]:
        """For each encoded user the item of the history that speaks most for one item (int32, one a user), or None."""
        found: list[str | None] = []
        for row, item in enumerate(items.tolist()):
            cells = slice(queries.indptr[row], queries.indptr[row + 1])
            names = (
                int(source.because(np.array([item]), queries.indices[cells], queries.data[cells])[0])
                for _, source in self._personal
            )
            why = next((name for name in names if name >= 0), -1)
            found.append(None if why < 0 else self.item_ids[why])
        return found

    def rank(self, queries: CSR, seen: CSR, n: int, unavailable: Array = NOTHING) -> tuple[Array, Array]:
        """The answer for encoded users: items (int32, users x n, -1 where none is left) and scores (float64).

        `queries` is users x items with weights, `seen` users x items with what must not be answered,
        `unavailable` (int32) what must not be answered to anybody. `recommend` does the same, with interactions before
        and explanations after.
        """
        rows = np.full((queries.shape[0], n), -1, dtype=np.int32)
        values = np.full((queries.shape[0], n), -np.inf)
        for row, (items, scores, _) in enumerate(self._ranked(queries, seen, n, unavailable)):
            rows[row, : len(items)] = items
            values[row, : len(items)] = scores
        return rows, values

    def candidates(self, queries: CSR, seen: CSR, ranking_features: RankingFeatures) -> Candidates:
        """The encoded users' candidates with their features, as a ranker is trained on them."""
        nothing = np.zeros(0, dtype=np.int32)
        chunks = _chunks(queries, seen)
        return Candidates.joined(
            [ranking_features.candidates(some, self._hybrid_scores(some, known, nothing)) for some, known in chunks]
        )

    def _ranked(
        self, queries: CSR, seen: CSR, n: int, unavailable: Array
    ) -> Iterator[tuple[Array, Array, HybridScores]]:
        """Per user the items of the answer, their scores, and the hybrid scores."""
        for chunk, known in _chunks(queries, seen):
            hybrid = self._hybrid_scores(chunk, known, unavailable)
            ordered = self._reordered(chunk, hybrid, n) if self.ranking_features else (each.best(n) for each in hybrid)
            for each, (items, scores) in zip(hybrid, ordered, strict=True):
                yield items, scores, each

    def _hybrid_scores(self, queries: CSR, seen: CSR, unavailable: Array) -> list[HybridScores]:
        """Each user's weighted z-scores."""
        found = [(weight, source.scores(queries)) for weight, source in self._personal]
        hybrid = []
        for user in range(queries.shape[0]):
            filtered = np.concatenate([seen.indices[seen.indptr[user] : seen.indptr[user + 1]], unavailable])
            base, parts = self._base, []
            for weight, scores in found:
                deviation = scores.deviations[user]
                if deviation > 0:
                    base = base - weight * scores.means[user] / deviation
                    columns, values = scores.row(user)
                    parts.append((columns, values * (weight / deviation)))
            if not parts:
                nothing = np.zeros(0, dtype=np.int64), np.zeros(0)
                hybrid.append(HybridScores(self._everyone, self._order, *nothing, filtered))
            else:
                hybrid.append(HybridScores(base, self._order, *_added(parts, len(base)), filtered))
        return hybrid

    def _reordered(self, queries: CSR, hybrid: Sequence[HybridScores], n: int) -> Iterator[tuple[Array, Array]]:
        """Per user the n best items and their scores: the candidates as the ranker orders them, then the others.

        A ranker knows nothing of a user without interactions: then the order of the hybrid holds.
        """
        if self.ranking_features is None or self.config.ranker is None:
            raise ValueError("there is no ranker")
        candidates = self.ranking_features.candidates(queries, hybrid)
        values = self.config.ranker.scores(candidates)
        edges = np.append(0, np.cumsum(candidates.sizes))
        known = (np.diff(queries.indptr) > 0).tolist()
        for each, personal, (start, end) in zip(hybrid, known, pairwise(edges.tolist()), strict=True):
            if not personal or start == end:
                yield each.best(n)
                continue
            items, scores = top_k(candidates.items[start:end], values[start:end], n)
            if len(items) < n:
                more, below = each.without(items).best(n - len(items))
                items = np.concatenate([items, more])
                scores = np.concatenate([scores, below - below[:1] + scores[-1]])
            yield items, scores

    def personal_share(self, queries: CSR, seen: CSR, n: int = 10) -> float:
        """Of all places of the encoded users' answers, the part in which the user's own history decides."""
        shown = personal = 0
        for items, _, hybrid in self._ranked(queries, seen, n, np.zeros(0, dtype=np.int32)):
            shown += len(items)
            personal += int(self._is_personal(items, hybrid).sum())
        return personal / max(shown, 1)

    def _is_personal(self, items: Array, hybrid: HybridScores) -> Array:
        """bool per item: whether personal sources add more to its score than the others give."""
        return np.asarray(hybrid.own(items) > np.maximum(self._base[items], 0))

    def _explained(
        self, items: Array, scores: Array, hybrid: HybridScores, queried: Array, weights: Array
    ) -> list[Scored]:
        because = np.full(len(items), -1)
        personal = np.flatnonzero(self._is_personal(items, hybrid))
        for _, source in self._personal:
            silent = personal[because[personal] < 0]
            if len(silent):
                because[silent] = source.because(items[silent], queried, weights)
        ids = self.item_ids
        return [
            Scored(ids[item], score, None if why < 0 else ids[why], "popular" if why < 0 else "similar")
            for item, score, why in zip(items.tolist(), scores.tolist(), because.tolist(), strict=True)
        ]

    def to_arrays(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Everything as named arrays and a small JSON manifest."""
        arrays = pack_strings("item_ids", self.item_ids)
        for place, source in enumerate(self.sources):
            arrays |= {f"source_{place}_{name}": array for name, array in source.to_arrays().items()}
        if self.ranking_features is not None:
            arrays |= self.ranking_features.to_arrays()
        if self.repeats is not None:
            arrays |= self.repeats.to_arrays()
        manifest = {
            "config": self.config.model_dump(mode="json"),
            "rules": {action: rule.model_dump(mode="json") for action, rule in self.rules.items()},
            "since_ms": self.timeline.since,
            "now_ms": self.timeline.now,
            "pauses": self.timeline.pauses,
            "newness": self.newness.model_dump(mode="json"),
        }
        return arrays, manifest

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array], manifest: Mapping[str, Any]) -> "HybridRecommender":
        """What `to_arrays` gave; the arrays may be memory-mapped and read-only. Raises NotFound without a source."""
        item_ids = unpack_strings("item_ids", arrays)
        config = HybridConfig.model_validate(manifest["config"])
        sources = []
        for place, each in enumerate(config.sources):
            prefix = f"source_{place}_"
            own = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
            sources.append(source_class(each.source).from_arrays(each, own, len(item_ids)))
        model = cls(
            item_ids,
            sources,
            config,
            {action: ActionRule.model_validate(rule) for action, rule in manifest["rules"].items()},
            Timeline(manifest["since_ms"], manifest["now_ms"], pauses_from(manifest["pauses"])),
            RankingFeatures.from_arrays(arrays) if "ranking_items" in arrays else None,
        )
        model.newness = Newness.model_validate(manifest.get("newness", {}))
        model.repeats = RepeatRates.from_arrays(arrays)
        return model


def _added(parts: Sequence[tuple[Array, Array]], items: int) -> tuple[Array, Array]:
    """The columns (rising) that any of the sparse rows has, and the sums of their values."""
    if len(parts) == 1:
        return parts[0]
    sums, there = np.zeros(items), np.zeros(items, dtype=bool)
    for columns, values in parts:
        sums[columns] += values
        there[columns] = True
    columns = np.flatnonzero(there)
    return columns, sums[columns]


def _no_query(items: int) -> CSR:
    """One user without interactions."""
    return sparse.csr_matrix((1, items), dtype=np.float64)


def _chunks(queries: CSR, seen: CSR) -> Iterator[tuple[CSR, CSR]]:
    """The rows of both, in pieces with few enough cells."""
    users, items = queries.shape
    height = max(CHUNK_CELLS // max(items, 1), 1)
    if users <= height:
        yield queries, seen
        return
    for start in range(0, users, height):
        yield queries[start : start + height], seen[start : start + height]
