"""Keys for the pages of web sites, and what browsers are answered, by the hot path and by the application."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from lemo.domain.api_key import KeyWishes, checked_origin
from lemo.domain.errors import InvalidInput
from lemo.domain.scope import Scope
from lemo.settings import Settings
from lemo.stores.connect import Stores
from sites import add_scenario, model_of, publish_model, running_api, settings_of, wait_for

SHOP, OTHER, ADMIN = "https://shop.example", "https://other.example", "https://admin.example"


class Site:
    def __init__(self, stores: Stores, scope: Scope, key: str, http: httpx.Client) -> None:
        self.stores, self.scope, self.key, self.http = stores, scope, key, http
        self.hot = f"/v1/scenarios/{scope.scenario_id}/popular"
        self.computed = f"/v1/scenarios/{scope.scenario_id}/recommendations?user_id=u&n=3"

    def get(self, path: str, key: str, **headers: str) -> httpx.Response:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.get(path, headers={"Authorization": f"Bearer {key}", **names})

    def preflight(self, origin: str, path: str, method: str = "GET") -> httpx.Response:
        asked = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": "authorization"}
        return self.http.options(path, headers={"Origin": origin, **asked})


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[Site]:
    settings = settings_of(tmp_path_factory.mktemp("origins"), redis_url)
    stores = Stores(settings.model_copy(update={"cors_origins": [ADMIN]}))
    scope, key = add_scenario(stores)
    publish_model(stores, scope, "1", model_of())
    with running_api(stores) as address, httpx.Client(base_url=address, timeout=30) as http:
        yield Site(stores, scope, key, http)


@pytest.fixture(scope="module")
def page_key(site: Site) -> str:
    wishes = KeyWishes(role="read", scenarios=[site.scope.scenario_id], origins=[SHOP])
    return site.stores.api_keys.create(site.scope.tenant_id, wishes).key


def test_a_key_for_a_page_is_refused_to_others(site: Site, page_key: str) -> None:
    for _ in range(2):  # the second time from what is cached, on the hot path
        for path in (site.hot, site.computed):
            assert site.get(path, page_key, Origin=SHOP).status_code == 200
            assert site.get(path, page_key, Sec_Fetch_Site="same-origin").status_code == 200
            for headers in ({"Origin": OTHER}, {"Origin": "null"}, {}, {"Sec_Fetch_Site": "cross-site"}):
                refused = site.get(path, page_key, **headers)
                assert (refused.status_code, "pages of certain web sites" in refused.json()["detail"]) == (403, True)
            forged = site.get(path, page_key, Origin=OTHER, Sec_Fetch_Site="same-origin")
            assert forged.status_code == 403


def test_browsers_are_answered_for_origins_of_keys_and_of_the_setting(site: Site, page_key: str) -> None:
    wait_for(lambda: site.preflight(SHOP, site.hot).status_code == 200)
    for origin in (SHOP, ADMIN):
        asked = site.preflight(origin, site.hot, "POST")
        assert asked.headers["Access-Control-Allow-Origin"] == origin
        assert "Authorization" in asked.headers["Access-Control-Allow-Headers"]
        for path in (site.hot, site.computed, "/v1/scenarios/unknown/popular"):
            answer = site.get(path, site.key, Origin=origin)
            assert answer.headers["Access-Control-Allow-Origin"] == origin
            assert "Origin" in answer.headers["Vary"]
            assert "Access-Control-Allow-Credentials" not in answer.headers
    refused = site.preflight(OTHER, site.hot)
    assert refused.status_code == 400
    assert "Access-Control-Allow-Origin" not in refused.headers
    for path in (site.hot, site.computed):
        assert "Access-Control-Allow-Origin" not in site.get(path, site.key, Origin=OTHER).headers
        assert "Access-Control-Allow-Origin" not in site.get(path, site.key).headers


def test_a_key_keeps_its_origins_when_it_is_rotated(site: Site) -> None:
    made = site.stores.api_keys.create(site.scope.tenant_id, KeyWishes(role="ingest", origins=["https://New.Example/"]))
    body = site.http.post(
        "/v1/keys/rotate", params={"id": made.id}, headers={"Authorization": f"Bearer {site.key}"}
    ).json()
    found = site.stores.api_keys.find(body["key"])
    assert found is not None
    assert found.origins == ["https://new.example"]


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://shop.example", SHOP),
        ("HTTPS://Shop.Example:443/", SHOP),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://[::1]:80", "http://[::1]"),
    ],
)
def test_an_origin_is_kept_as_browsers_write_it(text: str, origin: str) -> None:
    assert checked_origin(text) == origin


@pytest.mark.parametrize(
    "text",
    [
        "shop.example",
        "ftp://shop.example",
        "https://",
        f"{SHOP}/path",
        f"{SHOP}?q",
        "https://a@b",
        "null",
        "https://商店.example",
        f"{SHOP}:port",
    ],
)
def test_what_is_no_origin_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        KeyWishes(role="read", origins=[text])
    with pytest.raises(ValidationError):
        Settings(cors_origins=[text])


def test_keys_that_run_jobs_are_not_for_pages(site: Site) -> None:
    wrong: list[Any] = [KeyWishes(role="admin", origins=[SHOP]), KeyWishes(role="read", origins=[])]
    for wishes in wrong:
        with pytest.raises(InvalidInput):
            site.stores.api_keys.create(site.scope.tenant_id, wishes)


def test_origins_by_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEMO_CORS_ORIGINS", f"{SHOP}/, {ADMIN}")
    assert Settings(home=tmp_path).cors_origins == [SHOP, ADMIN]
