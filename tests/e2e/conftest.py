"""A console over a small world of two tastes, and a real browser that looks at it."""

import uuid
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Request, sync_playwright

import servers
from consoles import SHOP, Console, Visit, alive, fill, start, until
from lemo.domain.scope import Scope
from lemo.settings import Settings
from lemo.stores.connect import Stores
from lemo.streams import Message


@pytest.fixture(scope="module")
def environment(
    request: pytest.FixtureRequest, valkey_url: str, clickhouse_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[dict[str, str], str, str]]:
    """The settings of a filled installation, its tenant (the module's `TENANT`, else its own) and the tenant's key."""
    own = uuid.uuid4().hex[:8]
    settings = {
        "LEMO_INSTALLATION": f"test{own}",
        "LEMO_HOME": str(tmp_path_factory.mktemp("home")),
        # On a busy machine a question may take longer than the few seconds that a visitor is made to wait.
        "LEMO_ANSWER_SECONDS": "30",
        "LEMO_REDIS_URL": valkey_url,
        "LEMO_CLICKHOUSE_URL": clickhouse_url,
        "LEMO_CLICKHOUSE_DATABASE": servers.new_database("console"),
        "LEMO_KAFKA_ITEM_INGEST_TOPICS": f"items-{own}",
        "LEMO_KAFKA_EVENT_TOPIC": f"events-{own}",
        "LEMO_MILVUS_PORT": str(servers.free_port()),
        "LEMO_API_PORT": str(servers.free_port()),
    }
    tenant_id = getattr(request.module, "TENANT", f"tenant-{own}")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        stores = Stores(Settings())
    fill(stores, tenant_id)
    publisher = stores.log.publisher()
    publisher.publish(settings["LEMO_KAFKA_EVENT_TOPIC"], [Message(b"{}")] * 1_204)
    publisher.close()
    key = stores.api_keys.create(tenant_id).key
    yield settings, tenant_id, key
    stores.events.delete_scope(Scope(tenant_id, SHOP))
    stores.close()


@pytest.fixture(scope="module")
def settings(environment: tuple[dict[str, str], str, str]) -> Settings:
    """The same as an object, for stores beside the console."""
    return Settings(**{name.removeprefix("LEMO_").lower(): value for name, value in environment[0].items()})


@pytest.fixture(scope="module")
def console(
    environment: tuple[dict[str, str], str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Console]:
    settings, tenant_id, key = environment
    log = tmp_path_factory.mktemp("console") / "log"
    process, url = start({**settings, "LEMO_KEY": key}, log)
    try:
        until(lambda: alive(url), process)
        yield Console(url, tenant_id, key)
    finally:
        process.terminate()
        process.wait(timeout=20)
    assert "Traceback" not in log.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def browser(chromium_path: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    """A page; at its end nothing was asked of another host, and the browser had nothing to complain about."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    visit = Visit(context.new_page())

    def requested(request: Request) -> None:
        if not request.url.startswith(("data:", "blob:")):
            visit.hosts.add(urlsplit(request.url).hostname or "")

    def said(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            visit.complaints.append(message.text)

    visit.page.on("request", requested)
    visit.page.on("console", said)
    visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
    yield visit
    context.close()
    assert visit.hosts == {"127.0.0.1"}
    assert visit.complaints == []
