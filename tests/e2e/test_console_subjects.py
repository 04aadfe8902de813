"""Explorer, items and users in a real browser: what they show is what the API says, and what they do is done."""

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from consoles import SHOP, Console, Visit, picture
from consumers import Running
from lemo.domain.scope import Scope
from lemo.settings import Settings
from lemo.stores.audit_log import audit_lines
from lemo.stores.connect import Stores
from sites import model_of, running_api

USER, ODD = "用户 40", "用户 7"
PATIENCE = 30_000


class World:
    """The console's world: its stores, a consumer at work, and its API."""

    def __init__(self, stores: Stores, tenant_id: str, http: httpx.Client) -> None:
        self.stores, self.scope, self._http = stores, Scope(tenant_id, SHOP), http

    def get(self, what: str, **query: Any) -> dict[str, Any]:
        """What the API answers."""
        answer = self._http.get(f"/v1/scenarios/{SHOP}/{what}", params=query)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def ask(self, **body: Any) -> list[str]:
        """The ids that the API answers to wishes."""
        answer = self._http.post(f"/v1/scenarios/{SHOP}/recommendations", json=body)
        assert answer.status_code == 200, answer.text
        return [each["item_id"] for each in answer.json()["items"]]

    def receipt(self, receipt_id: str, user_id: str) -> dict[str, Any]:
        """A receipt, after all stores were searched again."""
        found = self._http.get("/v1/users/erasures", params={"receipt_id": receipt_id, "user_id": user_id})
        assert found.status_code == 200, found.text
        return dict(found.json())

    def changes(self) -> list[tuple[str, str]]:
        """What the audit log says of the console, newest first."""
        lines = audit_lines(self.stores, self.scope.tenant_id, 100)
        return [(line.action, line.subject) for line in lines if "console" in line.by]


@pytest.fixture(scope="module", autouse=True)
def patience() -> Iterator[None]:
    """How long a page may take on a busy machine; what is there is seen at once."""
    expect.set_options(timeout=PATIENCE)
    yield
    expect.set_options(timeout=5_000)


@pytest.fixture(scope="module")
def world(environment: tuple[dict[str, str], str, str]) -> Iterator[World]:
    settings, tenant_id, key = environment
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        own = Settings()
    stores = Stores(own)
    headers = {"Authorization": f"Bearer {key}"}
    with (
        Running(own),
        running_api(stores) as address,
        httpx.Client(base_url=address, headers=headers, timeout=60) as http,
    ):
        yield World(stores, tenant_id, http)


def listed(part: Page | Locator, mark: str = "") -> list[str]:
    """The ids of a list of answered items."""
    rows = part.locator(f"[data-list={mark}]" if mark else "[data-item]")
    expect(rows.first).to_be_visible()
    return [str(row.get_attribute("data-item")) for row in rows.all()]


def test_the_explorer_answers_as_the_api_and_follows_what_the_user_does(
    console: Console, visit: Visit, world: World
) -> None:
    page = visit.page
    page.goto(f"{console.url}/explore?scenario={SHOP}")
    page.get_by_label("User").fill(USER)
    page.get_by_role("button", name=USER, exact=True).click()
    before = listed(page)
    assert before == [each["item_id"] for each in world.get("recommendations", user_id=USER)["items"]]
    # An even user loves the kitchen: the model has found that out, and so has the profile.
    assert before[0].startswith("kitchen/")
    for taste in world.get("users", user_id=USER)["profile"]["categories"]:
        expect(page.get_by_text(taste["label"], exact=True).first).to_be_visible()
    # Why an item is answered, and why another one is not; by keyboard.
    page.locator(f"[data-item='{before[0]}']").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("It is answered at place 1.")).to_be_visible()
    similar = [each["item_id"] for each in world.get("similar", item_id=before[0])["items"]]
    expect(page.locator("[data-similar]")).to_have_count(len(similar))
    assert [row.get_attribute("data-similar") for row in page.locator("[data-similar]").all()] == similar
    page.get_by_label("Search an item").fill("KETTLE 1")
    page.get_by_role("button").filter(has_text="kitchen/12").click()
    expect(page.get_by_text("It is not answered: the user has seen or disliked it.")).to_be_visible()
    # What the user does moves the list.
    page.locator(f"[data-item='{before[0]}']").click()
    expect(page.get_by_text("It is answered at place 1.")).to_be_visible()
    page.get_by_role("button", name="order", exact=True).click()
    expect(page.get_by_text(re.compile(r"^\d+ new, \d+ moved\.$"))).to_be_visible()
    after = listed(page)
    assert before[0] not in after
    assert after == [each["item_id"] for each in world.get("recommendations", user_id=USER)["items"]]
    expect(page.get_by_text("It is not answered: the user has seen or disliked it.")).to_be_visible()
    newest = world.get("users", user_id=USER)["history"][0]
    assert (newest["item_id"], newest["action"]) == (before[0], "order")
    assert world.changes()[0] == ("event.send", before[0])
    picture(page, "explore-acted-1400")


