"""While many ask: what is changed meanwhile counts in every process, and no request fails."""

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import httpx
import pytest

from api_processes import Api, running_processes
from lemo.client import Client
from lemo.domain.pipeline import Pipeline
from lemo.stores.connect import Stores
from servers import OwnEngine, free_port
from shops import Shop, fill, item
from sites import ITEMS, add_scenario, model_of, publish_model, settings_of, touch, wait_for

ASKERS = 6


@pytest.fixture
def site(tmp_path: Path, redis_url: str) -> Iterator[tuple[Api, Shop, str]]:
    settings = settings_of(tmp_path / "home", redis_url).model_copy(update={"installation": f"load{free_port()}"})
    stores = Stores(settings)
    scope, key = add_scenario(stores)
    publish_model(stores, scope, "1", model_of())
    with running_processes(settings, 2) as api, httpx.Client(base_url=api.url, timeout=30) as http:
        http.headers["Authorization"] = f"Bearer {key}"
        shop = Shop(stores, scope, http)
        fill(shop)
        touch(stores, scope, "u", ITEMS[0])
        wait_for(lambda: api.ready() and len(api.children) == 2, 60)
        yield api, shop, key
    stores.close()


@contextmanager
def load(api: Api, shop: Shop, key: str) -> Iterator[Callable[[], int]]:
    """Clients that ask all the time; gives how many were answered. Raises the first failure at the end."""
    stop, answered = Event(), [0] * ASKERS

    def ask(number: int) -> None:
        with Client(api.url, key, shop.scope.scenario_id) as client:
            while not stop.is_set():
                answer = client.recommend(f"user {answered[number] % 7}", n=5)
                assert len(answer.items) == 5
                answered[number] += 1

    with ThreadPoolExecutor(ASKERS) as pool:
        asking = [pool.submit(ask, number) for number in range(ASKERS)]
        try:
            yield lambda: sum(answered)
        finally:
            stop.set()
        for each in asking:
            each.result()


def everywhere(api: Api, shop: Shop, key: str, holds: Callable[[list[str]], bool]) -> None:
    """Waits until twenty new connections in a row, which the processes share, are answered so."""

    def once() -> bool:
        with httpx.Client(base_url=api.url, headers={"Authorization": f"Bearer {key}"}, timeout=30) as http:
            path = f"/v1/scenarios/{shop.scope.scenario_id}/recommendations"
            found = http.get(path, params={"user_id": "u", "n": 5}).json()
        return holds([each["item_id"] for each in found["items"]])

    wait_for(lambda: all(once() for _ in range(20)), 30)


def test_what_changes_under_load_counts_in_every_process_and_fails_no_request(site: tuple[Api, Shop, str]) -> None:
    api, shop, key = site
    with load(api, shop, key) as answered:
        everywhere(api, shop, key, lambda ids: ids[:3] == ITEMS[1:4])
        shop.write(item(1, is_active=False))
        everywhere(api, shop, key, lambda ids: ITEMS[1] not in ids)
        shop.stores.pipelines.put(shop.scope, Pipeline(filter='item.brand == "even"'), "test")
        everywhere(api, shop, key, lambda ids: set(ids) <= set(ITEMS[::2]))
        shop.write(item(2, brand="odd"))
        everywhere(api, shop, key, lambda ids: ITEMS[2] not in ids)
        shop.stores.pipelines.put(shop.scope, Pipeline(), "test")
        publish_model(shop.stores, shop.scope, "2", model_of(favourite=20))
        touch(shop.stores, shop.scope, "u", ITEMS[30])
        everywhere(api, shop, key, lambda ids: ITEMS[31] in ids)
        (victim, *_) = api.children
        os.kill(victim, signal.SIGKILL)
        wait_for(lambda: len(api.children - {victim}) == 2, 60)
        enough = answered() + 100
        wait_for(lambda: answered() > enough, 60)


def test_redis_killed_under_load_degrades_answers_and_fails_no_request(tmp_path: Path, own_redis: OwnEngine) -> None:
    settings = settings_of(tmp_path / "home", own_redis.url)
    stores = Stores(settings)
    scope, key = add_scenario(stores)
    publish_model(stores, scope, "1", model_of())
    with running_processes(settings, 1) as api, httpx.Client(base_url=api.url, timeout=30) as http:
        http.headers["Authorization"] = f"Bearer {key}"
        shop = Shop(stores, scope, http)
        wait_for(api.ready, 60)
        path = f"/v1/scenarios/{scope.scenario_id}/recommendations"

        def degraded() -> bool:
            response = http.get(path, params={"user_id": "u", "n": 5})
            assert response.status_code == 200, response.text
            return bool(response.json()["degraded"])

        wait_for(lambda: not degraded())
        with load(api, shop, key) as answered:
            own_redis.kill()
            wait_for(degraded)
            enough = answered() + 100
            wait_for(lambda: degraded() and answered() > enough, 60)
            own_redis.start()
            wait_for(lambda: not degraded(), 30)
    stores.close()
