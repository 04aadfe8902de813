"""Accounts in a real browser: the console closes when the first one is made, and each may do what its role says."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from consoles import SHOP, Visit, alive, picture, start, until
from lemo.domain.scenario import scenario_from_template
from lemo.settings import Settings
from lemo.stores.bootstrap import ensure_admin
from lemo.stores.connect import Stores

DAILY = "train-model-daily"
PASSWORD = "correct horse battery"


@pytest.fixture
def site(valkey_url: str, tmp_path: Path) -> Iterator[tuple[str, Stores]]:
    """A console of an installation of its own, and the stores behind it."""
    settings = {
        "LEMO_INSTALLATION": f"test{uuid.uuid4().hex[:8]}",
        "LEMO_HOME": str(tmp_path / "home"),
        "LEMO_REDIS_URL": valkey_url,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        stores = Stores(Settings())
        ensure_admin(stores.settings)
    stores.scenarios.create("default", scenario_from_template(SHOP, "ecommerce"))
    process, url = start(settings, tmp_path / "log")
    try:
        until(lambda: alive(url), process)
        yield url, stores
    finally:
        process.terminate()
        process.wait(timeout=20)
        stores.close()
    log = (tmp_path / "log").read_text(encoding="utf-8")
    assert "Traceback" not in log
    assert "horse" not in log


def log_in(page: Page, name: str, password: str) -> None:
    page.get_by_label("Account", exact=True).fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def test_accounts_close_the_console_and_name_who_acts(site: tuple[str, Stores], visit: Visit) -> None:
    url, stores = site
    page = visit.page
    pause = page.get_by_role("button", name=f"Pause: {DAILY}")
    page.goto(f"{url}/jobs")
    expect(pause).to_be_enabled(timeout=20_000)

    # The page that is open goes too. That it is refused everything meanwhile: integration/test_console_access.py.
    stores.accounts.create("default", "ann", "admin", PASSWORD, "me")
    stores.accounts.create("default", "victor", "viewer", PASSWORD, "me")
    expect(page.get_by_label("Account", exact=True)).to_be_visible(timeout=30_000)
    page.goto(f"{url}/jobs")
    expect(page.get_by_label("Account", exact=True)).to_be_visible(timeout=20_000)

    log_in(page, "ann", "wrong horse battery")
    expect(page.get_by_text("Account or password is wrong")).to_be_visible(timeout=20_000)
    picture(page, "login-account-1280")
    log_in(page, "ann", PASSWORD)
    expect(page.get_by_text("ann", exact=True)).to_be_visible(timeout=20_000)
    page.goto(f"{url}/jobs")
    pause.click()
    row = page.get_by_role("row").filter(has_text="default, console (account ann)")
    expect(row.first).to_contain_text("pause", timeout=20_000)
    assert stores.schedules.of(DAILY).paused
    picture(page, "schedule-account-1280")

    page.get_by_role("link", name="Audit").click()
    line = page.get_by_role("row").filter(has_text="schedule.pause")
    expect(line).to_contain_text("default, console (account ann)", timeout=20_000)
    expect(page.get_by_role("row").filter(has_text="console.login")).to_have_count(1)
    expect(page.get_by_role("row").filter(has_text="account.create")).to_have_count(2)
    picture(page, "audit-1280")
    page.get_by_role("button", name="You: ann").click()
    page.get_by_text("Log out").click()
    expect(page.get_by_label("Account", exact=True)).to_be_visible(timeout=20_000)
    log_in(page, "victor", PASSWORD)
    expect(page.get_by_text("victor", exact=True)).to_be_visible(timeout=20_000)
    page.goto(f"{url}/jobs")
    expect(page.get_by_text(DAILY).first).to_be_visible(timeout=20_000)
    for button in (f"Resume: {DAILY}", f"Edit: {DAILY}", f"Run now: {DAILY}"):
        expect(page.get_by_role("button", name=button)).to_have_count(0)

    assert page.get_by_role("link", name="Audit").count() == 0
    page.goto(f"{url}/audit")
    expect(page.get_by_text("it takes the role admin")).to_be_visible(timeout=20_000)

    # Another password ends the session, in the page that is open too.
    stores.accounts.set_password("default", "victor", "another horse battery", "me")
    expect(page.get_by_label("Account", exact=True)).to_be_visible(timeout=30_000)
    page.goto("about:blank")  # a page that loses its console complains
