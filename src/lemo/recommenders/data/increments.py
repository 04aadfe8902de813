"""The incremental state of the hourly similarity: from it and the new events follows today's user-item matrix.

It holds the newest interaction of each user, item and weight. That is a maximum, so an event may be added twice, late
or out of order. The state does not depend on the half-life.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from lemo.domain.scenario import ActionRule
from lemo.recommenders.data.timeline import Timeline
from lemo.recommenders.data.weighting import decay, event_weights, newest_of_each_user, turned_against

Array = np.ndarray[Any, Any]
CSR = sparse.csr_matrix

WEIGHT_BITS, ITEM_BITS, USER_BITS = 10, 25, 28
"""Bits of each code in a key: up to 268 million users and 33 million items."""


@dataclass(frozen=True, eq=False)
class LatestInteractions:
    """n interactions by user, then item, then weight."""

    user_ids: pa.LargeStringArray
    item_ids: pa.LargeStringArray
    """Ids in order of arrival; an item may have no interaction."""
    weights: Array
    """float64: the possible weights of the rules, without 0, sorted."""
    keys: Array
    """int64 (n,), rising: the codes of user, item and weight in one number."""
    times: Array
    """int64 (n,): Unix milliseconds of the newest such interaction."""

    @classmethod
    def none(cls, rules: Mapping[str, ActionRule]) -> "LatestInteractions":
        """The empty state under these rules."""
        ids = pa.array([], pa.large_string())
        weights = np.array(sorted({weight for rule in rules.values() for weight in rule.weights}), dtype=np.float64)
        return cls(ids, ids, weights, np.zeros(0, np.int64), np.zeros(0, np.int64))

    @property
    def shape(self) -> tuple[int, int]:
        """(users, items)."""
        return len(self.user_ids), len(self.item_ids)

    @property
    def timeline(self) -> Timeline:
        """The timeline of these interactions."""
        return Timeline.of(self.keys >> (WEIGHT_BITS + ITEM_BITS), self.times)

    def with_items(self, item_ids: pa.Array) -> "LatestInteractions":
        """The same interactions, with further items that have none."""
        return LatestInteractions(self.user_ids, _joined(self.item_ids, item_ids), self.weights, self.keys, self.times)

    def with_events(self, table: pa.Table, rules: Mapping[str, ActionRule]) -> "LatestInteractions":
        """The state with more events: columns user_id, item_id, action, timestamp (ms) and value (nullable)."""
        item_ids = _joined(self.item_ids, table.column("item_id"))
        weights, _ = event_weights(table, rules)
        weighted = weights != 0
        table, codes = table.filter(pa.array(weighted)), np.searchsorted(self.weights, weights[weighted])
        user_ids = _joined(self.user_ids, table.column("user_id"))
        if len(user_ids) >= 1 << USER_BITS or len(item_ids) >= 1 << ITEM_BITS or len(self.weights) >= 1 << WEIGHT_BITS:
            raise ValueError(f"{len(user_ids):,} users and {len(item_ids):,} items are more than fit into a key")
        users, items = _codes(table.column("user_id"), user_ids), _codes(table.column("item_id"), item_ids)
        keys = (((users << ITEM_BITS) | items) << WEIGHT_BITS) | codes
        times = table.column("timestamp").cast(pa.int64()).to_numpy()
        order = np.lexsort((times, keys))
        keys, times = keys[order], times[order]
        last = np.append(keys[1:] != keys[:-1], True)[: len(keys)]
        return LatestInteractions(user_ids, item_ids, self.weights, *self._merged(keys[last], times[last]))

    def _merged(self, keys: Array, times: Array) -> tuple[Array, Array]:
        """The keys and times, merged with others (rising, each key once)."""
        places = np.searchsorted(self.keys, keys)
        known = np.zeros(len(keys), dtype=bool)
        inside = places < len(self.keys)
        known[inside] = self.keys[places[inside]] == keys[inside]
        kept = np.array(self.times)
        kept[places[known]] = np.maximum(kept[places[known]], times[known])
        new = places[~known]
        return np.insert(self.keys, new, keys[~known]), np.insert(kept, new, times[~known])

    def user_item_matrix(self, half_life_ms: float | None) -> tuple[CSR, float]:
        """Users x items (float64, sorted), and the mean weight of the interactions that count.

        Cells follow the weighting rule (`data/weighting.py`). The mean weight, undecayed, is the unit of shrinkage.
        """
        pairs = self.keys >> WEIGHT_BITS
        if not len(pairs):
            return sparse.csr_matrix(self.shape), 1.0
        weights = self.weights[self.keys & ((1 << WEIGHT_BITS) - 1)]
        starts = np.flatnonzero(np.append(True, pairs[1:] != pairs[:-1]))
        positive = weights > 0
        strengths = np.where(positive, weights, 0.0)
        if half_life_ms is not None:
            strengths *= decay(self.timeline.ages(self.times), half_life_ms)
        cells = np.maximum.reduceat(strengths, starts)
        counted = np.ones(len(starts), dtype=bool)
        if not positive.all():
            counted = ~turned_against(starts, weights, self.times)
        places = np.flatnonzero(counted)
        times = np.maximum.reduceat(np.where(positive, self.times, np.iinfo(np.int64).min), starts)[places]
        users, items = pairs[starts[places]] >> ITEM_BITS, pairs[starts[places]] & ((1 << ITEM_BITS) - 1)
        counted[places] = newest_of_each_user(users, times, lambda: _id_ranks(self.item_ids)[items])
        counting = positive & np.repeat(counted, np.diff(np.append(starts, len(pairs))))
        unit = float(weights[counting].mean()) if counting.any() else 1.0
        pairs = pairs[starts[counted]]
        ends = np.searchsorted(pairs, np.arange(self.shape[0] + 1) << ITEM_BITS)
        columns = (pairs & ((1 << ITEM_BITS) - 1)).astype(np.int32)
        matrix = sparse.csr_matrix((cells[counted], columns, ends), shape=self.shape)
        matrix.has_sorted_indices = True
        return matrix, unit

    def to_arrays(self) -> dict[str, Array]:
        """Everything as named arrays."""
        return {
            **_id_arrays("user_ids", self.user_ids),
            **_id_arrays("item_ids", self.item_ids),
            "act_weights": self.weights,
            "act_keys": self.keys,
            "act_times": self.times,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> "LatestInteractions":
        """What `to_arrays` gave; the arrays may be mapped and read-only."""
        ids = (_ids_from(name, arrays) for name in ("user_ids", "item_ids"))
        return cls(*ids, *(arrays[name] for name in ("act_weights", "act_keys", "act_times")))


def _joined(ids: pa.LargeStringArray, more: pa.Array | pa.ChunkedArray) -> pa.LargeStringArray:
    """The ids, then the other ids of `more`, sorted."""
    others = pc.unique(more.cast(pa.large_string()))
    new = others.filter(pc.invert(pc.is_in(others, value_set=ids)))
    return pa.concat_arrays([ids, new.take(pc.array_sort_indices(new))]) if len(new) else ids


def _codes(column: pa.ChunkedArray, ids: pa.LargeStringArray) -> Array:
    """int64: the index of each text among the ids, which hold all of them."""
    found = pc.index_in(column.cast(pa.large_string()), value_set=ids)
    codes: Array = found.to_numpy().astype(np.int64)
    return codes


def _id_ranks(ids: pa.LargeStringArray) -> Array:
    """int64: the place of each id among all ids, sorted."""
    ranks = np.empty(len(ids), dtype=np.int64)
    ranks[pc.array_sort_indices(ids).to_numpy()] = np.arange(len(ids))
    return ranks


def _id_arrays(name: str, ids: pa.LargeStringArray) -> dict[str, Array]:
    """As `strings.pack_strings` packs them, without making a Python string of each."""
    compact = pa.concat_arrays([ids, ids[:0]])
    _, offsets, data = compact.buffers()
    starts = np.frombuffer(offsets, dtype=np.int64)[: len(compact) + 1] if len(compact) else np.zeros(1, np.int64)
    text = np.frombuffer(data, dtype=np.uint8)[: starts[-1]] if data is not None else np.zeros(0, np.uint8)
    return {f"{name}_bytes": text, f"{name}_offsets": starts}


def _ids_from(name: str, arrays: Mapping[str, Array]) -> pa.LargeStringArray:
    offsets, data = (pa.py_buffer(np.array(arrays[f"{name}_{part}"])) for part in ("offsets", "bytes"))
    return pa.LargeStringArray.from_buffers(len(arrays[f"{name}_offsets"]) - 1, offsets, data)
