"""Reads what the pages of items show, by the same services as the API's routes. The calls block."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lemo.console.queries import Queries
from lemo.console.shown import ShownItem, shown_answer
from lemo.domain.errors import NotFound
from lemo.domain.item import Item
from lemo.domain.reasons import shortened
from lemo.domain.scope import Scope
from lemo.serving.catalogue.schema import FIELDS, AttributeOverview, fits, overview
from lemo.serving.items import ItemPage, item_page

PAGE = 25
POPULAR = 200
"""As many popular items as one answer may hold."""
_NO_FIELDS = {"attributes", "item_id", "deleted", "is_active"}
"""What the page shows elsewhere."""
_OTHER_TYPES = {"updated_at": "timestamp"}
"""Types of fields that filters do not know; the others are texts."""


@dataclass(frozen=True, slots=True)
class Value:
    """A field or attribute of an item."""

    name: str
    value: Any
    type: str
    """Its type; empty for an attribute that came after the schema was read."""
    fits: bool = True
    """Whether the value is of the type; filters take one that is not as missing."""


@dataclass(frozen=True, slots=True)
class WholeItem:
    """An item with the types of all that it has."""

    item: Item
    fields: list[Value]
    attributes: list[Value]
    types: dict[str, str]
    """The type of every attribute that any item of the scenario has."""


@dataclass(frozen=True, slots=True)
class Similar:
    """The items most like one."""

    items: list[ShownItem]
    degraded: bool
    """Nothing similar is known yet: these are popular ones."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an item stands among the popular ones."""

    place: int | None
    """From 1; None behind the first `POPULAR`."""
    of: int
    model_version: str | None


class CatalogueReads:
    """Reads for the pages of items. Safe for threads."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def page(self, scope: Scope, search: str, filter: str, cursor: str) -> ItemPage:
        """A page of the catalogue, as GET `.../items/list`; raises InvalidInput for the filter."""
        stores = self._queries.stores
        columns = self._queries.serving.choices.columns(scope, stores.scenarios.get(scope).attribute_types)
        return item_page(stores.items, scope, columns, PAGE, cursor, filter.strip(), search=search.strip())

    def find(self, scope: Scope, search: str, limit: int = 8) -> list[ShownItem]:
        """Some items whose title or id holds the text."""
        stores = self._queries.stores
        columns = self._queries.serving.choices.columns(scope, stores.scenarios.get(scope).attribute_types)
        found = item_page(stores.items, scope, columns, limit, search=search.strip())
        return [ShownItem(item.item_id, item) for item in found.items]

    def attributes(self, scope: Scope) -> list[AttributeOverview]:
        """What filters may name, as GET `.../attributes`."""
        types = self._queries.stores.scenarios.get(scope).attribute_types
        return overview(self._queries.serving.choices.columns(scope, types).schema)

    def item(self, scope: Scope, item_id: str) -> WholeItem:
        """One item; raises NotFound."""
        stores = self._queries.stores
        item = stores.items.get_many(scope, [item_id]).get(item_id)
        if item is None or item.deleted:
            raise NotFound(
                f"There is no item {shortened(item_id)} in scenario {scope.scenario_id}.",
                "Check the id; a deleted item stays away until it is sent again.",
            )
        columns = self._queries.serving.choices.columns(scope, stores.scenarios.get(scope).attribute_types)
        attributes = columns.schema.attributes
        return WholeItem(
            item,
            [
                Value(name, value, str(FIELDS.get(name) or _OTHER_TYPES.get(name, "text")))
                for name, value in item.model_dump(mode="json", exclude=_NO_FIELDS).items()
                if name != "updated_at" or value
            ],
            [
                Value(name, value, str(attributes[name].type), fits(value, attributes[name].type))
                if name in attributes
                else Value(name, value, "")
                for name, value in sorted(item.attributes.items())
            ],
            {name: str(each.type) for name, each in sorted(attributes.items())},
        )

    def similar(self, scope: Scope, item_id: str, n: int = 10) -> Similar:
        """The items most like one, as GET `.../similar`."""
        stores = self._queries.stores
        answer = self._queries.serving.similar(scope, item_id, n, stores.scenarios.get(scope).attribute_types)
        return Similar(shown_answer(stores, scope, answer), answer.degraded)

    def standing(self, scope: Scope, item_id: str) -> Standing:
        """Where the item stands in GET `.../popular`."""
        types = self._queries.stores.scenarios.get(scope).attribute_types
        answer = self._queries.serving.popular(scope, POPULAR, types)
        ids: Sequence[str] = [each.item_id for each in answer.items]
        return Standing(ids.index(item_id) + 1 if item_id in ids else None, len(ids), answer.model_version)
