"""The console's pages that manage an installation, in a real browser: one console, one world, each main action."""

import re
import shlex
import time
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

from consoles import SHOP, Console, Visit, picture
from lemo.domain.scope import Scope
from lemo.settings import Settings
from lemo.stores.connect import Stores
from lemo.stores.documents.models import KIND
from managed_worlds import MODELS, manage
from sites import running_api, wait_for

TENANT = "default"
DAILY = "train-model-daily"
PATIENCE = 20_000
PAGES = (
    f"/scenario?scenario={SHOP}",
    f"/models?scenario={SHOP}",
    f"/experiments?scenario={SHOP}&name=bolder",
    "/jobs",
    "/ingest",
    "/settings",
)


@pytest.fixture(scope="module")
def stores(environment: tuple[dict[str, str], str, str], settings: Settings) -> Iterator[Stores]:
    """The stores of the world that all tests of this module share."""
    stores = Stores(settings)
    manage(stores, settings, environment[1])
    yield stores
    stores.close()


@pytest.fixture(scope="module")
def api(stores: Stores, environment: tuple[dict[str, str], str, str]) -> Iterator[httpx.Client]:
    """The API of the same installation, asked with the tenant's key."""
    headers = {"Authorization": f"Bearer {environment[2]}"}
    with (
        running_api(Stores(stores.settings)) as address,
        httpx.Client(base_url=address, headers=headers, timeout=60) as http,
    ):
        yield http


@pytest.fixture
def page(visit: Visit, stores: Stores) -> Page:
    """A page whose visitor has a clipboard."""
    del stores  # the world must be there
    visit.page.set_default_timeout(PATIENCE)
    visit.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    return visit.page


