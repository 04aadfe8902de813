"""The console in a real browser, over real stores that hold a small world of two tastes."""

import os
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright

import servers
from lemo.domain.event import Event
from lemo.domain.item import Item
from lemo.domain.scenario import scenario_from_template
from lemo.domain.scope import Scope
from lemo.domain.time import milliseconds
from lemo.settings import Settings
from lemo.stores.connect import Stores

SHOP = "shop"
TITLES = {"kitchen": ("Copper kettle", "铸铁炒锅"), "garden": ("Garden shears", "园艺手套")}
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


@dataclass
class Visit:
    """A page and all that went on in it."""

    page: Page
    hosts: set[str] = field(default_factory=set)
    complaints: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Console:
    """A running console and the key of the tenant whose data it shows."""

    url: str
    tenant_id: str
    key: str


def until(condition: Callable[[], bool], process: "subprocess.Popen[bytes]", seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, f"the console ended with exit code {process.returncode}"
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.05)


def alive(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/live", timeout=2, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def fill(stores: Stores, tenant_id: str) -> None:
    """Forty items of two kinds, users that like one of them, a trained model and its run."""
    scope = Scope(tenant_id, SHOP)
    stores.tenants.create(tenant_id)
    stores.scenarios.create(tenant_id, scenario_from_template(SHOP, "ecommerce"))
    items = [
        Item(
            item_id=f"{kind}/{number}",
            title=f"{TITLES[kind][number % 2]} {number}",
            categories=[kind],
            tags=["steel", "新品"],
            published_at=NOW - timedelta(days=number),
        )
        for kind in TITLES
        for number in range(20)
    ]
    stores.items.upsert(scope, items, [milliseconds(NOW)] * len(items))
    stores.fresh.add(scope, items, [milliseconds(NOW)] * len(items))
    rows = [
        (
            scope,
            Event(
                user_id=f"用户 {user}",
                item_id=f"{list(TITLES)[user % 2]}/{(user * 7 + step * 3) % 20}",
                action="order" if step % 3 else "view",
                timestamp=NOW - timedelta(hours=(user * 5 + step * 31) % 700),
            ),
        )
        for user in range(60)
        for step in range(6)
    ]
    stores.events.migrate()
    stores.events.insert(rows)
    stores.history.add(rows)
    run = stores.runs.create(tenant_id, "train-model-daily", SHOP, "manual")
    run.started_at = datetime.now(UTC)
    publish(stores, scope)
    run.finished_at, run.outcome, run.rows_written = datetime.now(UTC), "ok", len(items)
    stores.runs.save(tenant_id, run)
    failed = stores.runs.create(tenant_id, "update-user-profiles-2hours", SHOP, "schedule")
    failed.outcome, failed.error = "failed", "Milvus did not answer."
    stores.runs.save(tenant_id, failed)


def publish(stores: Stores, scope: Scope) -> None:
    """Fits model and similar items on all events, and lets them serve."""
    from lemo.recommenders.blend import BlendConfig, BlendModel
    from lemo.recommenders.interactions import Interactions
    from lemo.recommenders.item_knn import item_similarity
    from lemo.recommenders.similar import similar_items

    rules = stores.scenarios.get(scope).actions
    interactions = Interactions.from_table(stores.events.interactions(scope), rules)
    model = BlendModel.fit(interactions, BlendConfig(), rules)
    similar = similar_items(interactions.item_ids, item_similarity(interactions.csr(None), 10.0, 20), None, 20)
    for kind, (arrays, manifest) in {"model": model.to_arrays(), "similar": similar.to_arrays()}.items():
        stores.snapshots.publish(scope, kind, "20261101T120000", arrays, manifest)
        stores.snapshots.point(scope, kind, "20261101T120000")


@pytest.fixture(scope="module")
def environment(
    valkey_url: str, clickhouse_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[dict[str, str], str, str]]:
    """The settings of a filled installation, its tenant and the tenant's key."""
    settings = {
        "LEMO_HOME": str(tmp_path_factory.mktemp("home")),
        "LEMO_REDIS_URL": valkey_url,
        "LEMO_CLICKHOUSE_URL": clickhouse_url,
        "LEMO_CLICKHOUSE_DATABASE": f"console_{uuid.uuid4().hex[:8]}",
        "LEMO_MILVUS_PORT": str(servers.free_port()),
        "LEMO_API_PORT": str(servers.free_port()),
    }
    tenant_id = f"tenant-{uuid.uuid4().hex[:8]}"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        stores = Stores(Settings())
    fill(stores, tenant_id)
    key = stores.tenants.new_key(tenant_id)
    yield settings, tenant_id, key
    stores.events.delete_scope(Scope(tenant_id, SHOP))
    stores.close()


def start(settings: dict[str, str], log: Path) -> "tuple[subprocess.Popen[bytes], str]":
    port = servers.free_port()
    variables = {**os.environ, **settings, "LEMO_CONSOLE_PORT": str(port)}
    # NiceGUI takes a test's variable for an order to simulate its browser.
    variables = {name: value for name, value in variables.items() if not name.startswith(("PYTEST_", "NICEGUI_"))}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", "from lemo.commands.console import console; console()"],
            env=variables,
            cwd=log.parent,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    return process, f"http://127.0.0.1:{port}"


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


def picture(page: Page, name: str) -> None:
    """Keeps a screenshot where LEMO_TEST_PICTURES names a folder."""
    folder = os.environ.get("LEMO_TEST_PICTURES")
    if folder:
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def test_the_overview_shows_services_counts_schedule_and_runs(console: Console, visit: Visit) -> None:
    page = visit.page
    page.goto(console.url)
    row = page.get_by_role("row").filter(has_text=SHOP).first
    expect(row).to_contain_text("40", timeout=20_000)
    expect(row).to_contain_text("60")
    expect(row).to_contain_text("2026-11-01")
    expect(page.get_by_text("precompute-recommendations-4hours")).to_be_visible()
    failed = page.get_by_role("row").filter(has_text="update-user-profiles-2hours")
    expect(failed).to_contain_text("Milvus did not answer.")
    expect(page.get_by_text("Something is missing")).to_be_visible(timeout=20_000)
    expect(page.get_by_text("服务状态")).to_be_visible()
    trouble = page.get_by_text("Milvus: 127.0.0.1").first
    expect(trouble).to_be_visible()
    picture(page, "overview-1280")
    page.set_viewport_size({"width": 480, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 480
    picture(page, "overview-480")


def test_the_explorer_shows_history_recommendations_and_similar_items(console: Console, visit: Visit) -> None:
    page = visit.page
    page.goto(f"{console.url}/explore")
    page.get_by_label("User 用户").fill("用户 4")
    page.get_by_role("button", name="用户 42", exact=True).click()
    first = page.locator(".lemo-item").filter(has_text="because of “").first
    expect(first).to_be_visible(timeout=20_000)
    # An even user loves the kitchen: the model has to find that out.
    expect(first).to_contain_text("kitchen")
    expect(page.get_by_text("order").first).to_be_visible()
    assert "user=%E7%94%A8%E6%88%B7+42" in page.url
    picture(page, "explore-1280")
    first.click()
    expect(page.get_by_text("相似物品")).to_be_visible()
    expect(page.get_by_role("dialog").locator(".lemo-item").first).to_contain_text(
        re.compile("|".join(TITLES["kitchen"]))
    )
    picture(page, "similar-1280")
    page.keyboard.press("Escape")
    page.set_viewport_size({"width": 480, "height": 800})
    expect(page.get_by_text("相似物品")).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth") <= 480
    picture(page, "explore-480")


def test_an_address_that_names_a_user_opens_him(console: Console, visit: Visit) -> None:
    visit.page.goto(f"{console.url}/explore?scenario={SHOP}&user=nobody%20%22%27%2F%3Cb%3E")
    expect(visit.page.get_by_text("Nothing is known of this user")).to_be_visible(timeout=20_000)


def test_a_foreign_name_for_this_machine_is_refused(console: Console) -> None:
    answer = httpx.get(console.url, headers={"Host": "evil.example"}, trust_env=False)
    assert answer.status_code == 400


def test_on_other_addresses_a_key_is_asked_for(
    environment: tuple[dict[str, str], str, str], visit: Visit, tmp_path: Path
) -> None:
    settings, tenant_id, key = environment
    log = tmp_path / "log"
    process, url = start({**settings, "LEMO_CONSOLE_HOST": "0.0.0.0"}, log)
    try:
        until(lambda: alive(url), process)
        page = visit.page
        page.goto(f"{url}/explore?scenario={SHOP}&user=u")
        page.get_by_label("Key 密钥").fill("lemo_wrong")
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_text("This key is unknown.")).to_be_visible()
        assert SHOP not in page.content()
        picture(page, "login-1280")
        page.get_by_label("Key 密钥").fill(key)
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_text(tenant_id)).to_be_visible(timeout=20_000)
        expect(page.get_by_role("row").filter(has_text=SHOP).first).to_be_visible(timeout=20_000)
        page.get_by_role("button").filter(has_text="logout").click()
        expect(page.get_by_label("Key 密钥")).to_be_visible()
        page.goto("about:blank")  # a page that loses its console complains
    finally:
        process.terminate()
        process.wait(timeout=20)
    assert key not in log.read_text(encoding="utf-8")


def test_a_port_in_use_is_told_in_words(console: Console) -> None:
    from lemo.console.server import check_port
    from lemo.domain.errors import Conflict

    with pytest.raises(Conflict, match="LEMO_CONSOLE_PORT"):
        check_port("127.0.0.1", urlsplit(console.url).port or 0)


# The schedule

DAILY = "train-model-daily"


@pytest.fixture
def operator(environment: tuple[dict[str, str], str, str], tmp_path: Path) -> Iterator[tuple[str, Stores]]:
    """A console for the tenant `default`, which has the scenario shop, and the stores behind it."""
    settings, _, _ = environment
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        stores = Stores(Settings())
    if not stores.tenants.exists("default"):
        stores.tenants.create("default")
        stores.scenarios.create("default", scenario_from_template(SHOP, "ecommerce"))
        stores.scenarios.create("default", scenario_from_template("news", "news"))
    process, url = start({**settings, "LEMO_KEY": stores.tenants.new_key("default")}, tmp_path / "log")
    try:
        until(lambda: alive(url), process)
        yield url, stores
    finally:
        process.terminate()
        process.wait(timeout=20)
        stores.close()
    assert "Traceback" not in (tmp_path / "log").read_text(encoding="utf-8")


def leave(page: Page, url: str) -> None:
    """Goes elsewhere once everything has loaded: the server makes an error of a request that is broken off."""
    page.wait_for_load_state("networkidle")
    page.goto(url)


def test_the_operator_sees_and_edits_the_schedule(operator: tuple[str, Stores], visit: Visit) -> None:
    url, stores = operator
    run = stores.runs.create("default", DAILY, SHOP, "schedule")
    run.started_at = datetime.now(UTC) - timedelta(hours=2)
    run.finished_at, run.outcome, run.error = run.started_at + timedelta(seconds=83), "failed", "No events yet."
    stores.runs.save("default", run)
    page = visit.page
    page.goto(url)
    page.get_by_role("link", name="Schedule", exact=False).first.click()
    row = page.get_by_role("row").filter(has_text=DAILY).first
    expect(row).to_contain_text("0 3 * * *", timeout=20_000)
    expect(row).to_contain_text("2 h ago")
    expect(row).to_contain_text("83.0 s")
    expect(row).to_contain_text(f"failing: {SHOP}")
    expect(page.get_by_text("Nobody has changed anything yet.")).to_be_visible()

    page.get_by_role("button", name=f"Edit 编辑: {DAILY}").click()
    page.get_by_label("Crontab").fill("99 2 * * *")
    expect(page.get_by_text("is no crontab")).to_be_visible()
    expect(page.get_by_role("button", name="Save")).to_be_disabled()
    picture(page, "schedule-wrong-1280")
    page.get_by_label("Crontab").fill("30 2 * * *")
    zone = page.get_by_label("Time zone")
    zone.fill("Shangh")
    page.get_by_role("option", name="Asia/Shanghai").click()
    expect(page.get_by_text("02:30 +0800").first).to_be_visible()
    picture(page, "schedule-edit-1280")
    page.get_by_role("button", name="Save").click()
    expect(row).to_contain_text("30 2 * * *")
    expect(row).to_contain_text("Asia/Shanghai")
    change = page.get_by_role("row").filter(has_text="default, console")
    expect(change.first).to_contain_text("0 3 * * * UTC")
    expect(change.first).to_contain_text("30 2 * * * Asia/Shanghai")

    page.get_by_role("button", name=f"Pause 暂停: {DAILY}").click()
    expect(row).to_contain_text("paused")
    assert stores.schedules.of(DAILY).paused
    leave(page, url)
    expect(page.get_by_text("paused").first).to_be_visible(timeout=20_000)
    leave(page, f"{url}/schedule?scenario={SHOP}")
    expect(row).to_contain_text("paused", timeout=20_000)
    page.get_by_role("button", name=f"Resume 恢复: {DAILY}").click()
    expect(row).to_contain_text("on 启用")
    assert [each.paused for each in stores.schedules.list("default") if each.entry == DAILY] == [True, False]
    page.get_by_role("button", name=f"Run now 立即运行: {DAILY}").click()
    expect(page.get_by_text("Queued for 1 scenario")).to_be_visible()
    assert [each.trigger for each in stores.runs.list("default", DAILY, SHOP, "queued")] == ["manual"]
    expect(page.get_by_text("own times").first).to_be_visible()
    leave(page, f"{url}/schedule")
    expect(page.get_by_role("row").filter(has_text="own times")).to_contain_text(SHOP, timeout=20_000)
    picture(page, "schedule-1280")
    page.set_viewport_size({"width": 480, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 480
    picture(page, "schedule-480")
    leave(page, "about:blank")


def test_another_tenant_steers_its_own_scenario_only(console: Console, visit: Visit) -> None:
    page = visit.page
    page.goto(f"{console.url}/schedule")
    hourly = "compute-item-similarity-hourly"
    expect(page.get_by_text("These times hold for all tenants.")).to_be_visible(timeout=20_000)
    expect(page.get_by_role("button", name=f"Pause 暂停: {hourly}")).to_be_disabled()
    page.get_by_label("Scenario 场景").click()
    page.get_by_role("option", name=SHOP).click()
    page.get_by_role("button", name=f"Pause 暂停: {hourly}").click()
    row = page.get_by_role("row").filter(has_text=hourly).first
    expect(row).to_contain_text("own times", timeout=20_000)
    expect(row).to_contain_text("paused")
    assert f"scenario={SHOP}" in page.url
    expect(page.get_by_role("row").filter(has_text=f"{console.tenant_id}, console")).to_contain_text("pause")
