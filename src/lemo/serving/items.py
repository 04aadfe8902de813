"""Pages of a catalogue, by a filter where there is one."""

import heapq
from typing import Any, NamedTuple

from lemo.domain.item import Item
from lemo.domain.scope import Scope
from lemo.serving.catalogue.columns import Columns
from lemo.serving.filters.expression import compile_filter
from lemo.stores.documents.catalogue import Items


class ItemPage(NamedTuple):
    """Some items by id, and where the next page begins."""

    items: list[Item]
    cursor: str | None
    """The last id, for the next page; None behind the last one."""


def item_page(
    items: Items,
    scope: Scope,
    columns: Columns,
    limit: int,
    after: str = "",
    text: str = "",
    variables: dict[str, Any] | None = None,
) -> ItemPage:
    """The first items behind an id that are not deleted and match the filter; raises InvalidInput for the filter.

    Items that are written meanwhile may be missed, none comes twice.
    """
    with columns.lock:
        mask = compile_filter(text, columns.schema).mask(columns, variables or {}) if text else None
        ids = list(columns.item_ids)

    def behind(last: str) -> list[str]:
        matching = (item_id for row, item_id in enumerate(ids) if item_id > last and (mask is None or mask[row]))
        return heapq.nsmallest(limit + 1, matching)

    found: list[Item] = []
    while len(found) <= limit and (chosen := behind(after)):
        stored = items.get_many(scope, chosen)
        # Deleted items have rows too: more are taken until the page is full.
        found += [stored[item_id] for item_id in chosen if item_id in stored and not stored[item_id].deleted]
        after = chosen[-1]
    page = found[:limit]
    return ItemPage(page, page[-1].item_id if len(found) > limit else None)
