"""The categories of items, kept in memory while the feed of written items tells that they stay the same."""

from collections.abc import Sequence
from threading import Lock

from lemo.domain.errors import EngineUnavailable
from lemo.domain.scope import Scope
from lemo.stores.documents.catalogue import Items
from lemo.stores.redis.item_feed import START, ItemFeed

MOST_ITEMS = 500_000
"""Items whose categories are kept; beyond it those of other scopes are let go, and read again when asked for."""
_AT_ONCE = 5_000
_Known = dict[str, tuple[str, ...]]


class ItemCategories:
    """Reads categories from the documents, each item's once until it is written again. Safe for threads.

    A change that the consumer has written counts at once. Where the feed is away, lost or was never written, all is
    read from the documents.
    """

    def __init__(self, items: Items, feed: ItemFeed) -> None:
        self._items = items
        self._feed = feed
        self._kept: dict[Scope, tuple[str, _Known]] = {}
        """By scope the position of the feed up to which it holds, and the categories."""
        self._lock = Lock()

    def of(self, scope: Scope, ids: Sequence[str]) -> _Known:
        """The categories of each of `ids`, as they are now; of items that there are not none.

        Raises EngineUnavailable where the documents are away.
        """
        with self._lock:
            position, known = self._followed(scope)
            missing = [each for each in ids if each not in known]
            shared: dict[tuple[str, ...], tuple[str, ...]] = {}
            for start in range(0, len(missing), _AT_ONCE):
                batch = missing[start : start + _AT_ONCE]
                found = self._items.categories(scope, batch)
                for each in batch:
                    categories = tuple(sorted(found.get(each, ())))
                    known[each] = shared.setdefault(categories, categories)
            if position != START and len(known) <= MOST_ITEMS:
                others = sum(len(kept) for other, (_, kept) in self._kept.items() if other != scope)
                if others + len(known) > MOST_ITEMS:
                    self._kept.clear()
                self._kept[scope] = position, known
            else:
                self._kept.pop(scope, None)
            return {each: known[each] for each in ids}

    def _followed(self, scope: Scope) -> tuple[str, _Known]:
        """The position of the feed, and what is known and was not written since.

        The position is read before the documents: what is written in between is read again at the next question.
        """
        kept = self._kept.get(scope)
        try:
            since = self._feed.since(scope, kept[0]) if kept is not None else None
            if since is None or kept is None:
                return self._feed.position(scope), {}
        except EngineUnavailable:
            return START, {}
        position, changed = since
        for each in changed:
            kept[1].pop(each, None)
        return position, kept[1]
