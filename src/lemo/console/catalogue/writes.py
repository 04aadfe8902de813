"""Changes of items by people, through the ingest log like every write. The calls block."""

import time
from collections.abc import Mapping
from typing import Any

from lemo.console.queries import Queries
from lemo.domain.item import Item
from lemo.domain.scope import Scope
from lemo.intake.changes import Changes

TAKEN_SECONDS = 15.0
"""How long to wait until the consumer has written a change."""
LOOK_SECONDS = 0.1


class ItemWrites:
    """Changes and deletes items, by the same services as the API's routes. Safe for threads."""

    def __init__(self, queries: Queries, changes: Changes) -> None:
        self._queries = queries
        self._changes = changes

    def change(self, scope: Scope, item_id: str, changes: Mapping[str, Any], by: str) -> Item:
        """Merges changes into an item; returns it as it was. Raises as `Changes.change`."""
        before = self._changes.item(scope, item_id)
        scenario = self._queries.stores.scenarios.get(scope)
        self._changes.change(scope, scenario, item_id, changes, by, by_hand=True)
        return before

    def delete(self, scope: Scope, item_id: str, by: str) -> Item:
        """Deletes an item; returns it as it was. Raises as `Changes.delete`."""
        before = self._changes.item(scope, item_id)
        self._changes.delete(scope, self._queries.stores.scenarios.get(scope), item_id, by)
        return before

    def written(self, scope: Scope, before: Item) -> bool:
        """Waits until the consumer has changed an item, at most `TAKEN_SECONDS`; returns whether it has."""
        deadline = time.monotonic() + TAKEN_SECONDS
        while True:
            if self._queries.stores.items.get_many(scope, [before.item_id]).get(before.item_id) != before:
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(LOOK_SECONDS)
