"""Files dropped on the console in a real browser: looked at, corrected, imported, and gone again."""

import csv
import re
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, FilePayload, Locator, Page, expect

from consoles import SHOP, Console, Visit, narrow, picture
from lemo.domain.scope import Scope
from lemo.ingest.service import Consumer
from lemo.settings import Settings
from lemo.stores.connect import Stores

TENANT = "default"
PATIENCE = 20_000
ORDERS = "who,sku,event_type,event_time\n" + "".join(
    f"{n % 7 + 17850}.0,garden/{n % 20},{('kauf', 'view')[n % 2]},2026-10-{n % 28 + 1:02} 10:00:00\n"
    for n in range(300)
)
FILMS = "movieId,title,genres,year\n" + "".join(f"{n},Film {n},Drama|Comedy,{1990 + n % 30}\n" for n in range(50))
RATINGS = "userId,movieId,rating,timestamp\n" + "".join(
    f"{n % 9},{n % 50},{n % 5 + 1}.0,{1_700_000_000 + n}\n" for n in range(200)
)


@pytest.fixture(scope="module")
def stores(settings: Settings) -> Iterator[Stores]:
    """The stores of the installation, into which a consumer takes what is imported."""
    stop = threading.Event()
    with closing(Stores(settings)) as stores, closing(Stores(settings)) as own:
        thread = threading.Thread(target=Consumer(own, "a", lambda _: None, stop).run, name="consumer")
        thread.start()
        yield stores
        stop.set()
        thread.join(30)


@pytest.fixture
def page(visit: Visit, stores: Stores) -> Page:
    del stores  # the consumer must run
    visit.page.set_default_timeout(PATIENCE)
    return visit.page


def drop(page: Page, *files: tuple[str, str]) -> None:
    """Drags files onto the page."""
    data = page.evaluate_handle(
        "files => { const all = new DataTransfer();"
        " for (const [name, text] of files) all.items.add(new File([text], name)); return all; }",
        [list(file) for file in files],
    )
    page.locator(".lemo-drop").dispatch_event("dragover", {"dataTransfer": data})
    page.locator(".q-uploader__dnd").dispatch_event("drop", {"dataTransfer": data})


def choose(page: Page, label: str, option: str) -> None:
    page.get_by_role("combobox", name=label).click()
    page.get_by_role("option", name=option, exact=True).click()


def shown(locator: Locator) -> None:
    expect(locator).to_be_visible(timeout=PATIENCE)


def test_a_file_is_dropped_corrected_and_imported(
    console: Console, page: Page, stores: Stores, settings: Settings
) -> None:
    scope = Scope(TENANT, SHOP)
    before = stores.events.count(scope)
    page.goto(f"{console.url}/import?scenario={SHOP}")
    drop(page, ("orders.csv", ORDERS))
    shown(page.get_by_text("Attributes: who, event_type, event_time"))  # it looks like items
    page.get_by_role("button", name="Events", exact=True).click()
    shown(page.get_by_text("orders.csv has no column user_id; it has: who, sku, event_type, event_time."))
    expect(page.get_by_role("button", name="Import", exact=True)).to_be_disabled()
    choose(page, "user_id *", "who")
    shown(page.get_by_text("rows would be rejected."))  # kauf is no action here
    page.get_by_label("Words of actions").fill("kauf=order")
    shown(page.get_by_text("The word kauf is taken for order."))
    expect(page.get_by_text("rows would be rejected.")).to_have_count(0, timeout=PATIENCE)
    shown(page.get_by_role("cell", name="17850", exact=True).first)
    page.get_by_label("Keep how it is read as").fill("till")
    picture(page, "import-look-1280")
    page.get_by_role("button", name="Import", exact=True).click()
    shown(page.get_by_text("From 2026-10-01 10:00 to 2026-10-28 10:00 UTC"))
    picture(page, "import-done-1280")
    assert stores.events.count(scope) - before == len({tuple(line.split(",")) for line in ORDERS.splitlines()[1:]})
    assert stores.scenarios.get(scope).mappings["till"].fields["user_id"] == "who"
    lines = [line for line in stores.audit.list(TENANT, 50) if line.action == "import.events"]
    assert [(line.subject, line.detail["published"], line.by) for line in lines] == [
        ("orders.csv", 300, f"{TENANT}, console")
    ]
    assert [path.name for path in Path(settings.state, "uploads").rglob("*.csv")] == []
    # Whoever comes back sees what came of it.
    page.goto(f"{console.url}/import?scenario={SHOP}")
    page.get_by_role("row").filter(has_text="orders.csv").filter(has_text="imported").get_by_role("link").click()
    shown(page.get_by_text("Rows read"))
    narrow(page)
    the_next_file_needs_the_mapping_alone_and_counts_once(console, page)


