"""Evaluation: full ranking of all items, nothing sampled."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel, Field
from scipy import sparse

from lemo.recommenders.data.interactions import Interactions
from lemo.recommenders.evaluation.beyond_accuracy import diversity, mean_or_none, novelty
from lemo.recommenders.evaluation.significance import intervals
from lemo.recommenders.evaluation.splits import Split
from lemo.recommenders.interfaces import Recommender

Array = np.ndarray[Any, Any]
CSR = sparse.csr_matrix

DEPTH = 20
"""Length of the measured lists; MRR and recall@20 use all, the other metrics the first 10."""
LIGHT = 10
"""Users who liked fewer items than this before the test are light, the others heavy."""
NEW = 5
"""Items that fewer users than this liked before the test are new."""
ACCURACY = ("ndcg_at_10", "recall_at_10", "recall_at_20", "map_at_10", "mrr")
"""The metrics that each user has a value of."""


class Metrics(BaseModel):
    """Means over the users of the queries. All but novelty are within 0 and 1; higher is better."""

    ndcg_at_10: float
    recall_at_10: float
    recall_at_20: float
    map_at_10: float
    mrr: float
    """Reciprocal rank of the first liked item, 0 where none is among the first 20."""
    coverage: float
    """Share of all items that are in somebody's first 10."""
    novelty: float | None = None
    """Mean self-information of the first 10, in bits; None without the past interactions."""
    diversity: float | None = None
    """Mean distance of two of the first 10."""
    users: int
    ndcg_by_user: list[float] = Field([], exclude=True, repr=False)
    """NDCG@10 of each user, in the order of the split, for paired tests; it stays out of JSON."""


class Scorecard(Metrics):
    """Metrics with their confidence intervals, and for segments of users and items."""

    intervals: dict[str, tuple[float, float]] = {}
    """95 % confidence interval of each accuracy metric, by bootstrap over the users."""
    segments: dict[str, Metrics] = {}
    """The same for `new_users` (without a liked item before), `light_users`, `heavy_users`, and `new_items` (only
    items that hardly anybody had liked count as hits). Segments without users are left out."""


@dataclass(frozen=True, eq=False)
class _ByUser:
    """The metrics of each user's list: float64 (users, metrics)."""

    accuracy: Array
    novelty: Array
    diversity: Array
    shown: Array
    """int32 (users, 10): the first places of the answers."""

    def metrics(self, items: int, rows: Array | slice = slice(None)) -> Metrics:
        """Means over some of the users."""
        accuracy, shown = self.accuracy[rows], self.shown[rows]
        means = accuracy.mean(axis=0) if len(accuracy) else np.zeros(len(ACCURACY))
        return Metrics(
            **dict(zip(ACCURACY, means.tolist(), strict=True)),
            coverage=len(np.unique(shown[shown >= 0])) / max(items, 1),
            novelty=mean_or_none(self.novelty[rows]),
            diversity=mean_or_none(self.diversity[rows]),
            users=len(accuracy),
            ndcg_by_user=accuracy[:, 0].tolist(),
        )


def evaluate(model: Recommender, split: Split) -> Scorecard:
    """Asks the model about the users of the split, with the training part as their history."""
    cold_start = split.cold_start
    return scorecard(answers(model, split), split, None if cold_start is None else answers(model, cold_start))


def answers(model: Recommender, split: Split) -> Array:
    """int32 (users, 20): what the model answers the users of the split, best first, -1 where nothing is left."""
    queries = split.train.query_matrix(model.query_half_life_ms)[split.users]
    found, _ = model.rank(queries, split.train.seen_csr()[split.users], DEPTH)
    return found


def scorecard(answers: Array, split: Split, to_cold_start: Array | None = None) -> Scorecard:
    """Everything about answers (int32, users x places, best first, -1 for nothing) to the users of a split.

    `to_cold_start` are the answers to the users of `split.cold_start`, where there are such.
    """
    by_user = _by_user(answers, split.relevant, split.train)
    items = len(split.train.item_ids)
    liked = split.train.csr()
    heavy = np.diff(liked.indptr)[split.users] >= LIGHT
    segments = {"light_users": by_user.metrics(items, ~heavy), "heavy_users": by_user.metrics(items, heavy)}
    if split.cold_start is not None and to_cold_start is not None:
        segments["new_users"] = _by_user(to_cold_start, split.cold_start.relevant, split.train).metrics(items)
    new = np.bincount(liked.indices, minlength=items) < NEW
    to_new = sparse.csr_matrix(split.relevant.multiply(new[None, :]))
    to_new.eliminate_zeros()
    queried = np.diff(to_new.indptr) > 0
    segments["new_items"] = _by_user(answers[queried], to_new[queried], split.train).metrics(items)
    return Scorecard(
        **by_user.metrics(items).model_dump(),
        ndcg_by_user=by_user.accuracy[:, 0].tolist(),
        intervals={
            name: (low, high) for name, (low, high) in zip(ACCURACY, intervals(by_user.accuracy).tolist(), strict=True)
        },
        segments={name: metrics for name, metrics in sorted(segments.items()) if metrics.users},
    )


def measured(answers: Array, relevant: CSR, items: int) -> Metrics:
    """Metrics of answers (int32, users x places, best first, -1 for nothing) to what was relevant (users x items)."""
    return _by_user(answers, relevant, None).metrics(items)


def _by_user(answers: Array, relevant: CSR, past: Interactions | None) -> _ByUser:
    users = len(answers)
    hits = hits_of(answers, relevant)
    counts = np.maximum(np.diff(relevant.indptr), 1)
    places = np.arange(1, hits.shape[1] + 1)
    precisions = np.cumsum(hits, axis=1) / places
    accuracy = np.stack(
        [
            ndcg(hits, counts),
            hits[:, :10].sum(axis=1) / counts,
            hits[:, :20].sum(axis=1) / counts,
            (precisions * hits)[:, :10].sum(axis=1) / np.minimum(counts, 10),
            (hits / places).max(axis=1, initial=0.0),
        ],
        axis=1,
    )
    shown = answers[:, :10]
    unknown = np.full(users, np.nan)
    return _ByUser(
        accuracy,
        unknown if past is None else novelty(shown, past),
        unknown if past is None else diversity(shown, past),
        shown,
    )


def hits_of(answers: Array, relevant: CSR) -> Array:
    """bool, users x places: whether the item in that place was relevant to the user."""
    width = relevant.shape[1] + 1  # one more, so that -1 is no item of anybody
    rows = np.arange(len(answers), dtype=np.int64)[:, None]
    wanted = np.repeat(np.arange(relevant.shape[0], dtype=np.int64), np.diff(relevant.indptr)) * width
    return np.isin(rows * width + np.where(answers < 0, width - 1, answers), wanted + relevant.indices)


def ndcg(hits: Array, counts: Array, k: int = 10) -> Array:
    """float64 (users,): normalised discounted cumulative gain of the first k places (Järvelin, Kekäläinen, 2002).

    `counts` is how many items are relevant to each user, at least 1.
    """
    width = min(k, hits.shape[1])
    return np.asarray((hits[:, :width] @ _discounts(width)) / ideal(counts, k))


def ideal(counts: Array, k: int = 10) -> Array:
    """float64: the discounted cumulative gain of the best possible first k places, for `counts` relevant items."""
    return np.asarray(np.cumsum(_discounts(k))[np.clip(counts, 1, k) - 1])


def _discounts(k: int) -> Array:
    return 1 / np.log2(np.arange(2, k + 2))
