"""Which items are new: the one rule, for serving and whoever else asks."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field

DAY_MS = 86_400_000
TOGETHER_MS = 3_600_000
"""Items that arrive within so long of an item arrive together with it, half of it before and half after."""
LARGE_SHARE = 0.1
"""So large a part of the catalogue does not come into being within `TOGETHER_MS`: it is imported."""
LARGE = 500
"""So many do not either, however large the catalogue."""


class Arrival(NamedTuple):
    """When an item came, in Unix milliseconds."""

    item_id: str
    moment_ms: int
    published: bool
    """Whether the moment is the item's own `published_at`, and not that of its arrival."""


class Newness(BaseModel):
    """A scenario's rule of what is new, and how much of it is shown to users of whom nothing is known."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    days: float = Field(default=30, gt=0)
    share: float = Field(default=0.2, ge=0, le=1)

    def new_items(self, newest: Sequence[Arrival], catalogue: int, now_ms: int) -> tuple[str, ...]:
        """Those of a scenario's newest items that are new, in their order (newest first).

        New is what was published less than `days` before `now_ms` (where the scenario's activity is), or arrived since,
        unless it arrived together with a large part of the catalogue: an import says nothing of an item's age.
        """
        since = now_ms - self.days * DAY_MS
        arrived = sorted(each.moment_ms for each in newest if not each.published)
        large = min(max(LARGE_SHARE * catalogue, 1), LARGE)

        def alone(moment: int) -> bool:
            first = bisect_left(arrived, moment - TOGETHER_MS // 2)
            return bisect_right(arrived, moment + TOGETHER_MS // 2) - first <= large

        return tuple(
            each.item_id for each in newest if each.moment_ms > since and (each.published or alone(each.moment_ms))
        )
