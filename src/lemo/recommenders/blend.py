"""The blend: relations of items to a user's touches, mixed with popularity; one code for request and batch."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from scipy import sparse

from lemo.domain.newness import Newness
from lemo.domain.scenario import ActionRule
from lemo.domain.touch import Touch
from lemo.recommenders.evidence import Candidates, Evidence, csr_arrays, csr_from
from lemo.recommenders.histories import Encoder
from lemo.recommenders.interactions import Interactions
from lemo.recommenders.item_knn import item_similarity
from lemo.recommenders.opinions import Mix, Opinions, first
from lemo.recommenders.popularity import popularity, z_scores
from lemo.recommenders.ranker import Ranker
from lemo.recommenders.ridge import MOST_ITEMS, neighbourhood_ridges
from lemo.recommenders.scored import Scored
from lemo.recommenders.strings import pack_strings, unpack_strings
from lemo.recommenders.timeline import Timeline, pauses_from

Array = np.ndarray[Any, Any]
CSR = sparse.csr_matrix

CHUNK_CELLS = 2_000_000
"""Users times items whose scores are held at once."""
LARGEST_SHARE = 0.999
"""Popularity always decides between items on which behaviour is silent."""


class BlendConfig(BaseModel):
    """How a blend is fitted and mixed. Half-lives are milliseconds; None does not decay."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    popularity_half_life_ms: Annotated[float, Field(gt=0)] | None = None
    behaviour_half_life_ms: Annotated[float, Field(gt=0)] | None = None
    """Of acts when similarity is fitted, and of a user's touches when the model is asked."""
    relation: Literal["similarity", "ridge"] = "similarity"
    """What a touched item says of another: their similarity (item-kNN), or its part in explaining it (ridge)."""
    penalty: Annotated[float, Field(gt=0)] = 20.0
    """Of `ridge`: added to each item's squared norm; the larger, the less few users prove."""
    shrinkage: Annotated[float, Field(ge=0)] = 10.0
    """Of similarity: the larger, the less few users prove."""
    neighbours: Annotated[int, Field(ge=1, le=1000)] = 50
    """Items that speak for each item."""
    behaviour_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    """How much similarity to the touched items counts beside popularity."""
    ranker: Ranker | None = Field(default=None, repr=False)
    """Puts the candidates into order where it was better than the blend on validation."""


