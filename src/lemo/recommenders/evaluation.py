"""Evaluation: full ranking of all items, nothing sampled."""

from typing import Any

import numpy as np
from pydantic import BaseModel
from scipy import sparse

from lemo.recommenders.blend import BlendModel
from lemo.recommenders.split import Split

Array = np.ndarray[Any, Any]
CSR = sparse.csr_matrix

DEPTH = 20
"""Places of an answer that are looked at; MRR and recall use all, NDCG and coverage the first 10."""


class Metrics(BaseModel):
    """Means over the users who were asked about; 0 to 1, higher is better."""

    ndcg_at_10: float
    recall_at_20: float
    mrr: float
    """Reciprocal rank of the first liked item, 0 where none is among the first 20."""
    coverage: float
    """Share of all items that are in somebody's first 10."""
    users: int


def evaluate(model: BlendModel, split: Split) -> Metrics:
    """Asks the model about the users of the split, with the training part as their history."""
    half_life = model.config.behaviour_half_life_ms
    answers, _ = model.rank(split.train.tastes(half_life)[split.users], split.train.seen_csr()[split.users], DEPTH)
    return measured(answers, split.relevant, len(model.item_ids))


def measured(answers: Array, relevant: CSR, items: int) -> Metrics:
    """Metrics of answers (int32, users x places, best first, -1 for nothing) to what was relevant (users x items)."""
    users = len(answers)
    if users == 0:
        return Metrics(ndcg_at_10=0, recall_at_20=0, mrr=0, coverage=0, users=0)
    hits = hits_of(answers, relevant)
    counts = np.maximum(np.diff(relevant.indptr), 1)
    first = np.argmax(hits, axis=1)
    shown = answers[:, :10]
    return Metrics(
        ndcg_at_10=float(ndcg(hits, counts).mean()),
        recall_at_20=float((hits[:, :20].sum(axis=1) / counts).mean()),
        mrr=float((hits.any(axis=1) / (first + 1)).mean()),
        coverage=len(np.unique(shown[shown >= 0])) / max(items, 1),
        users=users,
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
