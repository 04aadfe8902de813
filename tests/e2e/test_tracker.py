"""The tracker in a real browser, on a page of another origin than the real API, with a key for that origin alone."""

import json
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Route

import lemo
from engines.process import LOOPBACK
from lemo.domain.api_key import KeyWishes
from lemo.domain.item import Item
from lemo.domain.scenario import scenario_from_template
from lemo.domain.scope import Scope
from lemo.stores.connect import Stores
from servers import ROOT
from sites import ITEMS, model_of, publish_model, running_api, settings_of, wait_for

CLIENT = ROOT / "clients" / "js"
PAGE = """<!doctype html><title>shop</title><style>body { margin: 0 } article { height: 400px }</style><body>
<script type="module">
import { Lemo } from "/lemo.js";
window.errors = [];
const lemo = new Lemo({ url: "API", key: "KEY", scenario: "SCENARIO", userId: "user 7",
                        onError: (text) => errors.push(text) });
const answer = await lemo.recommend({ n: 3, fields: ["title"], placement: "home/top" });
for (const [place, item] of answer.items.entries()) {
  const article = document.createElement("article");
  article.textContent = item.title;
  document.body.append(article);
  const shown = { item_id: item.item_id, request_id: answer.request_id, position: place + 1 };
  if (!location.search) lemo.watch(article, shown);
}
Object.assign(window, { lemo, answer });
</script>"""
OBSERVED = """(article) => new Promise((done) =>
  new IntersectionObserver(([entry]) => done(entry.intersectionRatio), { threshold: 0.5 }).observe(article))"""


class Shop:
    """A page of a shop, whose clock stands still, and what the API took from it."""

    def __init__(self, page: Page, address: str, stores: Stores) -> None:
        self.page = page
        self._address = address
        self._stores = stores

    @property
    def request_id(self) -> str:
        return str(self.page.evaluate("answer.request_id"))

    @property
    def item_ids(self) -> list[str]:
        found: list[str] = self.page.evaluate("answer.items.map((item) => item.item_id)")
        return found

    def open(self, query: str = "") -> None:
        """Opens the page; with a query, no item is watched."""
        self.page.goto(f"{self._address}/shop.html{query}")
        self.page.wait_for_function("window.answer")
        self.settle()

    def settle(self) -> None:
        """Returns once the browser has told the tracker what is visible: it tells observers in order."""
        for article in self.page.query_selector_all("article"):
            article.evaluate(OBSERVED)

    def events(self) -> list[dict[str, Any]]:
        records = self._stores.log.scan(self._stores.settings.kafka_event_topic)
        return [json.loads(record.value) for record in records]

    def wait_for(self, *actions: str) -> list[dict[str, Any]]:
        """The events once they are of these actions, in any order."""
        # Only while the page is asked something do handlers of its requests run.
        wait_for(lambda: self.page.evaluate("true") and len(self.events()) >= len(actions))
        events = self.events()
        assert Counter(event["action"] for event in events) == Counter(actions)
        return events


class Quiet(SimpleHTTPRequestHandler):
    """Answers files, and writes no line about it."""

    def log_message(self, format: str, *_: Any) -> None:
        """Nothing."""


@contextmanager
def served_from(folder: Path) -> Iterator[str]:
    """The origin of a web site with the files of the folder, another one than the API's."""
    folder.mkdir()
    server = ThreadingHTTPServer((LOOPBACK, 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://{LOOPBACK}:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def shop(browser: Browser, tmp_path: Path, redis_url: str, scope: Scope) -> Iterator[Shop]:
    settings = settings_of(tmp_path, redis_url)
    stores = Stores(settings)
    stores.tenants.create(scope.tenant_id)
    stores.scenarios.create(scope.tenant_id, scenario_from_template(scope.scenario_id, "ecommerce"))
    publish_model(stores, scope, "1", model_of())
    items = [Item(item_id=each, title=f"title of {each}") for each in ITEMS]
    stores.items.upsert(scope, items, [1_700_000_000_000] * len(items))
    stores.availability.add(scope, items, [1_700_000_000_000] * len(items))
    with running_api(Stores(settings, interactive=True)) as api, served_from(tmp_path / "pages") as pages:
        wishes = KeyWishes(role="track", scenarios=[scope.scenario_id], origins=[pages])
        key = stores.api_keys.create(scope.tenant_id, wishes).key
        body = PAGE.replace("API", api).replace("KEY", key).replace("SCENARIO", scope.scenario_id)
        (tmp_path / "pages" / "shop.html").write_text(body, "utf-8")
        (tmp_path / "pages" / "lemo.js").write_bytes((CLIENT / "lemo.js").read_bytes())
        context = browser.new_context(viewport={"width": 800, "height": 800})
        page = context.new_page()
        now = datetime.now(UTC)
        page.clock.install(time=now)
        page.clock.pause_at(now + timedelta(seconds=1))
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))

        def listen(message: ConsoleMessage) -> None:
            if message.type == "error" and "Failed to load resource" not in message.text:
                faults.append(message.text)

        page.on("console", listen)
        yield Shop(page, pages, stores)
        context.close()
        assert faults == []
    stores.close()