def test_what_is_tried_stands_beside_what_is_answered_and_in_the_address(
    console: Console, visit: Visit, world: World
) -> None:
    page = visit.page
    page.goto(f"{console.url}/explore")
    page.get_by_label("User").fill(ODD)
    page.keyboard.press("Enter")
    now = listed(page)
    page.get_by_role("button", name="Try changes").click()
    page.get_by_label("Filter (CEL)").fill('"garden" in item.categories')
    page.get_by_role("button", name="Add").click()
    page.get_by_label("Items that match").fill('item.title.contains("7")')
    page.get_by_label("Weight").fill("3")
    page.get_by_role("button", name="Compare").click()
    wishes: dict[str, Any] = {
        "filter": '"garden" in item.categories',
        "boost": [{"filter": 'item.title.contains("7")', "weight": 3}],
    }
    expect(page.locator("[data-list=tried]").first).to_be_visible()
    assert listed(page, "base") == now
    tried = world.ask(user_id=ODD, **wishes)
    assert listed(page, "tried") == tried != now
    # Whoever is sent the address sees the same.
    shared = visit.page.url
    page.goto("about:blank")
    page.goto(shared)
    assert listed(page, "tried") == tried
    picture(page, "explore-tried-1400")
    page.get_by_label("Filter (CEL)").fill("item.prise < 3")
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_text("item.prise").first).to_be_visible()
    assert listed(page, "base") == now
    # Another model answers beside the one in service.
    arrays, manifest = model_of([f"garden/{number}" for number in range(20)], favourite=5).to_arrays()
    world.stores.snapshots.publish(world.scope, "model", "20261101T130000", arrays, manifest)
    page.goto(f"{console.url}/explore?user=nobody&model=20261101T130000&n=5")
    assert listed(page, "tried")[0] == "garden/5"
    assert len(listed(page, "base")) == 5


def test_items_are_found_edited_switched_off_and_deleted(console: Console, visit: Visit, world: World) -> None:
    page = visit.page
    page.goto(f"{console.url}/items")
    expect(page.get_by_text(re.compile(rf"^{world.get('items/list')['total']}$"))).to_be_visible()
    page.get_by_label("Search title or id").fill("SHEARS 1")
    found = world.get("items/list", search="SHEARS 1")
    expect(page.get_by_text("items match")).to_be_visible()
    links = page.get_by_role("row").get_by_role("link")
    expect(links).to_have_count(found["total"])
    for link, item in zip(links.all(), found["items"], strict=True):
        expect(link).to_contain_text(item["title"])
    page.get_by_label("Filter (CEL)").fill('item.title.endsWith("12")')
    page.keyboard.press("Enter")
    expect(links).to_have_count(1)
    links.first.click()
    expect(page.get_by_role("heading", name="Garden shears 12")).to_be_visible()
    popular = [each["item_id"] for each in world.get("popular", n=200)["items"]]
    expect(page.get_by_text(f"#{popular.index('garden/12') + 1}", exact=True)).to_be_visible()

    page.get_by_role("button", name="Edit").click()
    page.get_by_label("Title · text").fill("Golden shears")
    page.get_by_label("New attribute").fill("price")
    page.get_by_role("combobox", name="Type").click()
    page.get_by_role("option", name="number").click()
    page.get_by_label("Value").fill("dear")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert").filter(has_text="price")).to_be_visible()
    page.get_by_label("Value").fill("12.5")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="Golden shears")).to_be_visible()
    stored = world.get("items", item_id="garden/12")
    assert (stored["title"], stored["attributes"]) == ("Golden shears", {"price": 12.5})
    expect(page.get_by_text("12.5", exact=True)).to_be_visible()

    page.get_by_role("button", name="Switch off").click()
    expect(page.get_by_role("button", name="Switch on")).to_be_visible()
    assert world.get("items", item_id="garden/12")["is_active"] is False
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert world.get("items", item_id="garden/12")["deleted"] is False
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("There is no item")).to_be_visible()
    assert world.get("items/list", search="shears 12")["total"] == 0
    assert [action for action, subject in world.changes() if subject == "garden/12"] == [
        "item.delete",
        "item.change",
        "item.change",
    ]


