"""Histories: the interactions of users as rows of a query matrix."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import sparse

from lemo.domain.interaction import Interaction, interaction_weight, turned_against
from lemo.domain.scenario import ActionRule
from lemo.recommenders.data import weighting
from lemo.recommenders.data.timeline import Timeline
from lemo.recommenders.data.weighting import decay_one, newest_items

Array = np.ndarray[Any, Any]
CSR = sparse.csr_matrix


class Encoder:
    """Encodes histories as query vectors, by a scenario's rules, a half-life and the scenario's time.

    Items that the model does not know are left out.
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
        """Codes (int32) of the known ids."""
        return np.array([code for code in map(self._codes.get, item_ids) if code is not None], dtype=np.int32)

    def encode(
        self, histories: Sequence[Sequence[Interaction]], more_seen: Sequence[Collection[str]] = ()
    ) -> tuple[CSR, CSR]:
        """The query matrix (float64) and the seen items (bool), both users x items and sorted.

        Weights follow the weighting rule (`data/weighting.py`), with ages before the user's newest interaction. An item
        that the user has turned against gets the strongest weight against it, and counts as seen. `more_seen` names
        further seen items of each history.
        """
        queries: list[dict[int, float]] = []
        seen: list[set[int]] = []
        for history in histories:
            weights, seen_items = self._encode_one(history)
            queries.append(weights)
            seen.append(seen_items)
        for seen_items, ids in zip(seen, more_seen, strict=bool(more_seen)):
            seen_items.update(self.rows(ids).tolist())
        shape = (len(histories), self._items)
        columns = [sorted(weights) for weights in queries]
        values = [weights[column] for weights, row in zip(queries, columns, strict=True) for column in row]
        seen_columns = [sorted(row) for row in seen]
        return (
            _csr(columns, np.array(values, dtype=np.float64), shape),
            _csr(seen_columns, np.ones(sum(map(len, seen_columns)), dtype=bool), shape),
        )

    def _encode_one(self, history: Sequence[Interaction]) -> tuple[dict[int, float], set[int]]:
        """The weights by item, and the items seen or turned against."""
        positive: dict[int, float] = {}
        negative: dict[int, float] = {}
        seen: set[int] = set()
        opinions: list[tuple[int, int, float]] = []
        newest = self._timeline.lived_at(max((interaction.timestamp_ms for interaction in history), default=0))
        for interaction in history:
            code = self._codes.get(interaction.item_id)
            rule = self._rules.get(interaction.action)
            if code is None or rule is None:
                continue
            if rule.seen:
                seen.add(code)
            weight = interaction_weight(rule, interaction.value)
            if weight == 0:
                continue
            opinions.append((code, interaction.timestamp_ms, weight))
            age = newest - self._timeline.lived_at(interaction.timestamp_ms)
            strength = weight * decay_one(age, self._half_life_ms)
            if weight > 0:
                positive[code] = max(positive.get(code, 0.0), strength)
            else:
                negative[code] = min(negative.get(code, 0.0), strength)
        against = turned_against(opinions)
        for code in against:
            positive.pop(code, None)
        if len(positive) > weighting.LONGEST_HISTORY:
            positive = self._newest(positive, history)
        return positive | {code: negative[code] for code in against}, seen | against

    def _newest(self, positive: Mapping[int, float], history: Sequence[Interaction]) -> dict[int, float]:
        """The weights of the newest items."""
        times: dict[str, int] = {}
        for interaction in history:
            code = self._codes.get(interaction.item_id)
            rule = self._rules.get(interaction.action)
            if code in positive and interaction_weight(rule, interaction.value) > 0:
                known = times.get(interaction.item_id, interaction.timestamp_ms)
                times[interaction.item_id] = max(known, interaction.timestamp_ms)
        newest = newest_items((time, item_id) for item_id, time in times.items())
        return {code: positive[code] for code in map(self._codes.__getitem__, newest)}


def _csr(columns: Sequence[Sequence[int]], values: Array, shape: tuple[int, int]) -> CSR:
    starts = np.zeros(len(columns) + 1, dtype=np.int32)
    np.cumsum([len(row) for row in columns], out=starts[1:])
    indices = np.fromiter((column for row in columns for column in row), dtype=np.int32, count=len(values))
    return sparse.csr_matrix((values, indices, starts), shape=shape)