def test_what_was_half_visible_for_a_second_is_an_impression_once(shop: Shop) -> None:
    shop.open()
    page = shop.page
    assert page.inner_text("article") == f"title of {shop.item_ids[0]}"
    page.clock.run_for(999)
    page.evaluate("lemo.flush()")
    assert shop.events() == []
    page.clock.run_for(1)
    page.clock.run_for(1_000)
    first = shop.wait_for("impression", "impression")
    assert {(event["item_id"], event["position"]) for event in first} == {
        (item_id, place) for place, item_id in enumerate(shop.item_ids[:2], start=1)
    }
    assert {(event["request_id"], event["user_id"]) for event in first} == {(shop.request_id, "user 7")}
    page.evaluate("scrollTo(0, 400)")
    shop.settle()
    page.clock.run_for(500)
    page.evaluate("scrollTo(0, 0)")
    shop.settle()
    page.clock.run_for(5_000)
    page.evaluate("lemo.track('view', 'marker')")
    page.clock.run_for(1_000)
    shop.wait_for("impression", "impression", "view")
    page.evaluate("scrollTo(0, 400)")
    shop.settle()
    page.clock.run_for(2_000)
    shop.wait_for("impression", "impression", "impression", "view")
    page.clock.run_for(60_000)
    page.evaluate("scrollTo(0, 0)")
    shop.settle()
    page.clock.run_for(60_000)
    page.evaluate("lemo.track('view', 'marker 2')")
    page.clock.run_for(1_000)
    shop.wait_for("impression", "impression", "impression", "view", "view")
    assert page.evaluate("errors") == []


def test_a_click_that_leaves_the_page_and_a_purchase_arrive(shop: Shop) -> None:
    shop.open()
    first = shop.item_ids[0]
    shop.page.evaluate("lemo.track('purchase', 'lamp/1', { value: 39.5, attributes: { currency: 'EUR' } })")
    shop.page.click("article")
    request_id = shop.request_id
    shop.page.goto("about:blank")
    events = {event["action"]: event for event in shop.wait_for("purchase", "click")}
    assert (events["click"]["item_id"], events["click"]["position"], events["click"]["request_id"]) == (
        first,
        1,
        request_id,
    )
    assert (events["purchase"]["value"], events["purchase"]["attributes"]) == (39.5, {"currency": "EUR"})


def test_events_that_could_not_be_sent_are_sent_again_with_the_same_id(shop: Shop) -> None:
    page = shop.page
    shop.open("?quiet")
    attempts: list[str] = []
    answers = iter(["lost", "known", "busy"])

    def answer(route: Route) -> None:
        attempts.append(str(route.request.post_data))
        fate = next(answers, "known")
        if fate == "busy":
            route.fulfill(status=503, headers={"Retry-After": "7"}, body="{}")
        elif fate == "lost":  # the API takes the events, and its answer is lost
            route.fetch()
            route.abort()
        else:
            route.continue_()

    def tried_again() -> bool:
        page.clock.run_for(1_000)
        return len(attempts) == 2

    page.context.route("**/events", answer)
    page.evaluate("lemo.track('like', 'a')")
    page.clock.run_for(1_000)
    shop.wait_for("like")
    # The page hears of the failure at a moment that nobody knows, and waits a second from then on.
    wait_for(tried_again)
    taken = shop.wait_for("like", "like")
    assert len({event["event_id"] for event in taken}) == 1
    assert len(set(attempts)) == 1
    page.wait_for_function("sessionStorage[Object.keys(sessionStorage)[0]] == '[]'")

    page.evaluate("lemo.track('share', 'b')")
    page.clock.run_for(1_000)
    wait_for(lambda: page.evaluate("true") and len(attempts) == 3)
    [share] = json.loads(attempts[2])["events"]
    page.goto("about:blank")
    before = len(attempts)
    shop.open("?quiet")
    page.clock.run_for(10)
    wait_for(lambda: page.evaluate("true") and len(attempts) > before)
    assert json.loads(attempts[-1])["events"] == [share], "the next page sends what the last one could not"
    wait_for(lambda: page.evaluate("true") and share["event_id"] in {event["event_id"] for event in shop.events()})


def test_what_the_api_refuses_is_told_and_not_sent_again(shop: Shop) -> None:
    shop.open("?quiet")
    page = shop.page
    page.evaluate("lemo.track('guess', 'a')")
    page.evaluate("lemo.track('like', 'b')")
    page.clock.run_for(1_000)
    shop.wait_for("like")
    page.wait_for_function("errors.length")
    [told] = page.evaluate("errors")
    assert "guess" in told
    assert "is not known in this scenario" in told
    assert page.evaluate("JSON.parse(sessionStorage[Object.keys(sessionStorage)[0]])") == []
    refused = page.evaluate("lemo.recommend({ filter: 'item.' }).catch((error) => error.message)")
    assert refused.startswith("Lemo: ")
    similar = page.evaluate("lemo.similar({ item_ids: ['item/1'], pin: [{ item_id: 'item/2', position: 1 }] })")
    assert [item["item_id"] for item in similar["items"]] == ["item/2"]


def test_the_package_is_small_and_says_what_it_has() -> None:
    script = (CLIENT / "lemo.js").read_text("utf-8")
    # What any minifier leaves at most: comments stand on lines of their own or behind two spaces.
    lines = [re.sub(r"(^|\s+)(//|/?\*).*$", "", line).strip() for line in script.splitlines()]
    assert len("\n".join(line for line in lines if line).encode()) < 5_000
    package = json.loads((CLIENT / "package.json").read_text("utf-8"))
    assert package["version"] == lemo.__version__
    assert "dependencies" not in package
    assert all((CLIENT / name).is_file() for name in [*package["files"], package["main"], package["types"]])
    methods = set(re.findall(r"^  (?:async )?(\w+)\(", script, re.MULTILINE))
    declared = (CLIENT / "lemo.d.ts").read_text("utf-8").split("export class Lemo")[1]
    assert methods == set(re.findall(r"^  (\w+)\(", declared, re.MULTILINE))
    assert {"recommend", "similar", "watch", "track", "flush"} <= methods
