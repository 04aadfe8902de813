"""Every page of the console, full: the demo's experiment, and what axe finds."""

import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import get_args
from zoneinfo import available_timezones

import httpx
import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, Page, expect

from consoles import SHOP, Console, Visit, picture
from demo_worlds import TRIAL, TRUE_LIFTS, dataset_with_experiment, degraded_answers, take_in
from lemo.console.imports.uploads import Upload, Uploads
from lemo.domain.account import AccountRole
from lemo.domain.event import Event
from lemo.domain.item import Item
from lemo.domain.pipeline import Pipeline
from lemo.domain.scenario import TEMPLATES
from lemo.domain.scope import Scope
from lemo.experiments import guardrails
from lemo.intake.file_import import FileImport
from lemo.intake.import_outcome import Outcome
from lemo.jobs.report import unattended
from lemo.recommenders.registry import source_names
from lemo.scheduling.service import ScheduleService
from lemo.settings import Settings
from lemo.stores.connect import Stores
from lemo.stores.documents.schedules import Setting
from managed_worlds import MODELS, manage
from sites import running_api

TENANT = "default"
PATIENCE = 30_000
HERE = f"scenario={TRIAL.scenario_id}"
PAGES = (
    "/",
    f"/analytics?{HERE}&days=28",
    f"/experiments?{HERE}&name={TRIAL.name}",
)
# In braces: what stands in this world only.
MORE_PAGES = (
    f"/explore?scenario={SHOP}&user=用户 1",
    f"/import?scenario={SHOP}",
    f"/item?scenario={SHOP}&item_id=kitchen/1",
    f"/scenario?scenario={SHOP}",
    f"/items?scenario={SHOP}",
    f"/users?scenario={SHOP}",
    f"/user?scenario={SHOP}&user_id=用户 1",
    f"/experiments?{HERE}&new=yes",
    f"/models?scenario={SHOP}&one={MODELS[-2]}&two={MODELS[-1]}",
    f"/jobs?scenario={SHOP}",
    "/jobs?run={run}",
    f"/import?scenario={SHOP}&file={{waiting}}",
    f"/import?scenario={SHOP}&file={{failed}}",
    f"/ingest?scenario={SHOP}",
    "/settings",
    "/audit",
    "/login",
    "/nowhere",
)


@pytest.fixture(scope="module")
def stores(environment: tuple[dict[str, str], str, str], settings: Settings) -> Iterator[Stores]:
    """The stores of a world with all that pages show."""
    stores = Stores(settings)
    manage(stores, settings, environment[1])
    scope = take_in(stores, environment[1], dataset_with_experiment())
    stores.served.insert(degraded_answers(scope, 200))
    yield stores
    stores.events.delete_scope(scope)
    stores.close()


def opened(page: Page, address: str) -> None:
    """Goes to a page and waits until every part of it has its answer."""
    page.goto(address)
    expect(page.locator("h1")).to_be_visible(timeout=PATIENCE)
    expect(page.locator("[aria-busy=true]")).to_have_count(0, timeout=PATIENCE)


def test_the_demos_experiment_is_found_and_its_worse_arm_stops_by_itself(
    console: Console, visit: Visit, stores: Stores, environment: tuple[dict[str, str], str, str]
) -> None:
    scope = Scope(TENANT, TRIAL.scenario_id)
    assert guardrails.check(stores, scope, unattended()).detail["stopped"] == f"{TRIAL.name}/varied"
    with (
        running_api(Stores(stores.settings)) as address,
        httpx.Client(
            base_url=address, headers={"Authorization": f"Bearer {environment[2]}"}, timeout=60, trust_env=False
        ) as api,
    ):
        path = f"/v1/scenarios/{TRIAL.scenario_id}"
        told = api.get(f"{path}/experiments/show", params={"name": TRIAL.name}).json()
        results = told["results"]
        arms = {arm["name"]: arm for arm in results["arms"]}
        for name, lift in TRUE_LIFTS.items():
            found = arms[name]["metrics"]["ctr"]
            assert found["lift_low"] < lift < found["lift_high"]
            assert not found["lift_low"] < 0 < found["lift_high"], "the effect is found"
        assert (arms["newer"]["decision"], results["crossed"], results["blocked"]) == ("better", 0, False)
        assert results["planned_units"] > 0
        assert arms["varied"]["stopped_why"].startswith("requests_clicked_share is ")
        # The API gives each user the arm that his lists of the last weeks are of.
        users = [f"{TRIAL.scenario_id}-user-{number:04d}" for number in range(1, 40)]
        for user, arm in zip(users, TRIAL.arms_of(users), strict=True):
            answer = api.post(f"{path}/recommendations", json={"user_id": user}).json()
            assert answer.get("arm") == (None if arm == "varied" else arm)

    page = visit.page
    opened(page, f"{console.url}/experiments?{HERE}")
    expect(page.get_by_role("row").filter(has_text=TRIAL.why)).to_contain_text("running")
    page.get_by_role("link", name=TRIAL.name).click()
    row = page.get_by_role("row").filter(has=page.get_by_text("better", exact=True))
    lift = arms["newer"]["metrics"]["ctr"]
    expect(row).to_contain_text(
        f"{100 * lift['lift_low']:+.1f} % to {100 * lift['lift_high']:+.1f} %", timeout=PATIENCE
    )
    stopped = page.get_by_role("row").filter(has=page.get_by_text("stopped", exact=True))
    expect(stopped.first).to_contain_text("varied")
    done = page.get_by_role("row").filter(has_text="an arm stopped")
    expect(done).to_contain_text("guardrail", timeout=PATIENCE)
    expect(page.get_by_role("img", name="Lift of each arm over time")).to_be_visible(timeout=PATIENCE)
    picture(page, "experiment-of-the-demo-1280")
    page.goto(console.url)
    expect(page.get_by_text(re.compile(f"% of the answers of .* are degraded · {scope.scenario_id}"))).to_be_visible(
        timeout=PATIENCE
    )


