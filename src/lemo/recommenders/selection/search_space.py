"""The search space: mixtures of personal sources with popularity, each source fitted once per fold."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import chain, product
from typing import Any

import numpy as np
from scipy import sparse

from lemo.recommenders.data.interactions import Interactions
from lemo.recommenders.data.source_scores import SourceScores
from lemo.recommenders.evaluation.metrics import hits_of, ideal, ndcg
from lemo.recommenders.evaluation.splits import Split
from lemo.recommenders.hybrid.hybrid import HybridConfig
from lemo.recommenders.interfaces import Source, SourceConfig
from lemo.recommenders.sources.item_knn import ItemKnn, ItemKnnConfig
from lemo.recommenders.sources.popularity import PopularityConfig, popularity, z_scores
from lemo.recommenders.sources.ridge import MOST_ITEMS, Ridge, RidgeConfig, users_of_items
from lemo.recommenders.sources.similarity import SimilaritySource

Array = np.ndarray[Any, Any]
CSR = sparse.csr_matrix

SEARCHED = ("item-knn", "ridge", "popularity")
"""The sources of the search space; others join what is best of these."""
POPULARITY_SPANS = (None, 0.1, 0.03, 0.01, 0.005)
"""Half-lives of popularity as parts of the span of time."""
PERSONAL_SPANS = (1.0, 0.3, 0.1, 0.05)
"""Half-lives of personal sources as parts of the span of time."""
SHRINKAGE = 20.0
NEIGHBOURS = (100, 20)
COMMITTEE = (30, 50, 100)
"""Neighbourhoods of a ridge; their mean was within .3 % of the best single one on every public data set tried."""
WIDE = 300
"""One more neighbourhood where the catalogue is small: dense data wants it, and it costs its third power."""
SMALL_CATALOGUE = 4_000
PENALTIES = (5.0, 20.0, 100.0)
DROPOUTS = (0.3, 1.0)
EXPONENTS = (0.0, 0.1, 0.2)
PENALTIES_IN_TIME = (20.0, 100.0)
EXPONENTS_IN_TIME = (0.0, 0.1)
DENSE = 0.02
"""Part of all user-item pairs above which popular items may be worth more than their scores say."""
SHARES = tuple(percent / 100 for percent in range(5, 105, 5))
"""Shares of the personal sources, besides 0."""
LARGEST_SHARE = 0.999
"""Popularity always decides between items on which the personal sources are silent."""
USERS_AT_ONCE = 400
"""Users of whom scores are held at once."""
DEEPEST = 50
"""Each source's best items that become candidates: other items hardly reach the first 10 of a mixture."""

Personal = ItemKnnConfig | RidgeConfig


@dataclass(frozen=True)
class Mixture:
    """Personal sources of one half-life, all of one weight, with popularity."""

    personal: tuple[Personal, ...]
    popularity_half_life_ms: float | None
    share: float
    """Weight of the personal sources together, 0 to 1; the rest is the weight of popularity."""

    def config(self) -> HybridConfig:
        """The hybrid of these."""
        share = min(self.share, LARGEST_SHARE)
        popular = PopularityConfig(half_life_ms=self.popularity_half_life_ms, weight=1 - share)
        if not self.personal or share == 0:
            return HybridConfig(sources=(popular,))
        weight = share / len(self.personal)
        personal: list[SourceConfig] = [each.model_copy(update={"weight": weight}) for each in self.personal]
        return HybridConfig(sources=(*personal, popular), query_half_life_ms=self.personal[0].half_life_ms)


