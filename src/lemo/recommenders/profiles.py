"""User profiles: a user's tastes (categories, tags, authors), derived from the recent interactions."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from pydantic import BaseModel
from scipy import sparse

from lemo.domain.interaction import Interaction
from lemo.domain.item import Item
from lemo.domain.scenario import ActionRule
from lemo.domain.time import from_milliseconds
from lemo.recommenders.data.histories import Encoder

Array = np.ndarray[Any, Any]
CSR = sparse.csr_matrix

HALF_LIFE_MS = 30 * 86_400_000.0
"""By default an interaction of a month ago counts half of one of now."""


@dataclass(frozen=True, slots=True)
class Taste:
    """A label and its share of what the user likes, 0 to 1."""

    label: str
    weight: float


class UserProfile(BaseModel):
    """The labels of the items that a user likes, by weight, and counts of the interactions."""

    user_id: str
    categories: list[Taste]
    tags: list[Taste]
    authors: list[Taste]
    interactions: int
    """Interactions in the recent history."""
    actions: dict[str, int]
    """Interactions by action."""
    last_event_at: datetime | None


class Profiler:
    """Makes the profiles of many users at once from the labels of a catalogue."""

    def __init__(
        self, items: Sequence[Item], rules: Mapping[str, ActionRule], half_life_ms: float | None = HALF_LIFE_MS
    ) -> None:
        self._encoder = Encoder([item.item_id for item in items], rules, half_life_ms)
        self._categories = _Labels(item.categories for item in items)
        self._tags = _Labels(item.tags for item in items)
        self._authors = _Labels([item.author] if item.author else [] for item in items)

    def profiles(
        self, user_ids: Sequence[str], histories: Sequence[Sequence[Interaction]], top: int = 10
    ) -> list[UserProfile]:
        """One profile per user, in order, with the `top` labels of each kind.

        An item's weight is shared equally by its labels. A user without interactions has an empty profile;
        interactions with items that the catalogue does not hold are counted, but have no labels.
        """
        matrix = self._encoder.encode(histories)[0].maximum(0)
        categories, tags, authors = (
            labels.strongest(matrix, top) for labels in (self._categories, self._tags, self._authors)
        )
        return [
            UserProfile(
                user_id=user_id,
                categories=categories[row],
                tags=tags[row],
                authors=authors[row],
                interactions=len(history),
                actions=dict(sorted(Counter(each.action for each in history).items())),
                last_event_at=from_milliseconds(max(each.timestamp_ms for each in history)) if history else None,
            )
            for row, (user_id, history) in enumerate(zip(user_ids, histories, strict=True))
        ]


class _Labels:
    """The labels of one kind as a matrix, items x labels, rows summing to 1."""

    def __init__(self, labels: Iterable[Sequence[str]]) -> None:
        lists = [sorted(set(own)) for own in labels]
        self._names = sorted({name for own in lists for name in own})
        codes = {name: code for code, name in enumerate(self._names)}
        starts = np.zeros(len(lists) + 1, dtype=np.int32)
        np.cumsum([len(own) for own in lists], out=starts[1:])
        indices = np.array([codes[name] for own in lists for name in own], dtype=np.int32)
        shares = np.array([1 / len(own) for own in lists for _ in own], dtype=np.float64)
        self._matrix = sparse.csr_matrix((shares, indices, starts), shape=(len(lists), len(self._names)))

    def strongest(self, user_item: CSR, top: int) -> list[list[Taste]]:
        """Per user, the labels with the largest weight; of equals the first in the alphabet."""
        weights = (user_item @ self._matrix).tocsr()
        weights.eliminate_zeros()
        users = np.repeat(np.arange(weights.shape[0]), np.diff(weights.indptr))
        totals = np.bincount(users, weights.data, weights.shape[0])
        order = np.lexsort((weights.indices, -weights.data, users))
        # Cells stay with their user, so that a cell's place among the user's is its distance from the first.
        order = order[np.arange(len(order)) - weights.indptr[users] < top]
        parts = np.minimum(np.round(weights.data[order] / totals[users[order]], 6), 1.0)
        answers: list[list[Taste]] = [[] for _ in range(weights.shape[0])]
        for user, label, part in zip(
            users[order].tolist(), weights.indices[order].tolist(), parts.tolist(), strict=True
        ):
            answers[user].append(Taste(self._names[label], part))
        return answers
