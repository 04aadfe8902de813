"""Analytics in a real browser: its numbers are those of the API, its view stands in the address, in both languages."""

import csv
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from consoles import SHOP, Console, Visit, alive, narrow, picture, start, until
from lemo.analytics.report import report
from lemo.domain.event import Event
from lemo.domain.scope import Scope
from lemo.domain.time import milliseconds
from lemo.settings import Settings
from lemo.stores.clickhouse.served import ServedRow
from lemo.stores.connect import Stores

Environment = tuple[dict[str, str], str, str]
FIRST = datetime(2026, 10, 20, tzinfo=UTC)
VIEW = f"/analytics?scenario={SHOP}&from=2026-10-20&to=2026-10-23"


@pytest.fixture(scope="module")
def stores(settings: Settings) -> Iterator[Stores]:
    stores = Stores(settings)
    yield stores
    stores.close()


@pytest.fixture(scope="module")
def answers(stores: Stores, environment: Environment) -> Scope:
    """Answers of four days, and what followed from them: the lower an item stands, the less."""
    scope = Scope(environment[1], SHOP)
    rows, events = [], []
    for number in range(60):
        at = FIRST + timedelta(hours=1 + number * 1.5)
        items = [f"kitchen/{(number + place) % 20}" for place in range(4)]
        rows.append(_row(scope, number, milliseconds(at), items))
        for place, item in enumerate(items):
            actions = ["impression", *(["click"] if number % (place + 2) == 0 else [])]
            actions += ["order"] if number % (3 * (place + 2)) == 0 else []
            for step, action in enumerate(actions):
                event = Event(
                    user_id=f"u{number % 9}",
                    item_id=item,
                    action=action,
                    timestamp=at + timedelta(seconds=step),
                    request_id=f"r{number}",
                    position=place + 1,
                    value=10.0 if action == "order" else None,
                )
                events.append((scope, event))
    stores.served.insert(rows)
    stores.events.insert(events)
    return scope


def _row(scope: Scope, number: int, at: int, items: list[str]) -> ServedRow:
    return ServedRow(
        tenant_id=scope.tenant_id,
        scenario_id=scope.scenario_id,
        at=at,
        request_id=f"r{number}",
        kind="recommendations",
        user_id=f"u{number % 9}",
        session=[],
        of_items=[],
        placement="home" if number % 3 else "cart",
        item_ids=items,
        sources=[""] * len(items),
        explored=[False] * len(items),
        propensities=[None] * len(items),
        model_version="m1",
        pipeline_version=None,
        experiment="",
        arm="",
        degraded=False,
        took_us=1_500,
        share=1.0,
    )


def tile(page: Page, name: str) -> str:
    """The number in a tile."""
    found = page.locator(".lemo-stat").filter(has=page.get_by_text(name, exact=True))
    return found.locator(".lemo-stat-value").inner_text(timeout=20_000)


def test_numbers_are_those_of_the_api_and_the_view_stands_in_the_address(
    console: Console, answers: Scope, stores: Stores, visit: Visit, tmp_path: Path
) -> None:
    found = report(stores, answers, FIRST, FIRST + timedelta(days=4), "day")
    total = found.totals
    assert total["requests"] == 60
    assert total["clicks"]
    page = visit.page
    page.goto(console.url + VIEW)
    assert tile(page, "Requests") == f"{total['requests']}"
    assert tile(page, "Impressions") == f"{total['impressions']}"
    assert tile(page, "CTR") == f"{100 * (total['ctr'] or 0):.1f} %"
    assert tile(page, "Conversion rate") == f"{100 * (total['conversion_rate'] or 0):.1f} %"
    assert tile(page, "Latency p99") == "1.5 ms"

    funnel = page.get_by_role("heading", name="Funnel").locator("xpath=ancestor::section")
    expect(funnel).to_contain_text(f"Clicks\n{100 * (total['ctr'] or 0):.1f} %\n{total['clicks']}", use_inner_text=True)
    curve = page.get_by_role("img", name="Click rate by position in the answer")
    expect(curve.locator("svg")).to_be_visible(timeout=20_000)
    rows = page.get_by_role("row")
    expect(rows.filter(has_text="home")).to_contain_text("40")
    expect(rows.nth(1)).to_contain_text("home")
    page.get_by_role("button", name="Sort by Placement").click()
    expect(rows.nth(1)).to_contain_text("cart")

    page.locator(".lemo-stat").filter(has_text="CTR").click()
    expect(page.get_by_role("heading", name="CTR")).to_be_visible()
    page.wait_for_url(lambda url: url.endswith("&metric=ctr"))
    page.reload()
    expect(page.get_by_role("heading", name="CTR")).to_be_visible(timeout=20_000)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").click()
    download.value.save_as(tmp_path / "numbers.csv")
    with (tmp_path / "numbers.csv").open(newline="", encoding="utf-8") as file:
        by_day = list(csv.DictReader(file))
    series = found.series
    assert [(row["requests"], row["clicks"]) for row in by_day] == [
        (str(row.values["requests"]), str(row.values["clicks"])) for row in series
    ]
    items = page.get_by_role("heading", name="Items shown most").locator("xpath=ancestor::section")
    expect(items.get_by_role("row")).to_have_count(21, timeout=20_000)
    first = items.get_by_role("row").filter(has_text="kitchen/0").first
    expect(first).to_contain_text("Copper kettle 0")
    expect(first.get_by_role("cell").nth(1)).to_have_text("12")
    picture(page, "analytics-1280")
    expect(rows.filter(has_text="home")).to_be_visible()
    narrow(page)
    picture(page, "analytics-390")


