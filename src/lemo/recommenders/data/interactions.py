"""Interactions: who touched what, when, and what it says about taste, as columns of numbers."""

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
from lemo.recommenders.data.weighting import event_weights

Array = np.ndarray[Any, Any]
CSR = sparse.csr_matrix

LONGEST_HISTORY = 1_000
"""Positive acts of one user that count, the newest."""
OLDEST_HALF_LIVES = 60.0
"""Older weights stop halving: 2**-60 is as good as nothing and still far from the end of float32."""


def decay(ages_ms: Array, half_life_ms: float | None) -> Array:
    """The factor in (0, 1] by which acts of these ages still count (float64); 1 for all without a half-life."""
    if half_life_ms is None:
        return np.ones(len(ages_ms))
    halvings = np.clip(np.asarray(ages_ms, dtype=np.float64) / max(half_life_ms, 1.0), 0.0, OLDEST_HALF_LIVES)
    return np.exp2(-halvings)


@dataclass(frozen=True, eq=False)
class Interactions:
    """n acts of users on items. Codes index the sorted id lists; ids without an act are allowed in both lists."""

    user_ids: list[str]
    item_ids: list[str]
    users: Array
    """int32 (n,), codes into `user_ids`."""
    items: Array
    """int32 (n,), codes into `item_ids`."""
    timestamps: Array
    """int64 (n,), Unix milliseconds."""
    weights: Array
    """float32 (n,): above 0 the act speaks for the item, below 0 against it, 0 (or NaN) says nothing."""
    seen: Array
    """bool (n,): whether the act means that the user has seen the item."""
    catalogue: Catalogue = field(default_factory=no_catalogue, compare=False, repr=False)
    """What is known of the items besides interactions."""

    @classmethod
    def from_table(
        cls,
        table: pa.Table,
        rules: Mapping[str, ActionRule],
        item_ids: Collection[str] = (),
        catalogue: Catalogue | None = None,
    ) -> "Interactions":
        """Reads columns user_id, item_id, action, timestamp (ms) and value (nullable).

        Acts without a rule say nothing. `item_ids` adds items of the catalogue that may have no act.
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
        """The newest timestamp (ms); 0 without acts. What is new and old is measured from `timeline.now`."""
        return int(self.timestamps.max()) if len(self) else 0

    @cached_property
    def oldest(self) -> int:
        """The oldest timestamp (ms); 0 without acts."""
        return int(self.timestamps.min()) if len(self) else 0

    @cached_property
    def timeline(self) -> Timeline:
        """From when to when users act, and the pauses between."""
        return Timeline.of(self.users, self.timestamps)

    @cached_property
    def span(self) -> int:
        """Milliseconds from the beginning of activity to its end, without pauses."""
        return self.timeline.span

    def where(self, mask: Array) -> "Interactions":
        """The acts that `mask` (bool (n,) or indices) keeps; ids and codes stay as they are."""
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
        """bool (n,): acts that speak for an item that the user has not turned against since.

        A pair whose newest act with an opinion is negative (an order, then its refund) has no positive act.
        """
        return np.asarray((self.weights > 0) & ~self._against)

    @cached_property
    def _against(self) -> Array:
        """bool (n,): acts with an item that the user has turned against since, or with the act."""
        negative = self.weights < 0
        if not negative.any():
            return negative
        opinions = np.flatnonzero((self.weights > 0) | negative)
        pairs = self.pairs[opinions]
        # Newest last within a pair; of two at the same moment the negative one is last.
        order = np.lexsort((negative[opinions], self.timestamps[opinions], pairs))
        last = np.append(pairs[order][1:] != pairs[order][:-1], True)
        turned = pairs[order][last & negative[opinions][order]]
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
        """(users, items), those without acts included."""
        return len(self.user_ids), len(self.item_ids)

    @cached_property
    def positives(self) -> "Interactions":
        """The positive acts by user, then item, those of a pair in the order in which they came.

        Of a user with more than `LONGEST_HISTORY` the newest: what one user costs and says has an end.
        """
        rows = self.where(self.positive)
        counts = np.bincount(rows.users, minlength=1)
        if counts.max() > LONGEST_HISTORY:
            order = np.lexsort((-rows.timestamps, rows.users))
            ages = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
            rows = rows.where(np.sort(order[ages < LONGEST_HISTORY]))
        return rows.where(np.argsort(rows.pairs, kind="stable"))

    def csr(self, half_life_ms: float | None = None) -> CSR:
        """Users x items (float64, sorted): positive weights summed, decayed by their age before now."""
        return self._joined(np.add, self.positive_weights(half_life_ms))

    def user_item_matrix(self, half_life_ms: float | None = None) -> CSR:
        """Users x items (float64, sorted): the strongest positive act per pair, decayed by its age."""
        return self._joined(np.maximum, self.positive_weights(half_life_ms))

    def query_matrix(self, half_life_ms: float | None = None) -> CSR:
        """Users x items (float64, sorted): `user_item_matrix`, and dislikes with a weight below 0.

        A model that is asked with these rows answers what it answers for the histories of the same users. Age is
        measured from each user's newest interaction.
        """
        lived = self.timeline.lived(self.timestamps)
        last = np.full(len(self.user_ids), np.iinfo(np.int64).min)
        np.maximum.at(last, self.users, lived)

        def weights_of(rows: Interactions) -> Array:
            ages = last[rows.users] - self.timeline.lived(rows.timestamps)
            return np.asarray(rows.weights * decay(ages, half_life_ms))

        user_item_matrix = self._joined(np.maximum, weights_of(self.positives))
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
        """Users x items (bool, sorted): what each user has seen, or turned against."""
        return self._seen

    def positive_weights(self, half_life_ms: float | None) -> Array:
        """float64: the weights of `positives`, decayed by their age before now."""
        rows = self.positives
        return np.asarray(rows.weights * decay(self.timeline.ages(rows.timestamps), half_life_ms))

    def _joined(self, join: np.ufunc, weights: Array) -> CSR:
        """Users x items: the weights of each pair's positive acts, joined; those of `positives`, one by one."""
        starts, pairs = self._positive_pairs
        return self._matrix(join.reduceat(weights, starts) if len(starts) else weights, pairs)

    @cached_property
    def _seen(self) -> CSR:
        pairs = np.sort(self.pairs[self.seen | self._against])
        pairs = pairs[_starts(pairs)]
        return self._matrix(np.ones(len(pairs), dtype=bool), pairs)

    @cached_property
    def _positive_pairs(self) -> tuple[Array, Array]:
        """Where each pair starts in `positives`, and the pairs."""
        pairs = self.positives.pairs
        starts = _starts(pairs)
        return starts, pairs[starts]

    def _matrix(self, values: Array, pairs: Array) -> CSR:
        """Users x items with these values in the cells of these pairs, which rise."""
        users, items = self.shape
        starts = np.searchsorted(pairs, np.arange(users + 1) * max(items, 1))
        matrix = sparse.csr_matrix((values, (pairs % max(items, 1)).astype(np.int32), starts), shape=self.shape)
        matrix.has_sorted_indices = True
        return matrix


def _starts(numbers: Array) -> Array:
    """Where each different one of sorted numbers comes first."""
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
