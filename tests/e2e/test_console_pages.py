"""Every page of the console, full: the demo's experiment, and what axe finds."""

import re
from collections.abc import Iterator

import httpx
import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, Page, expect

from consoles import SHOP, Console, Visit, picture
from demo_worlds import TRIAL, TRUE_LIFTS, dataset_with_experiment, degraded_answers, take_in
from lemo.domain.scope import Scope
from lemo.experiments import guardrails
from lemo.jobs.report import unattended
from lemo.settings import Settings
from lemo.stores.connect import Stores
from managed_worlds import MODELS, manage
from sites import running_api

TENANT = "default"
PATIENCE = 30_000
HERE = f"scenario={TRIAL.scenario_id}"
PAGES = (
    "/",
    f"/analytics?{HERE}&days=28",
    f"/explore?scenario={SHOP}&user=用户 1",
    f"/item?scenario={SHOP}&item_id=kitchen/1",
    f"/scenario?scenario={SHOP}",
    f"/experiments?{HERE}&name={TRIAL.name}",
    f"/import?scenario={SHOP}",
)
MORE_PAGES = (
    f"/items?scenario={SHOP}",
    f"/users?scenario={SHOP}",
    f"/user?scenario={SHOP}&user_id=用户 1",
    f"/experiments?{HERE}&new=yes",
    f"/models?scenario={SHOP}&one={MODELS[-2]}&two={MODELS[-1]}",
    f"/jobs?scenario={SHOP}",
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
LOOKS = ((1400, "light"), (390, "dark"))


@pytest.mark.parametrize("pages", [PAGES, pytest.param(MORE_PAGES, marks=pytest.mark.long)], ids=["", "more pages"])
@pytest.mark.timeout(300)
def test_no_page_has_a_serious_barrier(
    console: Console, browser: Browser, stores: Stores, pages: tuple[str, ...]
) -> None:
    del stores  # the world must be there
    context = browser.new_context(locale="zh-CN", reduced_motion="reduce")
    page = context.new_page()
    barriers = {}
    for address in pages:
        page.set_viewport_size({"width": LOOKS[0][0], "height": 900})
        opened(page, console.url + address)
        page.evaluate(AXE_SCRIPT)
        for width, theme in LOOKS:
            page.set_viewport_size({"width": width, "height": 900})
            page.evaluate("theme => lemo.theme(theme)", theme)
            if found := page.evaluate(RUN_AXE):
                barriers[address, width, theme] = found
    context.close()
    assert barriers == {}