class BlendModel:
    """A fitted blend; immutable, so threads may share it.

    An item's score is `behaviour_share` times the z-score of its similarity to the user's touches, plus the rest
    times the z-score of its popularity. Users without a known taste get popularity alone.
    A ranker, where there is one, puts the best candidates of this score and of the other sources into an order of its
    own; what it was not asked about follows in the blend's order.
    """

    def __init__(
        self,
        item_ids: list[str],
        neighbours: CSR,
        popular: Array,
        config: BlendConfig,
        rules: Mapping[str, ActionRule],
        timeline: Timeline,
        influence: CSR | None = None,
        evidence: Evidence | None = None,
    ) -> None:
        self.item_ids = item_ids
        self.neighbours = neighbours
        """Items x items: row j holds the items that speak for j (`ridge`: some against it), and how much."""
        self.influence = influence if influence is not None else _transposed(neighbours)
        """Items x items, the transpose: row i holds the items that a taste for i speaks for."""
        self.popularity = popular
        """float64 (items,): decayed weight of each item."""
        self.evidence = evidence
        """What the ranker is asked with; None without a ranker."""
        self.config = config
        self.rules = dict(rules)
        self.timeline = timeline
        self.newness = Newness()
        """What the scenario calls new; told to whoever serves the model."""
        self._encoder = Encoder(item_ids, self.rules, config.behaviour_half_life_ms, timeline)
        self._share = min(config.behaviour_share, LARGEST_SHARE)
        self._popular = z_scores(popular)
        self._base = (1 - self._share) * self._popular
        self._order = np.argsort(-self._popular, kind="stable")

    @classmethod
    def fit(cls, interactions: Interactions, config: BlendConfig, rules: Mapping[str, ActionRule]) -> "BlendModel":
        """Learns similarity and popularity; any data will do, none too."""
        tastes = interactions.tastes(config.behaviour_half_life_ms)
        return cls(
            interactions.item_ids,
            _related(tastes, config, interactions.typical_weight),
            popularity(interactions, config.popularity_half_life_ms),
            config,
            rules,
            interactions.timeline,
            evidence=Evidence.fit(interactions, config.ranker.half_lives) if config.ranker else None,
        )

    def recommend(
        self,
        histories: Sequence[Sequence[Touch]],
        n: int,
        hidden: Collection[str] = (),
        seen: Sequence[Collection[str]] = (),
    ) -> list[list[Scored]]:
        """The best n unseen items for each history (the order of touches does not matter), best first.

        `hidden` items are in no answer (inactive, blocked), nor are those that `seen` names, history by history, beside
        what the histories themselves say. Fewer than n come back where fewer are left.
        """
        tastes, known = self._encoder.encode(histories, seen)
        answers = []
        for row, (items, scores, behaviour) in enumerate(self._ranked(tastes, known, n, self._encoder.rows(hidden))):
            touched = slice(tastes.indptr[row], tastes.indptr[row + 1])
            answers.append(self._explained(items, scores, behaviour, tastes.indices[touched], tastes.data[touched]))
        return answers

    def popular(self, n: int, hidden: Collection[str] = ()) -> list[Scored]:
        """The n most popular items now."""
        return self.recommend([()], n, hidden)[0]

    def rank(self, tastes: CSR, seen: CSR, n: int) -> tuple[Array, Array]:
        """The answer for encoded users: items (int32, users x n, -1 where none is left) and scores (float64).

        `tastes` is users x items with weights, `seen` users x items with what must not be answered. This is what
        `recommend` does, without touches before and explanations after.
        """
        rows = np.full((tastes.shape[0], n), -1, dtype=np.int32)
        values = np.full((tastes.shape[0], n), -np.inf)
        for row, (items, scores, _) in enumerate(self._ranked(tastes, seen, n, np.zeros(0, dtype=np.int32))):
            rows[row, : len(items)] = items
            values[row, : len(items)] = scores
        return rows, values

    def candidates(self, tastes: CSR, seen: CSR, evidence: Evidence) -> Candidates:
        """The encoded users' candidates, as a ranker is taught on them."""
        nothing = np.zeros(0, dtype=np.int32)
        chunks = _chunks(tastes, seen)
        return Candidates.joined(
            [evidence.candidates(some, self._mixes(some, known, nothing)) for some, known in chunks]
        )

    def _ranked(self, tastes: CSR, seen: CSR, n: int, hidden: Array) -> Iterator[tuple[Array, Array, Array]]:
        """Per user: the items of the answer, their scores, and the part of each score that is the user's own taste."""
        for chunk, known in _chunks(tastes, seen):
            mixes = self._mixes(chunk, known, hidden)
            ordered = self._reordered(chunk, mixes, n) if self.evidence else (mix.best(n) for mix in mixes)
            for mix, (items, scores) in zip(mixes, ordered, strict=True):
                yield items, scores, mix.own(items)

    def _mixes(self, tastes: CSR, seen: CSR, hidden: Array) -> list[Mix]:
        """Each user's blended scores."""
        opinions = Opinions(tastes, self.influence)
        mixes = []
        moments = zip(opinions.means[:, 0].tolist(), opinions.spreads[:, 0].tolist(), strict=True)
        for user, (mean, spread) in enumerate(moments):
            columns, values = opinions.of(user)
            barred = np.concatenate([seen.indices[seen.indptr[user] : seen.indptr[user + 1]], hidden])
            if spread > 0 and self._share > 0:
                base, own = self._base - self._share * mean / spread, values * (self._share / spread)
            else:
                base, columns, own = self._popular, columns[:0], values[:0]
            mixes.append(Mix(base, self._order, columns, own, barred))
        return mixes

    def _reordered(self, tastes: CSR, mixes: Sequence[Mix], n: int) -> Iterator[tuple[Array, Array]]:
        """Per user the n best items and their scores: those that the ranker values, then the rest as the blend does.

        Nothing is known of a user without a taste: then the blend's order, which is popularity, holds.
        """
        if self.evidence is None or self.config.ranker is None:
            raise ValueError("there is no ranker")
        candidates = self.evidence.candidates(tastes, mixes)
        values = self.config.ranker.scores(candidates)
        edges = np.append(0, np.cumsum(candidates.sizes))
        known = (np.diff(tastes.indptr) > 0).tolist()
        for mix, personal, (start, end) in zip(mixes, known, pairwise(edges.tolist()), strict=True):
            if not personal or start == end:
                yield mix.best(n)
                continue
            items, scores = first(candidates.items[start:end], values[start:end], n)
            if len(items) < n:
                more, below = mix.without(items).best(n - len(items))
                items = np.concatenate([items, more])
                scores = np.concatenate([scores, below - below[:1] + scores[-1]])
            yield items, scores

    def personal_share(self, tastes: CSR, seen: CSR, n: int = 10) -> float:
        """Of all places of the encoded users' answers, the part in which the user's own taste decides."""
        shown = personal = 0
        for items, _, own in self._ranked(tastes, seen, n, np.zeros(0, dtype=np.int32)):
            shown += len(items)
            personal += int(self._personal(items, own).sum())
        return personal / max(shown, 1)

    def _personal(self, items: Array, own: Array) -> Array:
        """bool per item: whether the user's own part of its score is more than popularity's."""
        return np.asarray(own > np.maximum(self._base[items], 0))

    def _explained(self, items: Array, scores: Array, own: Array, touched: Array, weights: Array) -> list[Scored]:
        because = np.full(len(items), -1)
        personal = self._personal(items, own)
        # What only dislikes speak of may be personal without a neighbour.
        personal &= np.diff(self.neighbours.indptr)[items] > 0
        if personal.any():
            because[personal] = self._strongest(items[personal], touched, weights)
        ids = self.item_ids
        return [
            Scored(ids[item], score, None if why < 0 else ids[why], "popular" if why < 0 else "similar")
            for item, score, why in zip(items.tolist(), scores.tolist(), because.tolist(), strict=True)
        ]

    def _strongest(self, items: Array, touched: Array, weights: Array) -> Array:
        """Per item, each of which has neighbours, the liked one that speaks most for it, of equals the first; or -1."""
        taste = np.zeros(len(self.item_ids))
        taste[touched] = np.maximum(weights, 0)
        starts = self.neighbours.indptr[items].astype(np.int64)
        lengths = self.neighbours.indptr[items + 1] - starts
        first_cells = np.cumsum(lengths) - lengths
        cells = np.arange(lengths.sum()) + np.repeat(starts - first_cells, lengths)
        near = self.neighbours.indices[cells]
        parts = taste[near] * self.neighbours.data[cells]
        most = np.maximum.reduceat(parts, first_cells)
        best = np.flatnonzero(parts == np.repeat(most, lengths))
        return np.where(most > 0, near[best[np.searchsorted(best, first_cells)]], -1)

    def to_arrays(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Everything as named arrays and a small JSON manifest."""
        arrays = {
            **pack_strings("item_ids", self.item_ids),
            **csr_arrays("neighbours", self.neighbours),
            **csr_arrays("influence", self.influence),
            "popularity": self.popularity,
            **(self.evidence.to_arrays() if self.evidence is not None else {}),
        }
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
    def from_arrays(cls, arrays: Mapping[str, Array], manifest: Mapping[str, Any]) -> "BlendModel":
        """What `to_arrays` gave; the arrays may be memory-mapped and read-only."""
        item_ids = unpack_strings("item_ids", arrays)
        model = cls(
            item_ids,
            csr_from("neighbours", arrays, len(item_ids)),
            np.asarray(arrays["popularity"]),
            BlendConfig.model_validate(manifest["config"]),
            {action: ActionRule.model_validate(rule) for action, rule in manifest["rules"].items()},
            # Models of before robust time have none of these, and know no pauses.
            Timeline(manifest.get("since_ms", 0), manifest.get("now_ms", 0), pauses_from(manifest.get("pauses", ()))),
            csr_from("influence", arrays, len(item_ids)),
            Evidence.from_arrays(arrays) if "evidence_items" in arrays else None,
        )
        model.newness = Newness.model_validate(manifest.get("newness", {}))
        return model


def _related(tastes: CSR, config: BlendConfig, unit: float) -> CSR:
    if config.behaviour_share == 0:
        items = tastes.shape[1]
        nothing = np.zeros(0, dtype=np.float32), np.zeros(0, dtype=np.int32), np.zeros(items + 1, dtype=np.int64)
        return sparse.csr_matrix(nothing, shape=(items, items))
    similarity = item_similarity(tastes, config.shrinkage, config.neighbours, unit)
    if config.relation == "similarity" or similarity.shape[0] > MOST_ITEMS:
        return similarity
    return neighbourhood_ridges(tastes, similarity, config.neighbours, [config.penalty], unit)[0]


def _chunks(tastes: CSR, seen: CSR) -> Iterator[tuple[CSR, CSR]]:
    """The rows of both, in pieces with few enough cells."""
    users, items = tastes.shape
    height = max(CHUNK_CELLS // max(items, 1), 1)
    if users <= height:
        yield tastes, seen
        return
    for start in range(0, users, height):
        yield tastes[start : start + height], seen[start : start + height]


def _transposed(matrix: CSR) -> CSR:
    transposed = matrix.T.tocsr()
    transposed.sort_indices()
    return transposed
