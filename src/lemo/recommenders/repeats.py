"""Repeats: which of the items that a user has had are due again.

Bhagat, Muralidharan, Lobzhanidze and Vishwanath, "Buy It Again: Modeling Repeat Purchase Recommendations" (KDD 2018):
the share of an item's users who come back for it, times a Poisson rate with a gamma prior that is highest when the
usual time between two occasions has passed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lemo.recommenders.data.interactions import Interactions

Array = np.ndarray[Any, Any]

SAME_OCCASION_MS = 3_600_000
"""What follows within an hour belongs to the same occasion: lines of one order, a page loaded again."""
PRIOR_USERS = 10.0
"""As many users of an average item are added to each item's own."""
UNKNOWN_INTERVAL_MS = 30 * 86_400_000.0
"""Where nobody has had anything again, a month."""


@dataclass(frozen=True, eq=False)
class RepeatRates:
    """Of each item, how many of its users have it again, and after how long."""

    share: Array
    """float32 (items,), 0 to 1."""
    interval_ms: Array
    """float32 (items,): mean time between two occasions of one user."""

    @classmethod
    def fit(cls, interactions: Interactions) -> "RepeatRates":
        """Counts occasions: positive interactions that count as seen, an hour apart or more. Any data will do."""
        items = len(interactions.item_ids)
        rows = np.flatnonzero(interactions.positive & interactions.seen)
        rows = rows[np.lexsort((interactions.timestamps[rows], interactions.pairs[rows]))]
        pairs, times = interactions.pairs[rows], interactions.timestamps[rows]
        same_pair = pairs[1:] == pairs[:-1]
        gaps = np.diff(times)
        again = np.flatnonzero(same_pair & (gaps >= SAME_OCCASION_MS))
        of = interactions.items[rows]
        users = np.bincount(of[np.append(True, ~same_pair)] if len(rows) else of, minlength=items)
        returned = np.bincount(of[again][np.unique(pairs[again], return_index=True)[1]], minlength=items)
        repeats = np.bincount(of[again], minlength=items)
        waited = np.bincount(of[again], gaps[again].astype(np.float64), minlength=items)
        share = returned.sum() / max(users.sum(), 1)
        interval = waited.sum() / repeats.sum() if repeats.sum() else UNKNOWN_INTERVAL_MS
        return cls(
            ((returned + PRIOR_USERS * share) / (users + PRIOR_USERS)).astype(np.float32),
            ((waited + PRIOR_USERS * interval) / (repeats + PRIOR_USERS)).astype(np.float32),
        )

    def scores(self, items: Array, occasions: Sequence[Sequence[int]], now: int) -> Array:
        """float64 (k,): how likely each of a user's items (int) is wanted now, in no unit; higher is likelier.

        `occasions` are, per item, the times (Unix milliseconds, at least one, in any order) at which the user had it.
        """
        found = np.zeros(len(items))
        for place, (item, times) in enumerate(zip(items.tolist(), occasions, strict=True)):
            ordered = np.sort(np.asarray(times, dtype=np.int64))
            gaps = np.diff(ordered)
            gaps = gaps[gaps >= SAME_OCCASION_MS]
            # The user's own intervals, with the item's as one more.
            interval = (float(self.interval_ms[item]) + float(gaps.sum())) / (len(gaps) + 1)
            waited = max(now - int(ordered[-1]), 0) / interval
            past = 2 * abs(1 - waited) if waited < 2 else waited
            found[place] = float(self.share[item]) * (len(gaps) + 2) / (past + 1)
        return found

    def to_arrays(self) -> dict[str, Array]:
        """The arrays of a snapshot."""
        return {"repeat_share": self.share, "repeat_interval_ms": self.interval_ms}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> "RepeatRates | None":
        """What `to_arrays` gave; None for a model from before there were rates."""
        if "repeat_share" not in arrays:
            return None
        return cls(arrays["repeat_share"], arrays["repeat_interval_ms"])
