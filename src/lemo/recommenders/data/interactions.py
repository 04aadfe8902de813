"""The interactions of users with items, as columns of numbers, and the matrices made of them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from scipy import sparse

from lemo.domain.scenario import ActionRule
from lemo.recommenders.data.catalogue import Catalogue, no_catalogue
from lemo.recommenders.data.timeline import Timeline
from lemo.recommenders.data.weighting import decay, event_weights, newest_of_each_user, turned_against

Array = np.ndarray[Any, Any]
CSR = sparse.csr_matrix


@dataclass(frozen=True, eq=False)
class Interactions:
    """n interactions. Codes index the sorted id lists; both lists may hold ids without an interaction."""

    user_ids: list[str]
    item_ids: list[str]
    users: Array
    """int32 (n,), codes into `user_ids`."""
    items: Array
    """int32 (n,), codes into `item_ids`."""
    timestamps: Array
    """int64 (n,), Unix milliseconds."""
    weights: Array
    """float32 (n,): above 0 for the item, below 0 against it, 0 (or NaN) without an opinion."""
    seen: Array
    """bool (n,): whether the interaction counts as seen."""
    catalogue: Catalogue = field(default_factory=no_catalogue, compare=False, repr=False)
    """The catalogue of the items."""

    @classmethod
    def from_table(
        cls,
        table: pa.Table,
        rules: Mapping[str, ActionRule],
        item_ids: Collection[str] = (),
        catalogue: Catalogue | None = None,
    ) -> "Interactions":
        """Reads columns user_id, item_id, action, timestamp (ms) and value (nullable).

        Actions without a rule have weight 0. `item_ids` adds items of the catalogue without an interaction.
        Codes do not depend on the order of rows.
        """
        user_ids, users = _encode(table.column("user_id"), ())
        ids, items = _encode(table.column("item_id"), item_ids)
        weights, seen = event_weights(table, rules)
        return cls(
            user_ids,
            ids,
            users,
            items,
            table.column("timestamp").cast(pa.int64()).to_numpy(),
            weights.astype(np.float32),
            seen,
            catalogue or no_catalogue(),
        )

    def __len__(self) -> int:
        return len(self.users)

    @cached_property
    def newest(self) -> int:
        """The newest timestamp (ms); 0 without interactions. Ages are measured from `timeline.now`, not from here."""
        return int(self.timestamps.max()) if len(self) else 0

    @cached_property
    def oldest(self) -> int:
        """The oldest timestamp (ms); 0 without interactions."""
        return int(self.timestamps.min()) if len(self) else 0

    @cached_property
    def timeline(self) -> Timeline:
        """The beginning and the end of activity, and its pauses."""
        return Timeline.of(self.users, self.timestamps)

    @cached_property
    def span(self) -> int:
        """Milliseconds from the beginning of activity to its end, without pauses."""
        return self.timeline.span

    def where(self, mask: Array) -> "Interactions":
        """The interactions of `mask` (bool (n,) or indices); ids and codes stay the same."""
        return replace(
            self,
            users=self.users[mask],
            items=self.items[mask],
            timestamps=self.timestamps[mask],
            weights=self.weights[mask],
            seen=self.seen[mask],
        )

    @cached_property
    def positive(self) -> Array:
        """bool (n,): interactions with a positive weight whose item the user has not turned against.

        A pair whose newest weighted interaction is negative (an order, then its refund) has none.
        """
        return np.asarray((self.weights > 0) & ~self._against)

    @cached_property
    def _against(self) -> Array:
        """bool (n,): interactions with an item that the user has turned against."""
        negative = self.weights < 0
        if not negative.any():
            return negative
        opinions = np.flatnonzero((self.weights > 0) | negative)
        opinions = opinions[np.argsort(self.pairs[opinions], kind="stable")]
        pairs = self.pairs[opinions]
        starts = _starts(pairs)
        turned = pairs[starts][turned_against(starts, self.weights[opinions], self.timestamps[opinions])]
        return np.isin(self.pairs, turned)

    @cached_property
    def mean_weight(self) -> float:
        """The mean weight of `positives`, undecayed: the unit of shrinkage; 1 where nothing is positive."""
        return float(self.positives.weights.mean(dtype=np.float64)) if len(self.positives) else 1.0

    @cached_property
    def pairs(self) -> Array:
        """int64 (n,): one number per (user, item)."""
        return self.users.astype(np.int64) * max(len(self.item_ids), 1) + self.items

    @property
    def shape(self) -> tuple[int, int]:
        """(users, items), including those without interactions."""
        return len(self.user_ids), len(self.item_ids)

    @cached_property
    def _all_positives(self) -> "Interactions":
        """The positive interactions by user, then item, those of a pair in the order of rows."""
        rows = self.where(self.positive)
        return rows.where(np.argsort(rows.pairs, kind="stable"))

    @cached_property
    def positives(self) -> "Interactions":
        """The positive interactions by user, then item; of each user the newest `weighting.LONGEST_HISTORY`."""
        rows = self._all_positives
        newest = newest_of_each_user(rows.users, rows.timestamps)
        return rows if newest.all() else rows.where(newest)

    @cached_property
    def _counted(self) -> "Interactions":
        """The positive interactions with each user's newest `weighting.LONGEST_HISTORY` items, by user, then item."""
        rows = self._all_positives
        starts = rows._pair_starts
        if not len(starts):
            return rows
        times = np.maximum.reduceat(rows.timestamps, starts)
        newest = newest_of_each_user(rows.users[starts], times, lambda: rows.items[starts])
        return rows if newest.all() else rows.where(np.repeat(newest, np.diff(np.append(starts, len(rows)))))

    def csr(self, half_life_ms: float | None = None) -> CSR:
        """Users x items (float64, sorted): positive weights summed, decayed by their age before now."""
        return self._joined(np.add, self.positives, self._decayed(self.positives, half_life_ms))

    def user_item_matrix(self, half_life_ms: float | None = None) -> CSR:
        """Users x items (float64, sorted): the strongest positive interaction per pair, decayed by its age."""
        return self._joined(np.maximum, self._counted, self._decayed(self._counted, half_life_ms))

    def query_matrix(self, half_life_ms: float | None = None, timeline: Timeline | None = None) -> CSR:
        """Users x items (float64, sorted): `user_item_matrix`, and dislikes with a weight below 0.

        These are the query vectors that `Encoder` makes of the same users' histories. Age is measured from each
        user's newest interaction, on the `timeline` of the model where these interactions came after its training.
        """
        timeline = timeline or self.timeline
        lived = timeline.lived(self.timestamps)
        last = np.full(len(self.user_ids), np.iinfo(np.int64).min)
        np.maximum.at(last, self.users, lived)

        def weights_of(rows: Interactions) -> Array:
            ages = last[rows.users] - timeline.lived(rows.timestamps)
            return np.asarray(rows.weights * decay(ages, half_life_ms))

        user_item_matrix = self._joined(np.maximum, self._counted, weights_of(self._counted))
        rows = self.where(self._against & (self.weights < 0))
        if not len(rows):
            return user_item_matrix
        order = np.argsort(rows.pairs, kind="stable")
        weights = weights_of(rows)[order]
        starts = _starts(rows.pairs[order])
        dislikes = self._matrix(np.minimum.reduceat(weights, starts), rows.pairs[order][starts])
        both: CSR = (user_item_matrix + dislikes).tocsr()
        both.sort_indices()
        return both

    def seen_csr(self) -> CSR:
        """Users x items (bool, sorted): the items that each user has seen or turned against."""
        return self._seen

    def _decayed(self, rows: "Interactions", half_life_ms: float | None) -> Array:
        """float64: the weights of rows, decayed by their age before the end of this activity."""
        return np.asarray(rows.weights * decay(self.timeline.ages(rows.timestamps), half_life_ms))

    def _joined(self, join: np.ufunc, rows: "Interactions", weights: Array) -> CSR:
        """Users x items: the weights of rows, which are sorted by pair, joined for each pair."""
        starts = rows._pair_starts
        return self._matrix(join.reduceat(weights, starts) if len(starts) else weights, rows.pairs[starts])

    @cached_property
    def _pair_starts(self) -> Array:
        """Where each pair begins; rows must be sorted by pair."""
        return _starts(self.pairs)

    @cached_property
    def _seen(self) -> CSR:
        pairs = np.sort(self.pairs[self.seen | self._against])
        pairs = pairs[_starts(pairs)]
        return self._matrix(np.ones(len(pairs), dtype=bool), pairs)

    def _matrix(self, values: Array, pairs: Array) -> CSR:
        """Users x items with these values in the cells of these pairs, which are sorted."""
        users, items = self.shape
        starts = np.searchsorted(pairs, np.arange(users + 1) * max(items, 1))
        matrix = sparse.csr_matrix((values, (pairs % max(items, 1)).astype(np.int32), starts), shape=self.shape)
        matrix.has_sorted_indices = True
        return matrix


def _starts(numbers: Array) -> Array:
    """The first index of each distinct value of sorted numbers."""
    return np.flatnonzero(np.append(True, numbers[1:] != numbers[:-1])[: len(numbers)])


def _encode(column: pa.ChunkedArray, more: Collection[str]) -> tuple[list[str], Array]:
    """Sorted distinct strings of the column (and of `more`), and the code of each row (int32)."""
    encoded = column.cast(pa.string()).combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):  # some pyarrow versions give a chunked array back
        encoded = pa.concat_arrays(encoded.chunks) if encoded.num_chunks else pa.array([], pa.string())
    encoded = encoded.dictionary_encode()
    found: list[str] = encoded.dictionary.to_pylist()
    ids = sorted({*found, *more})
    codes = {text: code for code, text in enumerate(ids)}
    renumber = np.array([codes[text] for text in found] + [0], dtype=np.int32)
    return ids, renumber[encoded.indices.to_numpy(zero_copy_only=False)]
