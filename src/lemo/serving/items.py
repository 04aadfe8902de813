"""Pages of a catalogue, by a text and a filter where they are given."""

import heapq
from typing import Any, NamedTuple

import numpy as np

from lemo.domain.item import Item
from lemo.domain.scope import Scope
from lemo.serving.catalogue.columns import Columns
from lemo.serving.catalogue.values import Texts
from lemo.serving.filters.expression import compile_filter
from lemo.stores.documents.catalogue import Items

Array = np.ndarray[Any, Any]


class ItemPage(NamedTuple):
    """Some items by id, and where the next page begins."""

    items: list[Item]
    cursor: str | None
    """The last id, for the next page; None behind the last one."""
    total: int
    """Items of all pages, as the catalogue was when this page was read."""


def item_page(
    items: Items,
    scope: Scope,
    columns: Columns,
    limit: int,
    after: str = "",
    text: str = "",
    variables: dict[str, Any] | None = None,
    search: str = "",
) -> ItemPage:
    """The first items behind an id that are not deleted, match the filter, and have `search` in title or id.

    Raises InvalidInput for the filter. The case of letters does not matter to `search`. Items that are written
    meanwhile may be missed, none comes twice.
    """
    with columns.lock:
        mask = columns.present.copy()
        if text:
            mask &= compile_filter(text, columns.schema).mask(columns, variables or {})
        if search:
            mask &= _holding(columns, search)
        ids = [columns.item_ids[row] for row in np.flatnonzero(mask).tolist()]

    def behind(last: str) -> list[str]:
        return heapq.nsmallest(limit + 1, (item_id for item_id in ids if item_id > last))

    found: list[Item] = []
    while len(found) <= limit and (chosen := behind(after)):
        stored = items.get_many(scope, chosen)
        # Items that were deleted meanwhile are missing: more are taken until the page is full.
        found += [stored[item_id] for item_id in chosen if item_id in stored and not stored[item_id].deleted]
        after = chosen[-1]
    page = found[:limit]
    return ItemPage(page, page[-1].item_id if len(found) > limit else None, len(ids))


def _holding(columns: Columns, search: str) -> Array:
    """bool (rows,): which titles or ids hold the text, in any case."""
    wanted = search.casefold()
    found = np.fromiter((wanted in item_id.casefold() for item_id in columns.item_ids), dtype=bool, count=len(columns))
    titles = columns.value(["title"])
    assert isinstance(titles, Texts)  # noqa: S101 - the field's type is fixed
    # The last place is that of code -1: no title.
    holding = np.array([*(wanted in word.casefold() for word in titles.words), False])
    found |= holding[titles.codes]
    return found
