"""Further sources: they join what is best of item-kNN, ridge and popularity, one by one, where it gets better."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from lemo.recommenders.evaluation.cold_start import Question, question_of_all_items, question_of_new_items
from lemo.recommenders.evaluation.metrics import ideal
from lemo.recommenders.evaluation.significance import compare
from lemo.recommenders.evaluation.splits import Split
from lemo.recommenders.hybrid.hybrid import HybridConfig
from lemo.recommenders.interfaces import Source, SourceConfig
from lemo.recommenders.registry import source_class
from lemo.recommenders.selection.search_space import DEEPEST, in_deviations, places, top_popular
from lemo.recommenders.sources.popularity import z_scores

Array = np.ndarray[Any, Any]
CSR = sparse.csr_matrix

WEIGHTS = (0.1, 0.3, 1.0)
"""Weights that are tried for a source, beside 1 for all others together."""
LEAST_KEPT = 0.995
"""Part of the NDCG@10 over all items that a hybrid must keep where a source joins for the sake of new items."""


@dataclass(frozen=True, eq=False)
class _Scores:
    """Scores of a fold's users: of everybody (float64 (items,)), and what personal sources add (users x items)."""

    everyone: Array
    own: CSR

    def plus(self, other: "_Scores", weight: float) -> "_Scores":
        """The sum with so much of another's scores."""
        own = CSR(self.own + weight * other.own)
        own.sort_indices()
        return _Scores(self.everyone + weight * other.everyone, own)

    def ndcg_by_user(self, question: Question) -> Array:
        """float32 (users,): NDCG@10 of the question's items in the order of these scores."""
        from lemo.recommenders.kernels.search import evaluate_mixtures

        ranked = np.flatnonzero(question.ranked)
        rows = np.searchsorted(question.asked_users, question.users)
        seen = CSR(question.histories.seen_csr()[question.users][:, ranked])
        own, relevant = CSR(self.own[rows][:, ranked]), CSR(question.relevant[:, ranked])
        everyone = self.everyone[ranked]
        for matrix in (seen, own, relevant):
            matrix.sort_indices()
        found = np.zeros((len(rows), 1, 1), dtype=np.float32)
        about = (*places(seen), *places(relevant), ideal(np.diff(relevant.indptr)), top_popular(everyone, seen))
        # Both halves have their weights already.
        evaluate_mixtures(*places(own), own.data, *about, everyone[None], np.array([0.5]), DEEPEST, found)
        return found.ravel()


class FurtherSources:
    """A hybrid that grows: `config` holds the sources that have joined."""

    def __init__(
        self, config: HybridConfig, folds: Sequence[Split], kept: Sequence[Mapping[SourceConfig, Source]] | None = None
    ) -> None:
        """`kept` are, per fold, sources that are fitted already, by their configurations with the weight 1."""
        self.config = config
        self._folds = folds
        self._kept = kept or [{} for _ in folds]

    def offer(self, name: str) -> None:
        """Lets a source join at its best weight, where the hybrid is better with it beyond noise on the folds' users.

        Where it is not, the source joins if the hybrid orders new items among themselves better beyond noise, and is as
        good as before over all items. A source that has nothing to say of the folds' users costs only its fit.
        """
        extra: SourceConfig = source_class(name).Config()
        own = [self._scores_of(extra, fold, {}) for fold in self._folds]
        if not any(scores.own.nnz or scores.everyone.any() for scores in own):
            return
        joined = {
            weight: [before.plus(more, weight) for before, more in zip(self._scores, own, strict=True)]
            for weight in WEIGHTS
        }
        before, after = _values(self._scores, self._all), {each: _values(joined[each], self._all) for each in WEIGHTS}
        best = max(WEIGHTS, key=lambda weight: float(after[weight].mean()))
        if not compare(after[best], before).better:
            harmless = [weight for weight in WEIGHTS if after[weight].mean() >= LEAST_KEPT * before.mean()]
            best = self._best_for_new_items({weight: joined[weight] for weight in harmless})
        if best:
            sources = (*self.config.sources, extra.model_copy(update={"weight": best}))
            self.config, self._scores = self.config.model_copy(update={"sources": sources}), joined[best]

    def _best_for_new_items(self, joined: dict[float, list[_Scores]]) -> float:
        """The weight with which new items are ordered best, where that is better beyond noise than without; else 0."""
        if not joined or not any(self._new):
            return 0.0
        before, after = _values(self._scores, self._new), {each: _values(joined[each], self._new) for each in joined}
        best = max(after, key=lambda weight: float(after[weight].mean()))
        return best if compare(after[best], before).better else 0.0

    @cached_property
    def _all(self) -> list[Question | None]:
        return [question_of_all_items(fold) for fold in self._folds]

    @cached_property
    def _new(self) -> list[Question | None]:
        return [question_of_new_items(fold) for fold in self._folds]

    @cached_property
    def _scores(self) -> list[_Scores]:
        """Per fold the scores of the sources of `config`."""
        found = []
        for fold, kept in zip(self._folds, self._kept, strict=True):
            parts = [
                (each.weight, self._scores_of(each, fold, kept)) for each in self.config.sources if each.weight > 0
            ]
            whole = _Scores(np.zeros(fold.train.shape[1]), CSR((len(fold.users), fold.train.shape[1])))
            for weight, part in parts:
                whole = whole.plus(part, weight)
            found.append(whole)
        return found

    def _scores_of(self, config: SourceConfig, fold: Split, kept: Mapping[SourceConfig, Source]) -> _Scores:
        """What a source gives the users of a fold, in standard deviations."""
        known = kept.get(config.model_copy(update={"weight": 1.0}))
        source: Source = known or next(source_class(config.source).fit_many(fold.train, [config]))
        users, items = len(fold.users), fold.train.shape[1]
        if source.personal:
            queries = fold.train.query_matrix(self.config.query_half_life_ms)[fold.users]
            return _Scores(np.zeros(items), in_deviations(source.scores(queries)))
        columns, values = source.scores(CSR((1, items))).row(0)
        everyone = np.zeros(items)
        everyone[columns] = values
        return _Scores(z_scores(everyone), CSR((users, items)))


def _values(scores: Sequence[_Scores], questions: Sequence[Question | None]) -> Array:
    """NDCG@10 of all users of the folds' questions."""
    pairs = zip(scores, questions, strict=True)
    return np.concatenate([each.ndcg_by_user(question) for each, question in pairs if question is not None])