def test_a_period_without_answers_says_what_is_missing_and_where_there_is_something(
    console: Console, visit: Visit
) -> None:
    page = visit.page
    page.goto(f"{console.url}/analytics?scenario={SHOP}&from=2026-09-01&to=2026-09-02")
    expect(page.get_by_text("No answers in this period")).to_be_visible(timeout=20_000)
    expect(page.get_by_text(f"/v1/scenarios/{SHOP}/recommendations")).to_be_visible()
    page.get_by_role("link", name="Count all events instead").click()
    expect(page.get_by_text("No events in this period")).to_be_visible(timeout=20_000)
    page.get_by_role("link", name="The newest event is of 2026-11-01").click()
    expect(page.get_by_text("order", exact=True)).to_be_visible(timeout=20_000)
    page.goto(f"{console.url}/analytics?by=minute")
    expect(page.get_by_text("`by` has no value")).to_be_visible()


def test_one_language_and_the_wanted_colours_which_are_remembered(
    console: Console, answers: Scope, browser: Browser
) -> None:
    context = browser.new_context(locale="zh-CN", color_scheme="dark", viewport={"width": 390, "height": 800})
    page = context.new_page()
    page.goto(console.url + VIEW)
    expect(page.get_by_role("heading", name="数据分析")).to_be_visible(timeout=20_000)
    expect(page.get_by_text("点击率", exact=True).first).to_be_visible(timeout=20_000)
    assert page.get_by_text("Requests", exact=True).count() == 0
    background = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(background)
    page.wait_for_function("document.documentElement.lang === 'zh-CN'")
    assert page.evaluate("document.body.classList.contains('body--dark')")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    picture(page, "analytics-390-dark-zh")

    page.get_by_role("button", name="菜单").click()
    expect(page.get_by_role("link", name="首页")).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="外观").click()
    page.get_by_text("浅色").click()
    page.wait_for_function("document.documentElement.dataset.theme === 'light'")
    page.get_by_role("button", name="语言").click()
    page.get_by_text("English").click()
    expect(page.get_by_role("heading", name="Analytics")).to_be_visible(timeout=20_000)
    page.goto(f"{console.url}/no-such-page")
    expect(page.get_by_text("There is no such page.")).to_be_visible(timeout=20_000)
    expect(page.get_by_role("button", name="Menu")).to_be_visible()
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    assert page.evaluate(background) != dark
    context.close()


def test_a_silent_engine_delays_only_its_own_parts(environment: Environment, visit: Visit, tmp_path: Path) -> None:
    """As with SIGSTOP: ClickHouse takes connections, and says nothing."""
    settings, _, key = environment
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        silence = {"LEMO_CLICKHOUSE_URL": url, "LEMO_ANSWER_SECONDS": "4"}
        process, address = start({**settings, "LEMO_KEY": key, **silence}, tmp_path / "log")
        try:
            until(lambda: alive(address), process)
            page = visit.page
            page.goto(address)
            failed = page.get_by_text("Milvus did not answer.").locator("visible=true")  # not the one that is folded
            expect(failed.first).to_be_visible(timeout=20_000)
            expect(page.get_by_text("Still waiting for the engine").first).to_be_visible(timeout=20_000)
            expect(page.get_by_role("link", name="Analytics").first).to_be_visible()
            page.goto("about:blank")  # a page that loses its console complains
        finally:
            process.terminate()
            process.wait(timeout=20)
