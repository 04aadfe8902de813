"""Which items of a catalogue may be shown now: the one rule of visibility, for many items by the clock."""

import time
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple, TypeVar

from lemo.domain.newness import Arrival

Moment = TypeVar("Moment", int, datetime)
"""Unix milliseconds, or an aware datetime."""


def visible(recommendable: bool, published_at: Moment | None, expires_at: Moment | None, now: Moment) -> bool:
    """The rule: switched on (active and not deleted), published, and not past its expiry."""
    return recommendable and (published_at is None or published_at <= now) and (expires_at is None or now < expires_at)


class Entry(NamedTuple):
    """What of an item decides whether it may be shown, and how new it is. Moments are Unix milliseconds."""

    item_id: str
    recommendable: bool
    """Active and not deleted."""
    new_at: int
    """Its publication, else its version."""
    published_at: int | None = None
    expires_at: int | None = None

    def visible_at(self, now_ms: int) -> bool:
        """Whether the item may be shown at a moment."""
        return visible(self.recommendable, self.published_at, self.expires_at, now_ms)

    def gone_at(self, now_ms: int) -> bool:
        """Whether it may not, and no passing of time changes that."""
        return not visible(self.recommendable, None, self.expires_at, now_ms)


class Availability:
    """The items that must not be shown, and the newest ones. Immutable; asked by the clock, so that it stays true.

    An item may be shown while it is active, not deleted, published and not past its `expires_at` (`visible`).
    What is switched off stays so until it is written again; publication and expiry come without any write.
    """

    def __init__(
        self,
        newest: tuple[str, ...] = (),
        off: frozenset[str] = frozenset(),
        embargoed: Mapping[str, int] | None = None,
        expiring: Mapping[str, int] | None = None,
        unknown: frozenset[str] = frozenset(),
        whole: bool = False,
        arrivals: tuple[Arrival, ...] = (),
        version: str = "",
    ) -> None:
        self.newest = newest
        """Newest items first, also those whose publication is near; ask `unavailable` which of them may be shown."""
        self.arrivals = arrivals
        """When each of the newest items came."""
        self.off = off
        """Inactive and deleted items."""
        self.unknown = unknown
        """Ids that only events know, where answers hold items of the catalogue alone."""
        self.whole = whole
        """False where what is known may be less than all: nothing was read yet, or Redis was emptied."""
        self.version = version
        """Changes with each write; empty where it is not known."""
        self.read_at = time.monotonic()
        self._embargoed = dict(embargoed or {})
        self._expiring = dict(expiring or {})
        self._always = off | unknown
        self._held: tuple[int, float, frozenset[str], frozenset[str]] = (0, 0, off, off)

    def unavailable(self, now_ms: int | None = None) -> frozenset[str]:
        """The items that must not be shown at a moment (None: now)."""
        return self._at(now_ms)[0]

    def gone(self, now_ms: int | None = None) -> frozenset[str]:
        """Those of the hidden items that no passing of time brings: off, unknown or expired, not embargoed."""
        return self._at(now_ms)[1]

    def _at(self, now_ms: int | None) -> tuple[frozenset[str], frozenset[str]]:
        now = time.time_ns() // 1_000_000 if now_ms is None else now_ms
        since, until, hidden, gone = self._held
        if not since <= now < until:
            gone = self._always.union(item_id for item_id, moment in self._expiring.items() if moment <= now)
            hidden = gone.union(item_id for item_id, moment in self._embargoed.items() if now < moment)
            moments = [*self._embargoed.values(), *self._expiring.values()]
            until = min((moment for moment in moments if now < moment), default=float("inf"))
            self._held = now, until, hidden, gone
        return hidden, gone