def button(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


def shown(locator: Locator) -> None:
    expect(locator).to_be_visible(timeout=PATIENCE)


def asked(page: Page, name: str, question: str) -> None:
    """Presses a button until its question stands there: a list that is drawn anew meanwhile has new buttons."""
    deadline = time.monotonic() + PATIENCE / 1000
    while not page.get_by_text(question).is_visible():
        assert time.monotonic() < deadline, question
        button(page, name).click()
        with suppress(AssertionError):
            expect(page.get_by_text(question)).to_be_visible(timeout=2_000)


def test_a_pipeline_is_checked_tried_put_in_service_and_rolled_back(
    console: Console, page: Page, stores: Stores, api: httpx.Client
) -> None:
    scope = Scope(TENANT, SHOP)
    page.goto(f"{console.url}/scenario?scenario={SHOP}")
    text = page.get_by_label("Pipeline as YAML")
    expect(text).to_have_value(re.compile("most: 4"), timeout=PATIENCE)
    text.fill("diversity:\n  strength: 0.5\n  by: [categries]\n")
    shown(page.get_by_text("Line 3: diversity.by.0: no item has the attribute 'categries'."))
    shown(page.get_by_text("Did you mean categories?"))
    expect(button(page, "Put in service …")).to_be_disabled()
    button(page, "Go to line 3").click()
    selected = "() => { const e = document.activeElement; return e.value.slice(e.selectionStart, e.selectionEnd); }"
    assert page.evaluate(selected) == "  by: [categries]"
    picture(page, "scenario-fault-1280")

    text.fill("pin:\n  - {item_id: garden/7, position: 1}\n")
    shown(page.get_by_text("Valid, not in service yet"))
    page.get_by_label("Try it for user").fill("用户 1")
    button(page, "Before and after").click()
    places = page.get_by_role("table").filter(has_text="Moved").get_by_role("row")
    told = api.post(
        f"/v1/scenarios/{SHOP}/pipeline/check",
        json={"pipeline": {"pin": [{"item_id": "garden/7", "position": 1}]}, "user_id": "用户 1"},
    ).json()
    expect(places).to_have_count(1 + len(told["after"]["items"]), timeout=PATIENCE)
    titles = {item.item_id: item.title for item in stores.items.scan(scope)}
    for row, before, after in zip(places.all()[1:], told["before"]["items"], told["after"]["items"], strict=False):
        cells = row.get_by_role("cell").all_inner_texts()
        assert cells[1:3] == [titles[before["item_id"]], titles[after["item_id"]]]
    picture(page, "scenario-trial-1280")

    button(page, "Put in service …").click()
    page.get_by_label("Why", exact=True).fill("shears first")
    button(page, "Put in service").click()
    expect(page.get_by_role("row").filter(has_text="shears first")).to_contain_text("serves", timeout=PATIENCE)
    version = stores.pipelines.current(scope)
    assert (version.version, version.changed_by, version.why) == (3, f"{TENANT}, console", "shears first")
    assert api.get(f"/v1/scenarios/{SHOP}/pipeline").json()["pipeline"]["pin"][0]["item_id"] == "garden/7"

    button(page, "Back to version 1").click()
    button(page, "Roll back").click()
    shown(page.get_by_role("row").filter(has_text="back to version 1"))
    assert stores.pipelines.current(scope).pipeline == stores.pipelines.get(scope, 1).pipeline
    expect(text).to_have_value(re.compile("most: 4"))


def test_actions_and_settings_are_changed(console: Console, page: Page, stores: Stores, api: httpx.Client) -> None:
    page.goto(f"{console.url}/scenario?scenario=news")
    button(page, "Edit read").click()
    page.get_by_label("Weight").fill("2.5")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(page.get_by_role("row").filter(has_text="read").first).to_contain_text("2.5", timeout=PATIENCE)
    button(page, "Add an action").click()
    page.get_by_label("Name of the action").fill("rated")
    page.get_by_text("A rating on this scale:").click()
    page.get_by_label("Counts from value").fill("4")
    picture(page, "scenario-action-1280")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(page.get_by_role("row").filter(has_text="rated")).to_contain_text(
        "rating 1–5, counts from 4", timeout=PATIENCE
    )
    expect(page.get_by_role("dialog")).to_have_count(0, timeout=PATIENCE)  # it has a button of that name, too
    page.get_by_label("Active days").fill("90")
    button(page, "Save").click()
    shown(page.get_by_text("active_days holds from the next"))
    scenario = api.get("/v1/scenarios/news").json()
    assert scenario["actions"]["read"]["weight"] == 2.5
    assert (scenario["actions"]["rated"]["scale"], scenario["actions"]["rated"]["min_value"]) == ([1, 5], 4)
    assert scenario["active_days"] == 90
    lines = [line for line in stores.audit.list(TENANT, 50) if line.action == "scenario.edit"]
    assert [line.by for line in lines] == [f"{TENANT}, console"] * 3


def test_the_schedule_is_told_in_words_and_what_concerns_several_scenarios_is_asked(
    console: Console, page: Page, stores: Stores
) -> None:
    page.goto(f"{console.url}/schedule")
    row = page.get_by_role("row").filter(has_text=DAILY)
    expect(row).to_contain_text("daily at 03:00", timeout=PATIENCE)
    assert page.url.endswith("/jobs")
    button(page, f"Edit: {DAILY}").click()
    page.get_by_label("Crontab").fill("99 2 * * *")
    shown(page.get_by_text("is no crontab"))
    expect(button(page, "Save")).to_be_disabled()
    page.get_by_label("Crontab").fill("30 2 * * mon-fri")
    shown(page.get_by_text("Monday to Friday at 02:30"))
    zone = page.get_by_label("Time zone")
    zone.fill("Shangh")
    page.get_by_role("option", name="Asia/Shanghai").click()
    shown(page.get_by_text("02:30 +0800").first)
    picture(page, "jobs-edit-1280")
    button(page, "Save").click()
    expect(row).to_contain_text("Monday to Friday at 02:30", timeout=PATIENCE)
    expect(row).to_contain_text("Asia/Shanghai")
    change = page.get_by_role("row").filter(has_text=f"{TENANT}, console")
    expect(change.first).to_contain_text("30 2 * * mon-fri Asia/Shanghai", timeout=PATIENCE)

    button(page, f"Run now: {DAILY}").click()
    shown(page.get_by_text("Run “Train and evaluate the model” for 2 scenarios?"))
    button(page, "Cancel").click()
    button(page, f"Pause: {DAILY}").click()
    shown(page.get_by_text("Pause “Train and evaluate the model” for 2 scenarios?"))
    assert not stores.schedules.of(DAILY).paused
    assert stores.runs.list(TENANT, DAILY, outcome="queued") == []
    button(page, "Pause").click()
    expect(row).to_contain_text("paused", timeout=PATIENCE)
    assert stores.schedules.of(DAILY).paused
    button(page, f"Run now: {DAILY}").click()
    button(page, "Run now").click()
    shown(page.get_by_text("Queued for 2 scenarios"))
    assert {run.scenario_id for run in stores.runs.list(TENANT, DAILY, outcome="queued")} == {SHOP, "news"}


def test_a_run_shows_its_log_and_runs_on_arrival_are_one_row(console: Console, page: Page, api: httpx.Client) -> None:
    page.goto(f"{console.url}/jobs?scenario={SHOP}&entry={DAILY}")
    shown(page.get_by_role("img", name="Durations in seconds"))
    runs = api.get("/v1/runs", params={"entry": DAILY, "scenario": SHOP, "outcome": "ok"}).json()["runs"]
    took = [f"{run['took_seconds']:.1f} s" for run in runs]
    ended = page.get_by_text("ok", exact=True)
    listed = page.get_by_role("table").filter(has_text="Queued").get_by_role("row").filter(has=ended)
    expect(listed).to_have_count(len(runs), timeout=PATIENCE)
    assert [row.get_by_role("cell").nth(4).inner_text() for row in listed.all()] == took
    picture(page, "jobs-durations-1280")
    listed.filter(has_text="64.0 s").get_by_role("link").click()
    shown(page.get_by_text("done: 10,000 rows read"))
    shown(page.get_by_text(next(run["run_id"] for run in runs if run["took_seconds"] == 64)))
    picture(page, "jobs-run-1280")
    unknown = httpx.get(f"{console.url}/jobs", params={"entry": "train-model"}, trust_env=False).text
    assert f"Did you mean {DAILY}?" in unknown
    page.goto(f"{console.url}/jobs")
    shown(page.get_by_text("× 4"))
    shown(page.get_by_text("comparing items 30/40"))


def test_models_are_compared_trained_promoted_and_rolled_back(
    console: Console, page: Page, stores: Stores, api: httpx.Client
) -> None:
    scope = Scope(TENANT, SHOP)
    old, new = MODELS[-2:]
    page.goto(f"{console.url}/models?scenario={SHOP}&one={old}&two={new}")
    shown(page.get_by_role("img", name="NDCG@10 of the models over time"))
    told = {each["version"]: each for each in api.get(f"/v1/scenarios/{SHOP}/models").json()["models"]}
    compared = page.get_by_role("row").filter(has_text="ndcg at 10").first
    for version in (old, new):
        low, high = told[version]["ndcg_interval"]
        expect(compared).to_contain_text(f"{told[version]['ndcg_at_10']:.4f}", timeout=PATIENCE)
        expect(compared).to_contain_text(f"{low:.4f}–{high:.4f}")
    expect(compared).to_contain_text(f"{told[new]['ndcg_at_10'] - told[old]['ndcg_at_10']:+.4f}")
    shown(page.get_by_text("shares[0]"))
    picture(page, "models-1280")
    for run in stores.runs.list(TENANT, DAILY, SHOP, "queued"):
        run.outcome = "skipped"
        stores.runs.save(TENANT, run)
    button(page, "Train now").click()
    shown(page.get_by_text("Training is queued"))
    assert [run.trigger for run in stores.runs.list(TENANT, DAILY, SHOP, "queued")] == ["manual"]

    for version in (old, new):
        asked(page, f"Promote {version}", f"Put {version} in service?")
        button(page, "Do it").click()
        shown(page.get_by_text(f"{version} serves now"))
        assert stores.snapshots.current(scope, KIND) == version
        # Then the list is drawn anew, and a button of the old one does nothing.
        champion = page.get_by_role("row").filter(has=page.get_by_text("champion", exact=True)).filter(has_text=version)
        expect(champion).to_have_count(1, timeout=PATIENCE)
    asked(page, "Roll back", f"Roll back to {old}?")
    button(page, "Do it").click()
    # Not by the words, which the first promotion has shown already.
    expect(page.get_by_role("row").filter(has_text="rollback")).to_contain_text(f"{TENANT}, console", timeout=PATIENCE)
    assert stores.snapshots.current(scope, KIND) == old


def test_ingest_shows_lag_dead_letters_and_live_events(
    console: Console, page: Page, stores: Stores, api: httpx.Client
) -> None:
    page.goto(f"{console.url}/ingest?scenario={SHOP}")
    topic = stores.settings.kafka_event_topic
    waiting = stores.log.lag([topic], stores.settings.kafka_group)[topic]
    row = page.get_by_role("row").filter(has_text=topic)
    expect(row.first).to_contain_text(f"{waiting:,}", timeout=PATIENCE)
    expect(row.first).to_contain_text("behind")
    arrived = f"{sum(stores.events.arrivals(Scope(TENANT, SHOP), 60)):,}"
    shown(page.get_by_text(arrived, exact=True).first)

    # A new event comes by itself, and what is copied is a request that sends it again.
    event = {"user_id": "live", "item_id": "garden/1", "action": "order", "value": 12.5, "timestamp": 1_790_000_000_000}
    assert api.post(f"/v1/scenarios/{SHOP}/events", json={"events": [event]}).json()["accepted"] == 1
    live = page.get_by_role("row").filter(has_text="live").filter(has_text="order")
    shown(live)
    shown(page.get_by_role("row").filter(has_text="is neither ISO 8601"))
    picture(page, "ingest-1280")
    live.get_by_role("button").click()
    shown(page.get_by_text("Copied. Set LEMO_KEY"))
    words = shlex.split(page.evaluate("navigator.clipboard.readText()"))
    assert "Authorization: Bearer $LEMO_KEY" in words
    path = urlsplit(words[words.index("POST") + 1]).path
    sent = api.post(path, content=words[-1], headers={"Content-Type": "application/json"})
    assert sent.json()["accepted"] == 1

    letters = api.get("/v1/dead-letters", params={"scenario": SHOP}).json()
    assert letters["waiting"] == 2
    first = letters["dead_letters"][0]
    button(page, f"Look at {first['id']}").click()
    shown(page.get_by_text('"teleport"'))
    button(page, "Close").click()
    button(page, f"Replay {first['id']}").click()
    shown(page.get_by_text("Replayed: 1"))
    button(page, "Replay all").click()
    shown(page.get_by_text("Replay 1 messages?"))
    button(page, "Replay").click()
    shown(page.get_by_text("None waits."))
    assert api.get("/v1/dead-letters").json()["waiting"] == 0


def test_keys_and_tenants(console: Console, page: Page, stores: Stores, api: httpx.Client) -> None:
    def new_key() -> str:
        shown(page.get_by_text("Copy this key now"))
        key = page.get_by_text(re.compile("^lemo_")).inner_text()
        button(page, "I have it").click()
        return key

    def status(key: str) -> int:
        return api.get(f"/v1/scenarios/{SHOP}/popular", headers={"Authorization": f"Bearer {key}"}).status_code

    page.goto(f"{console.url}/settings")
    button(page, "Create a key").click()
    page.get_by_label("What it is for").fill("phone app")
    picture(page, "settings-key-1280")
    button(page, "Create").click()
    made = new_key()
    assert status(made) == 200
    row = page.get_by_role("row").filter(has_text="phone app")
    expect(row).to_have_count(1, timeout=PATIENCE)
    assert made not in page.content()

    button(page, "Rotate: phone app").click()
    page.get_by_text("no time", exact=True).click()
    button(page, "Rotate").click()
    rotated = new_key()
    assert status(rotated) == 200
    expect(row.filter(has_text="expired")).to_have_count(1, timeout=PATIENCE)
    wait_for(lambda: status(made) == 401)
    button(page, "Revoke: phone app").last.click()
    shown(page.get_by_text("Revoke phone app?"))
    button(page, "Revoke").click()
    expect(row).to_have_count(1, timeout=PATIENCE)
    wait_for(lambda: status(rotated) == 401)

    page.get_by_label("A new tenant").fill("second")
    button(page, "Create with an admin key").click()
    assert stores.api_keys.find(new_key()).tenant_id == "second"  # type: ignore[union-attr]
    shown(page.get_by_role("row").filter(has_text="second"))
    picture(page, "settings-1280")
    actions = [line.action for line in stores.audit.list(TENANT, 20)]
    assert {"key.create", "key.rotate", "key.revoke", "tenant.create"} <= set(actions)


def test_an_experiment_shows_its_true_effect_and_is_made_started_and_shipped(
    console: Console, page: Page, stores: Stores, api: httpx.Client
) -> None:
    scope = Scope(TENANT, SHOP)
    page.goto(f"{console.url}/experiments?scenario={SHOP}")
    page.get_by_role("link", name="bolder").click()
    row = page.get_by_role("row").filter(has_text="better")
    expect(row).to_contain_text("bold", timeout=60_000)
    cells = row.get_by_role("cell").all_inner_texts()
    told = api.get(f"/v1/scenarios/{SHOP}/experiments/show", params={"name": "bolder"}).json()["results"]
    arm = next(each for each in told["arms"] if each["name"] == "bold")
    metric = arm["metrics"][told["metric"]]
    assert cells[1:4] == [f"{arm['units']:,}", f"{metric['value']:.4g}", f"{100 * metric['lift']:+.1f} %"]
    low, high = (float(text.removesuffix(" %")) for text in cells[4].split(" to "))
    assert low < 100 < high, "twice as many clicks are a lift of 100 %"
    expect(page.get_by_text("holds", exact=True)).to_have_count(2)
    expect(page.get_by_role("img", name="Lift of each arm over time")).to_be_visible(timeout=60_000)
    picture(page, "experiment-1280")

    button(page, "New experiment").click()
    page.get_by_label("Name").fill("newer")
    yaml = page.get_by_label("Pipeline as YAML")
    yaml.fill("freshnes: {weight: 1}")
    button(page, "Create as a draft").click()
    expect(page.get_by_text("Line 1: freshnes")).to_be_visible(timeout=PATIENCE)
    yaml.fill("freshness: {weight: 1}")
    picture(page, "experiment-new-1280")
    button(page, "Create as a draft").click()
    page.wait_for_url("**name=newer")
    assert stores.experiments.get(scope, "newer").state == "draft"
    page.goto(f"{console.url}/experiments?scenario={SHOP}&name=bolder")
    button(page, "Ship bold").click()
    button(page, "Ship").click()
    expect(button(page, "Take back")).to_be_visible(timeout=PATIENCE)
    assert stores.experiments.get(scope, "bolder").shipped_arm == "bold"
    assert stores.pipelines.current(scope).pipeline.diversity.strength == 0.6  # type: ignore[union-attr]
    page.goto(f"{console.url}/experiments?scenario={SHOP}&name=newer")
    button(page, "Start").click()
    page.get_by_role("dialog").get_by_role("button", name="Start").click()
    expect(button(page, "Stop")).to_be_visible(timeout=PATIENCE)
    button(page, "Stop").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop").click()
    expect(page.get_by_role("row").filter(has_text="stopped").first).to_contain_text(
        f"{TENANT}, console", timeout=PATIENCE
    )
    assert stores.experiments.get(scope, "newer").state == "stopped"
    mixed = {"name": "mixed", "kind": "interleaving", "group": "mixed", "arms": [{"name": "a"}, {"name": "b"}]}
    for sent in (
        api.post(f"/v1/scenarios/{SHOP}/experiments", json=mixed),
        api.patch(f"/v1/scenarios/{SHOP}/experiments", json={"name": "mixed", "state": "running"}),
    ):
        assert sent.is_success, sent.text
    page.goto(f"{console.url}/experiments?scenario={SHOP}&name=mixed")
    row = page.get_by_role("row").filter(has_text="too early")
    expect(row).to_contain_text("0 so far", timeout=60_000)
    expect(page.get_by_text("decided by preference (interleaving)")).to_be_visible()
    picture(page, "experiment-mixed-1280")


def test_every_page_holds_on_a_phone_in_chinese_and_in_the_dark(console: Console, visit: Visit, stores: Stores) -> None:
    browser = visit.page.context.browser
    assert browser is not None
    visit.page.goto(f"{console.url}/jobs")
    context = browser.new_context(
        viewport={"width": 390, "height": 800}, locale="zh-CN", color_scheme="dark", has_touch=True
    )
    phone = context.new_page()
    words = {
        "/scenario": "推荐流程",
        "/models": "质量变化",
        "/experiments": "bolder",
        "/jobs": "定时任务",
        "/ingest": "消费延迟",
        "/settings": "密钥",
    }
    for address in PAGES:
        path = address.partition("?")[0]
        phone.goto(console.url + address)
        shown(phone.get_by_role("heading", name=words[path], exact=True))
        expect(phone.locator(".lemo-skeleton")).to_have_count(0, timeout=PATIENCE)
        assert phone.evaluate("document.documentElement.scrollWidth") <= 390, path
        assert phone.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(17, 18, 16)"
        picture(phone, f"{path[1:]}-390-dark-zh")
    context.close()


def test_a_viewer_sees_all_and_may_change_nothing(console: Console, page: Page, stores: Stores) -> None:
    password = "correct horse battery"
    stores.accounts.create(TENANT, "victor", "viewer", password, "me")
    page.goto(console.url)
    page.get_by_label("Account", exact=True).fill("victor")
    page.get_by_label("Password").fill(password)
    button(page, "Log in").click()
    shown(page.get_by_role("link", name="Jobs", exact=True))
    allowed = re.compile(
        "^(Expand|Menu|Language|Appearance|You: victor|Load version|Go to|Before and after|Look at|Copy|Compare$)"
    )
    for address in PAGES[:-1]:
        page.goto(console.url + address)
        expect(page.locator(".lemo-skeleton")).to_have_count(0, timeout=PATIENCE)
        shown(page.get_by_role("table").first)
        names = [
            each.get_attribute("aria-label") or each.inner_text().strip() for each in page.get_by_role("button").all()
        ]
        assert [name for name in names if not allowed.match(name.split("\n")[-1])] == [], address
    page.goto(f"{console.url}/settings")
    shown(page.get_by_text("it takes the role admin"))