@dataclass(frozen=True)
class SearchSpace:
    """The sources that are tried, each choice of personal ones with each popularity."""

    popularity: list[float | None]
    """Half-lives in milliseconds."""
    personal: list[tuple[Personal, ...]]
    """Those that share work next to each other."""

    @classmethod
    def of(cls, span_ms: int) -> "SearchSpace":
        """Item-kNN for data that spans so much time; without time nothing decays."""

        def half_lives(spans: tuple[float | None, ...]) -> list[float | None]:
            return [part and part * span_ms for part in (spans if span_ms > 0 else (None,))]

        return cls(
            half_lives(POPULARITY_SPANS),
            [
                (ItemKnnConfig(half_life_ms=half_life, neighbours=neighbours, shrinkage=SHRINKAGE),)
                for half_life, neighbours in product(half_lives(PERSONAL_SPANS), NEIGHBOURS)
            ],
        )

    @staticmethod
    def has_ridges(interactions: Interactions) -> bool:
        """Whether the catalogue is small enough for ridges."""
        return len(interactions.item_ids) <= MOST_ITEMS

    @classmethod
    def ridges(
        cls, interactions: Interactions, popularity: list[float | None], similar: Personal, wide: bool
    ) -> "SearchSpace":
        """Ridges of the half-life of `similar`; `wide`: of more parameters, else alone and together with it.

        A ridge costs many times what a similarity does, so other half-lives are not tried.
        """
        users, items = interactions.shape
        neighbours = (*COMMITTEE, WIDE) if wide and items <= SMALL_CATALOGUE else COMMITTEE
        dense = interactions.user_item_matrix().nnz > DENSE * users * items
        penalties = PENALTIES if wide else PENALTIES_IN_TIME
        if WIDE in neighbours:
            penalties = (*penalties[1:], 300.0)
        exponents = EXPONENTS if wide else EXPONENTS_IN_TIME
        ridges = [
            RidgeConfig(
                half_life_ms=similar.half_life_ms,
                penalty=penalty,
                dropout=dropout,
                popularity_exponent=exponent,
                neighbours=neighbours,
                shrinkage=SHRINKAGE,
            )
            for penalty in penalties
            for dropout in (DROPOUTS if wide else DROPOUTS[:1])
            for exponent in ((-0.1, *exponents) if dense else exponents)
        ]
        together = [] if wide else [(similar, ridge) for ridge in ridges]
        return cls(popularity, [*((ridge,) for ridge in ridges), *together])


def alone(means: Mapping[Mixture, float]) -> dict[str, float]:
    """NDCG@10 of the best configuration of each source where it has the whole weight."""
    found: dict[str, float] = {}
    for mixture, mean in means.items():
        if mixture.share in (0.0, 1.0):
            name = " + ".join(each.source for each in mixture.personal) or "popularity"
            found[name] = max(found.get(name, 0.0), mean)
    return found


def best_of(gains: Mapping[Mixture, Array]) -> Mixture:
    """The mixture that has gained most; of equals the first, and the space goes from plain to elaborate."""
    return max(gains, key=lambda mixture: float(gains[mixture].mean(dtype=np.float64)))


def evaluate_space(
    fold: Split, space: SearchSpace, kept: dict[SourceConfig, Source] | None = None
) -> dict[Mixture, Array]:
    """NDCG@10 of every mixture for each user of the fold (float32); popularity alone comes first, with share 0.

    A mixture is evaluated on the best candidates of its personal sources and of each popularity. The fitted sources are
    put into `kept`, by their configurations with the weight 1.
    """
    from lemo.recommenders.kernels.search import evaluate_mixtures

    seen = fold.train.seen_csr()[fold.users]
    popular = np.stack([z_scores(popularity(fold.train, half_life)) for half_life in space.popularity])
    top = [top_popular(values, seen) for values in popular]
    counts = np.diff(fold.relevant.indptr)
    gains: dict[Mixture, Array] = {}
    for half_life, answers in zip(space.popularity, top, strict=True):
        gains[Mixture((), half_life, 0.0)] = ndcg(hits_of(answers, fold.relevant), counts).astype(np.float32)
    shares, together = np.minimum(SHARES, LARGEST_SHARE), np.concatenate(top, axis=1)
    parts = [slice(start, start + USERS_AT_ONCE) for start in range(0, len(fold.users), USERS_AT_ONCE)]
    about = [
        (*places(seen[part]), *places(fold.relevant[part]), ideal(counts[part]), together[part], popular)
        for part in parts
    ]

    def evaluated(place: int, scores: SourceScores) -> Array:
        found = np.zeros((len(scores), len(popular), len(SHARES)), dtype=np.float32)
        evaluate_mixtures(scores.starts, scores.columns, scores.values, *about[place], shares, DEEPEST, found)
        return found

    shared = {each for chosen in space.personal for each in chosen[:-1]}
    several: dict[tuple[Personal, int], SourceScores] = {}
    pending: list[tuple[tuple[Personal, ...], Future[Array]]] = []
    # Mixtures of one source are evaluated while the next is fitted.
    with ThreadPoolExecutor(1) as evaluating:
        for config, place, own in _scored(fold, space, parts, kept):
            if config in shared:
                several[config, place] = own
            for chosen in space.personal:
                if chosen[-1] == config:
                    if len(pending) > 1:
                        pending[-2][1].result()  # so that few scores are held at once
                    scores = _mean([*(several[each, place] for each in chosen[:-1]), own])
                    pending.append((chosen, evaluating.submit(evaluated, place, scores)))
    found: dict[tuple[Personal, ...], list[Array]] = {}
    for chosen, values in pending:
        found.setdefault(chosen, []).append(values.result())
    for chosen, rows in found.items():
        for half_life, by_share in zip(space.popularity, np.moveaxis(np.concatenate(rows), 0, 2), strict=True):
            gains |= {Mixture(chosen, half_life, share): row for share, row in zip(SHARES, by_share, strict=True)}
    return gains