RUN_AXE = """async () => {
  const passing = document.getAnimations().filter(each => each.effect.getComputedTiming().endTime !== Infinity);
  await Promise.all(passing.map(each => each.finished.catch(() => {})));
  const found = await axe.run(document, {resultTypes: ["violations"]});
  return found.violations.filter(({impact}) => impact === "serious" || impact === "critical").flatMap(
    ({id, nodes}) => nodes.map(({html, failureSummary}) => `${id}: ${html.slice(0, 200)} ${failureSummary}`)
  );
}"""
ROWS = "user_id,sku,action,timestamp\nu,kitchen/1,view,2026-10-01\n,kitchen/2,view,2026-10-02\nu,,dance,soon\n"


@pytest.fixture(scope="module")
def ids(stores: Stores, settings: Settings) -> dict[str, str]:
    """A run that failed, a dropped file that waits, and one most of whose rows were rejected."""
    failed = stores.runs.list(TENANT, outcome="failed")[0]
    failed.note("attempt 1 on worker-1")
    failed.note(f"failed: {failed.error}")
    stores.runs.save(TENANT, failed)
    service = ScheduleService(stores, TENANT, f"{TENANT}, console")
    service.change("update-user-profiles-2hours", SHOP, Setting(paused=True))
    uploads, scope = Uploads(settings), Scope(TENANT, SHOP)

    def dropped(name: str, rows: str) -> Upload:
        receiving = uploads.begin(TENANT, "test", name, None)
        receiving.write(rows.encode())
        return receiving.whole(None)

    waiting, bad = dropped("waiting.csv", ROWS), dropped("bad.csv", ROWS + "u,kitchen/1,fly,1975-01-01\nshort\n")
    work = FileImport(stores, scope, stores.scenarios.get(scope), "events")
    reading = work.open(uploads.path(bad))
    assert [len(batch) for batch in reading.batches()] == [1]
    result = Outcome([reading], 0, 1.5, ["kitchen/99"], work.tally).as_json()
    result |= {"left": 0, "examples": ["kitchen/99"], "named": 1, "held": 900}
    uploads.finish(bad.model_copy(update={"kind": "events", "scenario_id": SHOP}), "failed", result=result)
    return {"run": failed.run_id, "waiting": waiting.id, "failed": bad.id}


LOOKS = ((1400, "light"), (390, "dark"))
READ_TEXTS = """() => {
  const found = new Set(), add = (text) => typeof text === "string" && found.add(text.trim());
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    // Icons are ligatures: their text is the name of a picture. What is set in type of equal width is code or an id.
    if (!walker.currentNode.parentElement.closest("script, style, .q-icon, .lemo-code, .font-mono"))
      add(walker.currentNode.textContent);
  }
  for (const name of ["title", "placeholder", "aria-label", "alt"])
    document.querySelectorAll(`[${name}]`).forEach(each => add(each.getAttribute(name)));
  // What is not drawn before somebody points at it or opens it: tooltips, dialogs, choices; and the words of charts.
  const app = document.querySelector("#app")._vnode.component.proxy;
  for (const {text, class: classes, props} of Object.values(app.elements)) {
    if (classes.includes("lemo-code") || classes.includes("font-mono")) continue;
    [text, props.label, props.hint, props.placeholder, props["aria-label"]].forEach(add);
    if (Array.isArray(props.options)) props.options.forEach(option => add(option.label));
    const {series = [], xAxis = [], yAxis = []} = props.options ?? {};
    [series].flat().filter(part => !part.silent).forEach(part => add(part.name));
    [xAxis, yAxis].flat().forEach(axis => [axis.name, ...(axis.data ?? [])].forEach(add));
  }
  return [...found];
}"""
CODES = {
    *Pipeline.model_fields,
    *Event.model_fields,
    *Item.model_fields,
    *TEMPLATES,
    *(action for actions in TEMPLATES.values() for action in actions),
    *source_names(),
    *get_args(AccountRole),
}
"""Words that people write in calls, files and settings."""
ALLOWED = {
    "an id, version, address, job or setting": r"`[^`]*`|https?://\S*|[0-9a-f]{8,}|[A-Z]+_[A-Z_]+|[a-z]+\d+[a-z\d]*"
    r"|[a-zA-Z\d_.@*-]*[a-z\d][_./:@=*-][\w./:@=*-]*",
    "a code in calls, files and commands": "|".join(sorted(CODES, key=len, reverse=True)),
    "a product's or a format's own name": r"Lemo|Redis|Valkey|Streams|ClickHouse|SQLite|Milvus( Lite)?|Kafka|Flink"
    r"|TF-IDF|OpenID Connect|English|CSV|JSON( lines)?|YAML|CEL|Parquet|Excel|API|HTTP|curl|ISO 8601|Unix",
    "a measure that has no Chinese name": r"NDCG(@10)?|CTR|ID|UTC|p\d\d|MRR|MAP(@10)?",
    "a unit": r"(?<=[\d ])(ms|s|kB|MB|GB)",
    "JSON": r"[{\[].*[}\]]",
}
"""What has no other name in Chinese, and why."""
WORD = re.compile("[A-Za-z]{2,}")


