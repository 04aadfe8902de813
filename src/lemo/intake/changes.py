"""Changes of single items and single events, by programs and by hand: through the ingest log like every write."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from lemo.domain.errors import InvalidInput, NotFound
from lemo.domain.item import Item
from lemo.domain.reasons import shortened
from lemo.domain.scenario import Scenario
from lemo.domain.scope import Scope
from lemo.intake.publishing import Accepted, Ingest
from lemo.stores.connect import Stores


class Changes:
    """Changes the items of scenarios, and sends events. Every call raises EngineUnavailable. Safe for threads."""

    def __init__(self, stores: Stores, ingest: Ingest) -> None:
        self._stores = stores
        self._ingest = ingest

    def item(self, scope: Scope, item_id: str) -> Item:
        """The stored item; raises NotFound for one that is not there, or deleted."""
        found = self._stores.items.get_many(scope, [item_id]).get(item_id)
        if found is None or found.deleted:
            raise NotFound(f"There is no item {shortened(item_id)}.", "`GET .../items/list` shows those there are.")
        return found

    def change(
        self, scope: Scope, scenario: Scenario, item_id: str, changes: Any, by: str, by_hand: bool = False
    ) -> Accepted:
        """Merges changes into an item (RFC 7396); raises InvalidInput for those it refuses, and NotFound.

        The audit log has what is changed by hand, and every deletion. Programs change prices and stocks all day.
        """
        if not isinstance(changes, Mapping) or changes.get("item_id", item_id) != item_id:
            raise InvalidInput("The body must be an object with fields of this item.", 'Such as {"in_stock": false}.')
        self.item(scope, item_id)
        noting: AbstractContextManager[object] = nullcontext()
        if changes.get("deleted"):
            noting = self._stores.audit.noting(scope, by, "item.delete", item_id)
        elif by_hand:
            noting = self._stores.audit.noting(scope, by, "item.change", item_id, fields=_named(changes))
        with noting:
            return _taken(self._ingest.items(scope, scenario, [{**changes, "item_id": item_id}]))

    def delete(self, scope: Scope, scenario: Scenario, item_id: str, by: str) -> Accepted:
        """Deletes an item; older writes do not bring it back. Raises NotFound."""
        return self.change(scope, scenario, item_id, {"deleted": True}, by)

    def send(self, scope: Scope, scenario: Scenario, event: Mapping[str, Any], by: str) -> Accepted:
        """Sends an event by hand; raises InvalidInput.

        The line in the audit log does not name the user, so that an erasure leaves nothing there.
        """
        item_id, action = str(event.get("item_id", "")), str(event.get("action", ""))
        with self._stores.audit.noting(scope, by, "event.send", item_id, sent=action):
            return _taken(self._ingest.events(scope, scenario, [event]))


def _named(changes: Mapping[str, Any]) -> list[str]:
    """The fields and attributes that changes name."""
    attributes = changes.get("attributes")
    names = [f"attributes.{name}" for name in attributes] if isinstance(attributes, Mapping) else []
    return sorted([name for name in changes if name != "attributes"] + names)


def _taken(answer: Accepted) -> Accepted:
    """The answer; raises InvalidInput where the one item or event was not taken."""
    if answer.rejected:
        raise InvalidInput(f"{answer.rejected[0].reason}.", "Nothing was changed.")
    return answer
