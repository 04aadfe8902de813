"""The console's schedule page in a real browser: what an operator, and what another tenant, may do there."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import expect

from consoles import SHOP, Console, Visit, alive, narrow, picture, start, until
from lemo.domain.scenario import scenario_from_template
from lemo.settings import Settings
from lemo.stores.connect import Stores

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
    process, url = start({**settings, "LEMO_KEY": stores.api_keys.create("default").key}, tmp_path / "log")
    try:
        until(lambda: alive(url), process)
        yield url, stores
    finally:
        process.terminate()
        process.wait(timeout=20)
        stores.close()
    assert "Traceback" not in (tmp_path / "log").read_text(encoding="utf-8")


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

    page.get_by_role("button", name=f"Edit: {DAILY}").click()
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

    page.get_by_role("button", name=f"Pause: {DAILY}").click()
    expect(row).to_contain_text("paused")
    assert stores.schedules.of(DAILY).paused
    page.goto(url)
    expect(page.get_by_text("paused").first).to_be_visible(timeout=20_000)
    page.goto(f"{url}/schedule?scenario={SHOP}")
    expect(row).to_contain_text("paused", timeout=20_000)
    page.get_by_role("button", name=f"Resume: {DAILY}").click()
    expect(row.get_by_text("on", exact=True)).to_be_visible()
    assert [each.paused for each in stores.schedules.list("default") if each.entry == DAILY] == [True, False]
    page.get_by_role("button", name=f"Run now: {DAILY}").click()
    expect(page.get_by_text("Queued for 1 scenario")).to_be_visible()
    assert [each.trigger for each in stores.runs.list("default", DAILY, SHOP, "queued")] == ["manual"]
    expect(page.get_by_text("own times").first).to_be_visible()
    page.goto(f"{url}/schedule")
    expect(page.get_by_role("row").filter(has_text="own times")).to_contain_text(SHOP, timeout=20_000)
    picture(page, "schedule-1280")
    narrow(page)
    picture(page, "schedule-390")


def test_another_tenant_steers_its_own_scenario_only(console: Console, visit: Visit) -> None:
    page = visit.page
    page.goto(f"{console.url}/schedule")
    hourly = "compute-item-similarity-hourly"
    expect(page.get_by_text("These times hold for all tenants.")).to_be_visible(timeout=20_000)
    expect(page.get_by_role("button", name=f"Pause: {hourly}")).to_be_disabled()
    page.get_by_label("Scenario").click()
    page.get_by_role("option", name=SHOP).click()
    page.get_by_role("button", name=f"Pause: {hourly}").click()
    row = page.get_by_role("row").filter(has_text=hourly).first
    expect(row).to_contain_text("own times", timeout=20_000)
    expect(row).to_contain_text("paused")
    assert f"scenario={SHOP}" in page.url
    expect(page.get_by_role("row").filter(has_text=f"{console.tenant_id}, console")).to_contain_text("pause")
