"""Login by OpenID Connect in a real browser: to the provider's page and back, with cookies as browsers send them."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, expect

from consoles import alive, picture, start, until
from identity_providers import Provider, running_provider
from lemo.console.openid import BEGIN, COOKIE, RETURN
from lemo.settings import Settings
from lemo.stores.bootstrap import ensure_admin
from lemo.stores.connect import Stores

SECRET = "the-client-secret"


@pytest.fixture
def site(valkey_url: str, tmp_path: Path) -> Iterator[tuple[str, Provider, Stores]]:
    """A console that a provider's people log in to, the provider, and the stores behind the console."""
    with running_provider() as provider:
        settings = {
            "LEMO_INSTALLATION": f"test{uuid.uuid4().hex[:8]}",
            "LEMO_HOME": str(tmp_path / "home"),
            "LEMO_REDIS_URL": valkey_url,
            "LEMO_OIDC_ISSUER": provider.issuer,
            "LEMO_OIDC_CLIENT_ID": "lemo",
            "LEMO_OIDC_CLIENT_SECRET": SECRET,
            "LEMO_OIDC_ROLE_CLAIM": "groups",
            "LEMO_OIDC_ROLES": "chiefs=admin",
            "LEMO_LOG_LEVEL": "DEBUG",
        }
        with pytest.MonkeyPatch.context() as patch:
            for name, value in settings.items():
                patch.setenv(name, value)
            stores = Stores(Settings())
            ensure_admin(stores.settings)
        process, url = start(settings, tmp_path / "log")
        try:
            until(lambda: alive(url), process)
            yield url, provider, stores
        finally:
            process.terminate()
            process.wait(timeout=20)
            stores.close()
    log = (tmp_path / "log").read_text(encoding="utf-8")
    for secret in ("Traceback", SECRET, "code=", "eyJ", "code_verifier"):
        assert secret not in log, log
    assert "a login by OpenID Connect failed" in log


def test_a_person_logs_in_at_the_provider_and_acts_under_his_name(
    site: tuple[str, Provider, Stores], browser: Browser
) -> None:
    url, provider, stores = site
    provider.put("7", email="ann@acme.example", email_verified=True, groups=["chiefs"])
    provider.put("8", preferred_username="bob", groups=["cooks"])
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    button = page.get_by_role("button", name=f"Log in at {urlsplit(provider.issuer).netloc}")

    page.goto(url)
    expect(button).to_be_visible(timeout=20_000)
    assert page.get_by_label("Key").count() == 0
    button.click()
    page.get_by_role("textbox").fill("8")
    page.get_by_role("textbox").press("Enter")
    expect(page.get_by_text("gives you no role that is known here. The claim 'groups' holds 'cooks'.")).to_be_visible(
        timeout=20_000
    )
    picture(page, "login-openid-1280")
    page.reload()
    expect(button).to_be_visible(timeout=20_000)
    assert page.get_by_text("gives you no role").count() == 0, "it is said once"

    button.click()
    page.get_by_role("textbox").fill("7")
    page.get_by_role("textbox").press("Enter")
    expect(page.get_by_role("button", name="You: ann@acme.example")).to_be_visible(timeout=20_000)
    assert urlsplit(page.url).query == "", "neither code nor state stay in the address"
    page.goto(f"{url}/audit")
    line = page.get_by_role("row").filter(has_text="console.login")
    expect(line).to_contain_text("OpenID Connect: ann@acme.example", timeout=20_000)
    (noted,) = [line for line in stores.audit.list("default", 10) if line.action == "console.login"]
    assert (noted.detail["sub"], noted.detail["role"], noted.detail["issuer"]) == ("7", "admin", provider.issuer)
    assert {cookie["name"] for cookie in context.cookies(url + RETURN)}.isdisjoint({COOKIE})
    page.get_by_role("button", name="You: ann@acme.example").click()
    page.get_by_text("Log out").click()
    expect(button).to_be_visible(timeout=20_000)
    context.close()

    # What an attacker sends: a return that this browser did not begin, or that another provider answers.
    with httpx.Client(base_url=url, trust_env=False) as other, httpx.Client(base_url=url, trust_env=False) as victim:
        begun = other.get(BEGIN)
        assert (begun.status_code, begun.headers["Cache-Control"]) == (303, "no-store")
        wanted = dict(parse_qsl(urlsplit(begun.headers["Location"]).query))
        assert set(wanted) == {
            "response_type", "client_id", "redirect_uri", "scope", "state", "nonce",
            "code_challenge", "code_challenge_method",
        }  # fmt: skip
        assert wanted["redirect_uri"] == url + RETURN
        kept = begun.headers["Set-Cookie"]
        assert all(word in kept for word in ("HttpOnly", "SameSite=lax", f"Path={BEGIN}"))
        back = provider.log_in(begun.headers["Location"], "7")
        assert victim.get(BEGIN).status_code == 303
        for refused, who in (
            (back, httpx.Client(trust_env=False)),
            (back, victim),
            (back + "&iss=https://evil.example", other),
            (back.replace("code=", "code=x"), other),
        ):
            answer = who.get(refused)
            assert 'url=/login"' in answer.text, refused
            who.close() if who not in (other, victim) else None