ZONES = available_timezones()


def names_of(stores: Stores) -> re.Pattern[str]:
    """What people have named in this world; the longest first, as a name may stand within another."""
    names = {TENANT, TRIAL.name, TRIAL.why, "bolder", "bold", "control", "Does more variety get more clicks?"}
    names |= {"fewer of one studio", "web shop", "waiting.csv", "bad.csv", "sku", "test", "teleport"}
    names |= {arm.draft.name for arm in TRIAL.arms} | {socket.gethostname()}
    for scenario in stores.scenarios.list(TENANT):
        names.add(scenario.scenario_id)
        for item in stores.items.scan(Scope(TENANT, scenario.scenario_id)):
            names |= {item.title, item.item_id, item.author, *item.categories, *item.tags, *item.attributes}
            names |= {value for value in item.attributes.values() if isinstance(value, str)}
    longest = sorted(filter(WORD.search, names), key=len, reverse=True)
    return re.compile(rf"(?<![A-Za-z])(?:{'|'.join(map(re.escape, longest))}|visitor \d+)(?![A-Za-z])")


def english_in(text: str, names: re.Pattern[str]) -> str:
    """The English of a text without names and what is allowed; empty where there is none."""
    if not WORD.search(text) or text in ZONES:
        return ""
    rest = names.sub("0", text)
    for pattern in ALLOWED.values():
        rest = re.sub(rf"(?<![A-Za-z])(?:{pattern})(?![A-Za-z])", " ", rest, flags=re.DOTALL)
    return text if WORD.search(rest) else ""


@dataclass(frozen=True)
class Walk:
    """What was found on each page, opened in Chinese."""

    barriers: dict[tuple[str, int, str], list[str]] = field(default_factory=dict)
    english: dict[str, list[str]] = field(default_factory=dict)


@pytest.fixture(
    scope="module", params=[PAGES, pytest.param(MORE_PAGES, marks=pytest.mark.long)], ids=["", "more pages"]
)
def walk(
    console: Console, browser: Browser, stores: Stores, ids: dict[str, str], request: pytest.FixtureRequest
) -> Walk:
    """All pages, wide and light, then narrow and dark."""
    found = Walk()
    names = names_of(stores)
    context = browser.new_context(locale="zh-CN", reduced_motion="reduce")
    page = context.new_page()
    for address in request.param:
        page.set_viewport_size({"width": LOOKS[0][0], "height": 900})
        opened(page, console.url + address.format(**ids))
        expect(page.get_by_text("正在读取文件…")).to_have_count(0, timeout=PATIENCE)
        english = sorted(filter(None, (english_in(text, names) for text in page.evaluate(READ_TEXTS))))
        if english:
            found.english[address] = english
        if "days=" in address:  # the trend ends today, which has only begun
            expect(page.get_by_text("未结束")).to_be_visible()
        picture(page, "zh" + re.sub(r"\W+", "-", address))
        page.evaluate(AXE_SCRIPT)
        for width, theme in LOOKS:
            page.set_viewport_size({"width": width, "height": 900})
            page.evaluate("theme => lemo.theme(theme)", theme)
            if barriers := page.evaluate(RUN_AXE):
                found.barriers[address, width, theme] = barriers
    context.close()
    return found


@pytest.mark.timeout(300)
def test_no_page_has_a_serious_barrier(walk: Walk) -> None:
    assert walk.barriers == {}


@pytest.mark.timeout(300)
def test_no_english_is_left_on_chinese_pages(walk: Walk) -> None:
    found = [f"{address}: {text}" for address, texts in walk.english.items() for text in texts]
    assert not found, "\n".join(found)
