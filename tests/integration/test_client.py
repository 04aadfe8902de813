"""The client against the real API, and against a server that fails for a while."""

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from lemo.client import AsyncClient, Client, EventBuffer, LemoRefused, LemoUnavailable
from lemo.domain.item import Item
from lemo.domain.scope import Scope
from lemo.stores.connect import Stores
from lemo.streams.messages import read_event_message
from sites import ITEMS, add_scenario, model_of, publish_model, running_api, settings_of, touch, wait_for


class Site:
    def __init__(self, stores: Stores, scope: Scope, key: str, url: str) -> None:
        self.stores, self.scope, self.key, self.url = stores, scope, key, url

    def client(self, **more: Any) -> Client:
        return Client(self.url, self.key, self.scope.scenario_id, **more)

    def events(self) -> list[str]:
        topic = self.stores.settings.kafka_event_topic
        return [read_event_message(record.value)[1].item_id for record in self.stores.log.read_all(topic, 10_000)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[Site]:
    stores = Stores(settings_of(tmp_path_factory.mktemp("client"), redis_url))
    scope, key = add_scenario(stores)
    publish_model(stores, scope, "1", model_of())
    touch(stores, scope, "u", ITEMS[0])
    items = [
        Item(item_id=each, title=f"Title {place}", attributes={"price": place}) for place, each in enumerate(ITEMS)
    ]
    stores.items.upsert(scope, items, [1] * len(items))
    with running_api(stores) as url:
        yield Site(stores, scope, key, url)


def test_answers_are_those_of_the_api(site: Site) -> None:
    with site.client() as lemo:
        answer = lemo.recommend("u", n=3)
        assert [each.item_id for each in answer.items] == ITEMS[1:4]
        assert (answer.degraded, answer.model_version) == (False, "1")
        chosen = lemo.recommend("u", n=3, filter="item.price > request.least", variables={"least": 1}, fields=["title"])
        assert [(each.item_id, each.fields["title"]) for each in chosen.items[:2]] == [
            (ITEMS[2], "Title 2"),
            (ITEMS[3], "Title 3"),
        ]
        assert (chosen.items[0].source, chosen.items[0].because) == ("similar", (ITEMS[0],))
        assert [each.item_id for each in lemo.recommend(session=[ITEMS[9]], n=2).items] == ITEMS[10:12]
        assert len(lemo.popular(4).items) == 4
        assert lemo.similar(ITEMS[0], ITEMS[1], n=2).items == ()
        with pytest.raises(LemoRefused, match="Did you mean price"):
            lemo.recommend("u", filter="item.prise > 1")
        with pytest.raises(LemoRefused, match="There is no item"):
            lemo.similar("no such item")
        done = lemo.send_items([{"item_id": "x"}, {"item_id": ""}])
        assert (done.accepted, [index for index, _ in done.rejected]) == (1, [1])


def test_the_same_for_asyncio(site: Site) -> None:
    async def ask() -> None:
        async with AsyncClient(site.url, site.key, site.scope.scenario_id) as lemo:
            found = await asyncio.gather(*(lemo.recommend("u", n=n) for n in (1, 2, 3)))
            assert [len(answer.items) for answer in found] == [1, 2, 3]
            event = {"user_id": "v", "item_id": ITEMS[3], "action": "like", "timestamp": 1_700_000_000}
            assert (await lemo.send_events([event])).accepted == 1
            with pytest.raises(LemoRefused):
                await lemo.recommend("")

    asyncio.run(ask())


def test_buffered_events_arrive_once_and_bad_ones_are_told(site: Site) -> None:
    before = len(site.events())
    with site.client() as lemo, EventBuffer(lemo, seconds=0.05) as events:
        for number in range(20):
            events.add("w", f"buffered {number}", "like")
        wait_for(lambda: len(site.events()) == before + 20)
        events.add("w", "late", "like")
        events.add("w", "bad", "no such action")
    assert site.events()[before:] == [*(f"buffered {number}" for number in range(20)), "late"]
    assert events.dropped == 0
    assert len(events.rejected) == 1
    assert "no such action" in events.rejected[0]


class Failing(BaseHTTPRequestHandler):
    """Answers 503 until `left` is 0."""

    left = 0
    bodies: list[Any] = []  # noqa: RUF012 - of the class, for the test to read

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        type(self).bodies.append(body)
        fails = type(self).left > 0
        type(self).left -= fails
        answer = json.dumps(
            {"detail": "later"} if fails else {"accepted": len(body["events"]), "rejected": []}
        ).encode()
        self.send_response(503 if fails else 200)
        self.send_header("content-length", str(len(answer)))
        self.send_header("retry-after", "0")
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing."""


@pytest.fixture
def failing() -> Iterator[str]:
    Failing.bodies.clear()
    server = HTTPServer(("127.0.0.1", 0), Failing)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_call_that_fails_for_a_while_is_repeated_and_then_given_up(failing: str) -> None:
    with Client(failing, "key", "s", retries=2) as lemo:
        Failing.left = 2
        assert lemo.send_events([{}]).accepted == 1
        assert len(Failing.bodies) == 3
        Failing.left = 3
        with pytest.raises(LemoUnavailable, match="later"):
            lemo.send_events([{}])
    with Client("http://127.0.0.1:9", "key", "s", retries=0) as nobody, pytest.raises(LemoUnavailable):
        nobody.popular()


def test_buffered_events_wait_for_the_api_and_the_oldest_give_way(failing: str) -> None:
    Failing.left = 5
    with Client(failing, "key", "s", retries=0) as lemo, EventBuffer(lemo, seconds=0.01, capacity=3) as events:
        for number in range(5):
            events.add("u", str(number), "like")
        wait_for(lambda: Failing.left == 0)
    sent = Failing.bodies[-1]["events"]
    assert {event["item_id"] for event in sent} <= set("01234")
    ids = {event["item_id"]: event["event_id"] for body in Failing.bodies for event in body["events"]}
    assert all(event["event_id"] == ids[event["item_id"]] for event in sent), "sent again under the same id"
    assert "4" in {event["item_id"] for body in Failing.bodies for event in body["events"]}


def test_events_that_cannot_be_sent_at_the_end_are_counted(tmp_path: Path) -> None:
    del tmp_path
    with Client("http://127.0.0.1:9", "key", "s", retries=0) as lemo:
        events = EventBuffer(lemo, seconds=5)
        events.add("u", "i", "like")
        events.close()
    assert events.dropped == 1
