"""A key in a page, in a real browser: the page of its site reads recommendations, a page of another site does not."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from lemo.domain.api_key import KeyWishes
from lemo.stores.connect import Stores
from sites import add_scenario, model_of, publish_model, running_api, settings_of

ASK = """
async ([url, key]) => {
  try {
    const answer = await fetch(url, {headers: {authorization: `Bearer ${key}`}});
    return [answer.status, (await answer.json()).items?.length ?? 0];
  } catch (error) {
    return [0, 0];
  }
}
"""


class Page(BaseHTTPRequestHandler):
    """An empty page."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><link rel=icon href='data:,'>")

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture
def pages() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_key_works_in_the_pages_of_its_site_alone(
    browser: Browser, pages: str, tmp_path: Path, redis_url: str
) -> None:
    own, other = f"http://127.0.0.1:{pages}", f"http://localhost:{pages}"
    stores = Stores(settings_of(tmp_path, redis_url))
    scope, _ = add_scenario(stores)
    publish_model(stores, scope, "1", model_of())
    key, free = (
        stores.api_keys.create(scope.tenant_id, KeyWishes(role="read", origins=origins)).key
        for origins in ([own], None)
    )
    with running_api(stores) as address:
        path = f"{address}/v1/scenarios/{scope.scenario_id}"
        # Popular items come from the hot path, the others are computed.
        urls = [f"{path}/popular?n=3", f"{path}/recommendations?user_id=u&n=3"]
        page = browser.new_page()
        page.goto(own)
        assert [page.evaluate(ASK, [url, key]) for url in urls] == [[200, 3], [200, 3]]
        assert page.evaluate(ASK, [urls[0], "lemo_unknown"]) == [401, 0], "pages can read why they are refused"
        page.goto(other)
        assert [page.evaluate(ASK, [url, each]) for url in urls for each in (key, free)] == [[0, 0]] * 4
        page.close()
