"""Similar items: by behaviour where there is some, by content for the rest."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from lemo.recommenders.data.strings import pack_strings, unpack_strings
from lemo.recommenders.scored import Scored

Array = np.ndarray[Any, Any]

LEAST_CONTENT = 0.05
"""Cosine of content vectors below which items share nothing: what is left there is the noise of rounding."""
BLOCK_CELLS = 16_000_000
"""Items times items whose content is compared at once."""


@dataclass(frozen=True, eq=False)
class SimilarItems:
    """Each item's most similar items, best first."""

    item_ids: list[str]
    neighbours: Array
    """int32 (items, k): rows of similar items; -1 where there are no more."""
    scores: Array
    """float32 (items, k), falling along a row; 0 where there are no more."""
    by_behaviour: Array
    """int32 (items,): how many of a row's first neighbours come from behaviour; the rest come from content."""

    def __contains__(self, item_id: str) -> bool:
        return item_id in self._rows

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {item_id: row for row, item_id in enumerate(self.item_ids)}

    def of(self, item_id: str, n: int | None = None) -> list[Scored]:
        """The n items (all that are known without n) most similar to the item; none for an unknown id."""
        row = self._rows.get(item_id)
        if row is None:
            return []
        near = self.neighbours[row, :n].tolist()
        values = self.scores[row, :n].tolist()
        ours = int(self.by_behaviour[row])
        return [
            Scored(self.item_ids[other], value, item_id, "similar" if place < ours else "content")
            for place, (other, value) in enumerate(zip(near, values, strict=True))
            if other >= 0
        ]

    def to_arrays(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Everything as named arrays and a small JSON manifest."""
        arrays = {
            **pack_strings("item_ids", self.item_ids),
            "neighbours": self.neighbours,
            "scores": self.scores,
            "by_behaviour": self.by_behaviour,
        }
        return arrays, {"items": len(self.item_ids), "neighbours": int(self.neighbours.shape[1])}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array], manifest: Mapping[str, Any]) -> "SimilarItems":  # noqa: ARG003
        """What `to_arrays` gave; the arrays may be memory-mapped and read-only."""
        ids = unpack_strings("item_ids", arrays)
        return cls(ids, arrays["neighbours"], arrays["scores"], arrays["by_behaviour"])


def similar_items(
    item_ids: list[str],
    nearest: tuple[Array, Array],
    content: Array | None,
    k: int,
    answerable: Array | None = None,
) -> SimilarItems:
    """Up to k neighbours per item: its `nearest` by behaviour, then the nearest by content.

    `nearest` is what `Ranked.nearest` gives for all items: int32 (items, any), -1 where there are no more, and their
    scores, best first. `content` is float32 (items, d), L2-normalised; rows of zeros (and None) have no content
    neighbours. `answerable` is bool (items,): others are nobody's neighbour. Content scores are scaled to stay below
    the row's behaviour scores, so that a row falls.
    """
    count = len(item_ids)
    allowed = np.ones(count, dtype=bool) if answerable is None else np.asarray(answerable, dtype=bool)
    neighbours = np.full((count, k), -1, dtype=np.int32)
    scores = np.zeros((count, k), dtype=np.float32)
    ours = _fill_from_behaviour(neighbours, scores, nearest, allowed)
    if content is not None and count > 1 and k > 0:
        short = np.flatnonzero((ours < k) & content.any(axis=1))
        allowed = allowed & content.any(axis=1)
        height = max(BLOCK_CELLS // count, 1)
        for start in range(0, len(short), height):
            _fill_from_content(neighbours, scores, ours, content, short[start : start + height], allowed)
    return SimilarItems(item_ids, neighbours, scores, ours)


def _fill_from_behaviour(neighbours: Array, scores: Array, nearest: tuple[Array, Array], allowed: Array) -> Array:
    """Writes each row's best neighbours by behaviour, and tells how many there are (int32 per row)."""
    numbers, values = nearest
    k = neighbours.shape[1]
    if not numbers.size or not k:
        return np.zeros(len(neighbours), dtype=np.int32)
    keep = (numbers >= 0) & allowed[numbers]
    if numbers.shape[1] >= k and keep[:, :k].all():
        neighbours[:], scores[:] = numbers[:, :k], values[:, :k]
        return np.full(len(neighbours), k, dtype=np.int32)
    counts = np.cumsum(keep, axis=1, dtype=np.int32)
    rows, columns = np.nonzero(keep & (counts <= k))
    places = counts[rows, columns] - 1
    neighbours[rows, places] = numbers[rows, columns]
    scores[rows, places] = values[rows, columns]
    found: Array = np.minimum(counts[:, -1], k)
    return found


def _fill_from_content(
    neighbours: Array, scores: Array, ours: Array, content: Array, rows: Array, allowed: Array
) -> None:
    """Writes the nearest items by content behind the behaviour neighbours of these rows."""
    k = neighbours.shape[1]
    near = content[rows] @ content.T
    near[:, ~allowed] = 0
    lines = np.arange(len(rows))
    near[lines, rows] = 0
    taken = neighbours[rows]
    at, place = np.nonzero(taken >= 0)
    near[at, taken[at, place]] = 0
    width = min(k, near.shape[1])
    best = np.sort(np.argpartition(-near, width - 1, axis=1)[:, :width], axis=1)
    values = np.take_along_axis(near, best, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    best, values = np.take_along_axis(best, order, axis=1), np.take_along_axis(values, order, axis=1)
    last = np.where(ours[rows] > 0, scores[rows, np.maximum(ours[rows] - 1, 0)], 1)
    line, place = np.nonzero((values >= LEAST_CONTENT) & (np.arange(width) < (k - ours[rows])[:, None]))
    neighbours[rows[line], ours[rows[line]] + place] = best[line, place]
    scores[rows[line], ours[rows[line]] + place] = np.minimum(values[line, place], 1) * last[line]
