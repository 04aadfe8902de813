"""The console in a real browser, over real stores that hold a small world of two tastes."""

import re
import socket
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import expect

from consoles import SHOP, Console, Visit, alive, narrow, picture, start, until


def test_the_home_page_shows_what_needs_attention_scenarios_runs_and_services(console: Console, visit: Visit) -> None:
    page = visit.page
    page.goto(console.url)
    row = page.get_by_role("row").filter(has_text=SHOP).first
    expect(row).to_contain_text("40", timeout=20_000)
    expect(row).to_contain_text("60")
    expect(page.get_by_text(re.compile(r"^Ingest: 1,204 messages, [\d.]+ (s|min) behind$"))).to_be_visible()
    failed = page.get_by_role("row").filter(has_text="update-user-profiles-2hours")
    expect(failed).to_contain_text("Milvus did not answer.")
    attention = page.get_by_role("heading", name="Needs attention").locator("xpath=ancestor::section")
    line = attention.get_by_text(f"update-user-profiles-2hours fails · {SHOP}")
    expect(line).to_be_visible(timeout=20_000)
    line.click()
    expect(attention.get_by_text("Last success: never")).to_be_visible()
    expect(attention.get_by_text("Milvus: 127.0.0.1").first).to_be_visible(timeout=20_000)
    services = page.get_by_role("heading", name="Services").locator("xpath=ancestor::section")
    expect(services.get_by_text("not there").first).to_be_visible(timeout=20_000)
    picture(page, "home-1280")
    narrow(page)
    picture(page, "home-390")


def test_an_address_that_names_a_user_opens_him(console: Console, visit: Visit) -> None:
    visit.page.goto(f"{console.url}/explore?scenario={SHOP}&user=nobody%20%22%27%2F%3Cb%3E")
    expect(visit.page.get_by_text("Nothing is known of this user")).to_be_visible(timeout=20_000)
    expect(visit.page.get_by_text("No profile yet")).to_be_visible()


@pytest.mark.parametrize("page", ["explore", "items", "item", "users", "user", "models", "jobs", "scenario", "ingest"])
def test_an_address_that_names_what_does_not_exist_says_so(console: Console, page: str) -> None:
    unknown = httpx.get(f"{console.url}/{page}", params={"scenario": "shopp"}, trust_env=False).text
    assert "There is no scenario" in unknown
    assert f"Did you mean {SHOP}?" in unknown
    for parameter in ("nonsense", "scenari"):
        assert "has no parameter" in httpx.get(f"{console.url}/{page}?{parameter}=x", trust_env=False).text
    known = httpx.get(f"{console.url}/{page}", params={"scenario": SHOP}, trust_env=False).text
    assert "There is no scenario" not in known
    assert "has no parameter" not in known


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
        page.get_by_label("Key", exact=True).fill("lemo_wrong")
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_text("This key is unknown.")).to_be_visible()
        assert SHOP not in page.content()
        picture(page, "login-1280")
        page.get_by_label("Key", exact=True).fill(key)
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_text(tenant_id)).to_be_visible(timeout=20_000)
        expect(page.get_by_role("row").filter(has_text=SHOP).first).to_be_visible(timeout=20_000)
        page.get_by_role("button", name="You: Key").click()
        page.get_by_text("Log out").click()
        expect(page.get_by_label("Key", exact=True)).to_be_visible()
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


def test_browsers_that_leave_early_are_no_error(environment: tuple[dict[str, str], str, str], tmp_path: Path) -> None:
    """They break off each part of a page at any moment. One more that stays sees all, and the log holds no error."""
    settings, _, key = environment
    process, url = start({**settings, "LEMO_KEY": key}, tmp_path / "log")
    try:
        until(lambda: alive(url), process)
        host = urlsplit(url).netloc
        paths = ["/", *re.findall(r"/_nicegui/[^\"' &)]+\.(?:js|css)", httpx.get(url).text)]
        assert len(paths) > 10
        for after in (0, 0.0005, 0.002):
            for path in paths:
                with socket.create_connection((urlsplit(url).hostname, urlsplit(url).port)) as browser:
                    browser.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
                    browser.settimeout(after)
                    with suppress(TimeoutError, BlockingIOError):
                        browser.recv(1)
        assert {path: httpx.get(url + path).status_code for path in paths} == dict.fromkeys(paths, 200)
    finally:
        process.terminate()
        process.wait(timeout=20)
    assert "Traceback" not in (tmp_path / "log").read_text(encoding="utf-8")


def test_a_page_that_may_not_be_shown_says_why(
    environment: tuple[dict[str, str], str, str], visit: Visit, tmp_path: Path
) -> None:
    settings, _, _ = environment
    process, url = start({**settings, "LEMO_KEY": "lemo_unknown"}, tmp_path / "log")
    try:
        until(lambda: alive(url), process)
        for path in ("/", "/jobs", "/explore"):
            visit.page.goto(url + path)
            expect(visit.page.get_by_text("The key in LEMO_KEY is unknown here.")).to_be_visible()
            expect(visit.page.get_by_text("Set it to a key of this installation")).to_be_visible()
        visit.page.goto("about:blank")  # a page that loses its console complains
    finally:
        process.terminate()
        process.wait(timeout=20)
    assert "lemo_unknown" not in (tmp_path / "log").read_text(encoding="utf-8")
