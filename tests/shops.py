"""A scenario with a model, a catalogue and a running API, for tests of what a product team asks for."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from lemo.domain.item import Item
from lemo.domain.scope import Scope
from lemo.stores.connect import Stores
from sites import ITEMS, add_scenario, model_of, publish_model, running_api, settings_of


class Shop:
    """A scenario with a model, a catalogue and an API."""

    def __init__(self, stores: Stores, scope: Scope, http: httpx.Client) -> None:
        self.stores, self.scope, self.http = stores, scope, http

    def write(self, *items: Item) -> None:
        """What the consumer does with items."""
        now = [time.time_ns() // 1_000_000] * len(items)
        done = self.stores.items.upsert(self.scope, items, now)
        self.stores.availability.add(self.scope, done.items, done.arrived_ms)
        self.stores.item_feed.add(self.scope, [item.item_id for item in done.items])

    def ask(self, what: str = "recommendations", status: int = 200, **body: Any) -> Any:
        response = self.http.post(f"/v1/scenarios/{self.scope.scenario_id}/{what}", json=body)
        assert response.status_code == status, response.text
        return response.json()

    def ids(self, what: str = "recommendations", **body: Any) -> list[str]:
        return [item["item_id"] for item in self.ask(what, **body)["items"]]


def item(number: int, **values: Any) -> Item:
    attributes: dict[str, Any] = {"price": number, "brand": "even" if number % 2 == 0 else "odd", "in_stock": True}
    named = {"title": f"Item {number}", "categories": ["last"] if number >= len(ITEMS) - 2 else []}
    return Item.model_validate({"item_id": ITEMS[number], **named, **attributes, **values})


def fill(shop: Shop) -> None:
    """Writes the items of `ITEMS`."""
    shop.write(*(item(number) for number in range(len(ITEMS))))


@contextmanager
def open_shop(home: Path, redis_url: str) -> Iterator[Shop]:
    """A shop with the items of `ITEMS`."""
    stores = Stores(settings_of(home, redis_url))
    scope, key = add_scenario(stores)
    publish_model(stores, scope, "1", model_of())
    with running_api(stores) as address, httpx.Client(base_url=address, timeout=30) as http:
        http.headers["Authorization"] = f"Bearer {key}"
        site = Shop(stores, scope, http)
        fill(site)
        yield site
