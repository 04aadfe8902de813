"""Histories: the touches of users as rows of matrices, the form in which a model is asked."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import sparse

from lemo.domain.scenario import ActionRule
from lemo.domain.touch import Touch, taste_weight
from lemo.recommenders.interactions import OLDEST_HALF_LIVES
from lemo.recommenders.timeline import Timeline

Array = np.ndarray[Any, Any]
CSR = sparse.csr_matrix


class Encoder:
    """Turns touches into tastes, by a scenario's rules, a half-life and the scenario's time.

    Items that it does not know are left out.
    """

    def __init__(
        self,
        item_ids: Sequence[str],
        rules: Mapping[str, ActionRule],
        half_life_ms: float | None,
        timeline: Timeline | None = None,
    ) -> None:
        self._items = len(item_ids)
        self._codes = {item_id: code for code, item_id in enumerate(item_ids)}
        self._rules = rules
        self._half_life_ms = half_life_ms
        self._timeline = timeline or Timeline()

    def rows(self, item_ids: Collection[str]) -> Array:
        """Codes (int32) of the ids that are known."""
        return np.array([code for code in map(self._codes.get, item_ids) if code is not None], dtype=np.int32)

    def encode(
        self, histories: Sequence[Sequence[Touch]], more_seen: Sequence[Collection[str]] = ()
    ) -> tuple[CSR, CSR]:
        """Tastes (float64) and what is seen (bool), both users x items and sorted.

        An item's taste is its strongest act, decayed by the age before the user's newest act. Where the newest opinion
        is negative (of two at the same moment the negative one counts) it is the strongest act against the item, below
        0, and the item counts as seen whatever the rules say. `more_seen` names for each history what is seen besides.
        """
        tastes: list[dict[int, float]] = []
        seen: list[set[int]] = []
        for history in histories:
            taste, known = self._one(history)
            tastes.append(taste)
            seen.append(known)
        for known, ids in zip(seen, more_seen, strict=bool(more_seen)):
            known.update(self.rows(ids).tolist())
        shape = (len(histories), self._items)
        columns = [sorted(taste) for taste in tastes]
        weights = [taste[column] for taste, row in zip(tastes, columns, strict=True) for column in row]
        watched = [sorted(row) for row in seen]
        return (
            _csr(columns, np.array(weights, dtype=np.float64), shape),
            _csr(watched, np.ones(sum(map(len, watched)), dtype=bool), shape),
        )

    def _one(self, history: Sequence[Touch]) -> tuple[dict[int, float], set[int]]:
        taste: dict[int, float] = {}
        distaste: dict[int, float] = {}
        seen: set[int] = set()
        opinions: dict[int, tuple[int, bool]] = {}
        newest = self._timeline.lived_at(max((touch.timestamp_ms for touch in history), default=0))
        for touch in history:
            code = self._codes.get(touch.item_id)
            rule = self._rules.get(touch.action)
            if code is None or rule is None:
                continue
            if rule.seen:
                seen.add(code)
            weight = taste_weight(rule, touch.value)
            if weight == 0:
                continue
            opinions[code] = max(opinions.get(code, (touch.timestamp_ms, False)), (touch.timestamp_ms, weight < 0))
            strength = weight * self._decay(newest - self._timeline.lived_at(touch.timestamp_ms))
            if weight > 0:
                taste[code] = max(taste.get(code, 0.0), strength)
            else:
                distaste[code] = min(distaste.get(code, 0.0), strength)
        for code, (_, negative) in opinions.items():
            if negative:
                taste[code] = distaste[code]
                seen.add(code)
        return taste, seen

    def _decay(self, age_ms: int) -> float:
        if self._half_life_ms is None:
            return 1.0
        return math.exp2(-min(age_ms / max(self._half_life_ms, 1.0), OLDEST_HALF_LIVES))


def _csr(columns: Sequence[Sequence[int]], values: Array, shape: tuple[int, int]) -> CSR:
    starts = np.zeros(len(columns) + 1, dtype=np.int32)
    np.cumsum([len(row) for row in columns], out=starts[1:])
    indices = np.fromiter((column for row in columns for column in row), dtype=np.int32, count=len(values))
    return sparse.csr_matrix((values, indices, starts), shape=shape)