def the_next_file_needs_the_mapping_alone_and_counts_once(console: Console, page: Page) -> None:
    page.goto(f"{console.url}/import?scenario={SHOP}")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose files").click()
    chooser.value.set_files(FilePayload(name="november.csv", mimeType="text/csv", buffer=ORDERS.encode()))
    page.get_by_role("button", name="Events", exact=True).click()
    choose(page, "As kept under", "till")
    shown(page.get_by_text("The word kauf is taken for order."))
    page.get_by_role("button", name="Import", exact=True).click()
    known = page.locator(".lemo-stat").filter(has_text="Of these known before or repeated")
    expect(known).to_contain_text("300", timeout=PATIENCE)


def test_on_a_phone_in_chinese_and_dark(console: Console, browser: Browser) -> None:
    context = browser.new_context(
        viewport={"width": 390, "height": 800}, locale="zh-CN", color_scheme="dark", has_touch=True
    )
    phone = context.new_page()
    phone.set_default_timeout(PATIENCE)
    phone.goto(f"{console.url}/import?scenario={SHOP}")
    shown(phone.get_by_role("heading", name="拖入文件"))
    drop(phone, ("ratings.csv", RATINGS))
    shown(phone.get_by_role("heading", name="导入后的前几行"))
    narrow(phone)
    assert phone.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(17, 18, 16)"
    picture(phone, "import-look-390-dark-zh")
    phone.get_by_role("link", name="全部文件").click()
    shown(phone.get_by_role("row").filter(has_text="ratings.csv").filter(has_text="待确认"))
    narrow(phone)
    picture(phone, "import-390-dark-zh")
    phone.get_by_role("button", name="丢弃 ratings.csv").click()
    phone.get_by_role("button", name="丢弃", exact=True).click()
    expect(phone.get_by_role("link", name="ratings.csv")).to_have_count(0, timeout=PATIENCE)
    context.close()


def test_rejected_rows_are_downloaded_with_their_reasons(console: Console, page: Page, tmp_path: Path) -> None:
    rows = (
        "user_id,item_id,action,timestamp\nu,garden/1,view,2026-10-01\n,garden/2,view,2026-10-02\nu,园艺,dance,soon\n"
    )
    page.goto(f"{console.url}/import?scenario={SHOP}")
    drop(page, ("few.csv", rows + "u,garden/3,view,2026-10-03\n"))
    page.get_by_role("button", name="Import", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Rejected rows as CSV").click()
    assert download.value.suggested_filename == "few.csv.rejects.csv"
    download.value.save_as(tmp_path / "rejects.csv")
    with (tmp_path / "rejects.csv").open(newline="", encoding="utf-8-sig") as file:
        first, second = csv.DictReader(file)
    assert first == {
        "line": "3",
        "reason": "user_id: is missing",
        "item_id": "garden/2",
        "action": "view",
        "timestamp": "2026-10-02",
        "user_id": "",
    }
    assert (second["line"], second["item_id"]) == ("4", "园艺")
    assert "timestamp: is neither ISO 8601" in second["reason"]


def test_two_files_become_a_scenario(console: Console, page: Page, stores: Stores) -> None:
    page.goto(f"{console.url}/import?scenario={SHOP}")
    drop(page, ("movies.csv", FILMS), ("ratings.csv", RATINGS))
    for name in ("movies.csv", "ratings.csv"):
        shown(page.get_by_role("row").filter(has_text=name).filter(has_text="to be looked at"))
    page.get_by_label("Name of the scenario").fill("films")
    page.get_by_role("button", name="Propose").click()
    shown(page.get_by_text("Create films?"))
    page.get_by_role("button", name="Create", exact=True).click()
    page.wait_for_url(re.compile("scenario=films"))
    assert "rate" in stores.scenarios.get(Scope(TENANT, "films")).actions
    page.get_by_role("row").filter(has_text="movies.csv").get_by_role("link").click()
    shown(page.get_by_role("cell", name="Film 0"))
    page.get_by_role("button", name="Import", exact=True).click()
    shown(page.get_by_text("The catalogue holds 50 active items now."))
    page.get_by_role("link", name="All files").click()
    page.get_by_role("button", name="Discard ratings.csv").click()
    page.get_by_role("button", name="Discard", exact=True).click()
    expect(page.get_by_role("row").filter(has_text="ratings.csv")).to_have_count(0, timeout=PATIENCE)


def test_no_file_comes_but_from_an_open_page(console: Console, settings: Settings) -> None:
    answer = httpx.post(f"{console.url}/import/file", content=b"x", headers={"X-Lemo-Name": "a.csv"}, trust_env=False)
    assert answer.status_code == 401
    assert "page" in answer.json()["message"]
    assert list(Path(settings.state, "uploads").rglob("a.csv")) == []