def test_a_user_is_found_merged_and_erased_with_a_receipt(console: Console, visit: Visit, world: World) -> None:
    page = visit.page
    page.goto(f"{console.url}/users")
    page.get_by_label("User id, or a part of it").fill("户 1")
    expect(page.get_by_role("link", name="用户 13")).to_be_visible()
    page.get_by_label("User id, or a part of it").fill("用户 13")
    page.keyboard.press("Enter")
    answered = [each["item_id"] for each in world.get("recommendations", user_id="用户 13")["items"]]
    assert listed(page) == answered
    history = world.get("users", user_id="用户 13")["history"]
    expect(page.locator("[data-interaction]")).to_have_count(len(history))
    picture(page, "user-1400")

    page.get_by_role("button", name="Merge").click()
    page.get_by_label("Id of the other user").fill("用户 15")
    page.get_by_role("dialog").get_by_role("button", name="Merge").click()
    expect(page.get_by_text(f"{len(history)} events are 用户 15's now.")).to_be_visible(timeout=2 * PATIENCE)
    page.get_by_role("link", name="Open that user").click()
    page.get_by_role("button", name="Erase").click()
    erase = page.get_by_role("dialog").get_by_role("button", name="Erase")
    expect(erase).to_be_disabled()
    page.get_by_label("Type 用户 15 to confirm").fill("用户 1")
    expect(erase).to_be_disabled()
    page.get_by_label("Type 用户 15 to confirm").fill("用户 15")
    erase.click()
    expect(page.get_by_text("nothing found afterwards")).to_be_visible(timeout=2 * PATIENCE)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as JSON").click()
    receipt = json.loads(download.value.path().read_text(encoding="utf-8"))
    checked = world.receipt(receipt["receipt_id"], "用户 15")
    assert checked["clean"]
    assert {part["store"]: part["removed"] for part in checked["stores"]} == {
        part["store"]: part["removed"] for part in receipt["stores"]
    }
    assert [action for action, _ in world.changes()[:2]] == ["user.erase", "user.merge"]
    assert "用户 15" not in json.dumps(world.changes(), ensure_ascii=False)


def test_a_viewer_may_look_at_all_of_it_and_change_nothing_on_a_phone_in_the_dark_in_chinese(
    console: Console, browser: Browser, world: World
) -> None:
    world.stores.accounts.create(world.scope.tenant_id, "looker", "viewer", "correct horse battery", "test")
    context = browser.new_context(viewport={"width": 390, "height": 844}, locale="zh-CN", color_scheme="dark")
    page = context.new_page()
    try:
        page.goto(f"{console.url}/login")
        page.get_by_label("账号", exact=True).fill("looker")
        page.get_by_label("密码").fill("correct horse battery")
        page.get_by_role("button", name="登录").click()
        expect(page).not_to_have_url(re.compile("login"))
        for name, address, shown in (
            ("explore", f"/explore?user={USER}&item=garden/3&diversity=0.5", "未进入结果"),
            ("items", "/items", "个物品"),
            ("item", "/item?item_id=kitchen/4", "属性"),
            ("users", "/users", "最近活跃"),
            ("user", f"/user?user_id={USER}", "历史行为"),
        ):
            page.goto(console.url + address)
            expect(page.get_by_text(shown).first).to_be_visible()
            for change in ("编辑", "下架", "删除", "合并", "order", "重新检索"):
                expect(page.get_by_role("button", name=change, exact=True)).to_have_count(0)
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, name
            picture(page, f"{name}-390-dark-zh")
    finally:
        context.close()
        world.stores.accounts.delete(world.scope.tenant_id, "looker", "test")