def _scored(
    fold: Split, space: SearchSpace, parts: Sequence[slice], kept: dict[SourceConfig, Source] | None
) -> Iterator[tuple[Personal, int, SourceScores]]:
    """The scores of each personal source of the space for each of these parts of the users, in standard deviations.

    Ridges that differ in their popularity exponent are fitted once, and only so are they put into `kept`.
    """
    from lemo.recommenders.kernels.search import standardise

    queries = cache(lambda half_life_ms: fold.train.query_matrix(half_life_ms)[fold.users])
    configs = dict.fromkeys(each for chosen in space.personal for each in chosen)
    similarities = [config for config in configs if isinstance(config, ItemKnnConfig)]
    ridges: dict[RidgeConfig, list[RidgeConfig]] = {}
    for config in configs:
        if isinstance(config, RidgeConfig):
            ridges.setdefault(config.model_copy(update={"popularity_exponent": 0.0}), []).append(config)
    fitted: Iterator[tuple[Personal, SimilaritySource, list[Any]]] = chain(
        zip(similarities, ItemKnn.fit_many(fold.train, similarities), ([each] for each in similarities), strict=True),
        zip(ridges, Ridge.fit_many(fold.train, list(ridges)), ridges.values(), strict=True),
    )
    likers = users_of_items(fold.train) if ridges else np.zeros(0)
    for config, source, alike in fitted:
        if kept is not None:
            kept[config] = source
        for place, part in enumerate(parts):
            scores = source.scores(queries(config.half_life_ms)[part])
            for other in alike:
                exponent = getattr(other, "popularity_exponent", 0.0)
                own = scores.times(likers**-exponent) if exponent else scores
                # Where these are `scores` themselves, the next of `alike` are divided by a user's deviation once more.
                standardise(own.starts, own.values, own.items)
                yield other, place, own


def in_deviations(scores: SourceScores) -> CSR:
    """Users x items: the scores, which are not used any more, as so many standard deviations."""
    from lemo.recommenders.kernels.search import standardise

    standardise(scores.starts, scores.values, scores.items)
    return sparse.csr_matrix((scores.values, scores.columns, scores.starts), shape=(len(scores), scores.items))


def _mean(scores: Sequence[SourceScores]) -> SourceScores:
    """The mean of the same users' scores."""
    if len(scores) == 1:
        return scores[0]
    shape = len(scores[0]), scores[0].items
    total = CSR(shape)
    for each in scores:
        total = CSR(total + CSR((each.values, each.columns, each.starts), shape=shape))
    return SourceScores(*places(total), total.data / len(scores), scores[0].items)


def top_popular(values: Array, seen: CSR) -> Array:
    """int64 (users, places): the most popular items that each user has not seen; -1 where too many are seen."""
    places = np.argsort(-values, kind="stable")[: 4 * DEEPEST]
    known = seen[:, places].toarray()
    order = np.argsort(known, axis=1, kind="stable")[:, :DEEPEST]
    return np.where(np.take_along_axis(known, order, axis=1), -1, places[order])


def places(matrix: CSR) -> tuple[Array, Array]:
    """Where each row starts, and its columns, in the one type that the kernel is compiled for."""
    return matrix.indptr.astype(np.int64, copy=False), matrix.indices.astype(np.int64, copy=False)
