"""What a request names and the API does not know is refused, on every route, with the nearest known name."""

import re
from collections.abc import Iterator

import httpx
import pytest

from lemo.stores.connect import Stores
from sites import add_scenario, model_of, publish_model, running_api, settings_of

NOT_OURS = {"/docs", "/openapi.json", "/docs/oauth2-redirect"}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[httpx.Client]:
    stores = Stores(settings_of(tmp_path_factory.mktemp("site"), redis_url))
    scope, key = add_scenario(stores)
    publish_model(stores, scope, "1", model_of())
    with running_api(stores) as address:
        base = f"{address}/v1/scenarios/{scope.scenario_id}"
        with httpx.Client(base_url=base, headers={"Authorization": f"Bearer {key}"}, timeout=30) as client:
            yield client


def detail(response: httpx.Response) -> str:
    assert response.status_code == 422, response.text
    assert response.headers["content-type"] == "application/problem+json"
    return str(response.json()["detail"])


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (
            "recommendations?user_id=u&categories=food",
            ["'categories'", "It takes user_id, n, exclude, placement, session_id."],
        ),
        ("recommendations?user_id=u&offset=10", ["'offset'"]),
        ("recommendations?user_id=u&N=3", ["'N'", "Did you mean n?"]),
        ("recommendations?user=u", ["'user'", "Did you mean user_id?"]),
        ("similar?item_id=i&Item_Id=j", ["'Item_Id'", "Did you mean item_id or user_id?"]),
        ("popular?categories=food", ["'categories'", "It takes n, placement, user_id, session_id."]),
        ("latest?n=3&n=5", ["'n' stands there 2 times"]),
        ("models?limt=3", ["Did you mean limit?"]),
        ("stats?by=day&from=2026-01-01", ["'from'"]),
        (f"popular?{'x' * 5000}=1", ["It takes n, placement, user_id, session_id."]),
    ],
)
def test_an_unknown_query_parameter_is_refused_and_named(api: httpx.Client, asked: str, words: list[str]) -> None:
    told = detail(api.get(f"/{asked}"))
    assert len(told) < 500
    for word in words:
        assert word in told


def test_a_list_may_be_given_many_times(api: httpx.Client) -> None:
    answer = api.get("/recommendations", params={"user_id": "u", "exclude": ["item/0", "item/1"]}).json()
    assert {item["item_id"] for item in answer["items"]}.isdisjoint({"item/0", "item/1"})


def test_every_documented_route_refuses_unknown_query_parameters(api: httpx.Client) -> None:
    root = httpx.URL(str(api.base_url)).copy_with(path="/")
    scenario = api.base_url.path.strip("/").split("/")[-1]
    document = api.get(root.join("openapi.json")).json()
    asked = 0
    for path, methods in document["paths"].items():
        for method, about in methods.items():
            real = re.sub(r"\{.*?\}", "train-model-daily", path.replace("{scenario}", scenario))
            known = {
                each["name"]: "1" for each in about.get("parameters", ()) if each["in"] == "query" and each["required"]
            }
            refused = api.request(method, root.join(real), params=known | {"no_such": "1"}, json={})
            assert "'no_such'" in detail(refused), (method, path)
            asked += 1
    assert asked > 20


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("items", {"items": [], "scenario": "shop"}, ["'scenario'", "It takes items."]),
        ("events", {"events": [], "replace": True}, ["'replace'", "It takes events."]),
        ("models/rollback", {"version": "1"}, ["version", "It takes no fields."]),
        ("models/promote", {"versoin": "1"}, ["versoin", "Did you mean version?"]),
        ("/v1/scenarios", {"scenario_id": "a", "templates": "vlog"}, ["templates", "Did you mean template?"]),
        ("/v1/jobs/run", {"entry": "train-model-daily", "wait": True}, ["wait", "It takes entry, scenario, full."]),
    ],
)
def test_an_unknown_field_of_a_body_is_refused_and_named(
    api: httpx.Client, path: str, body: dict[str, object], words: list[str]
) -> None:
    url = httpx.URL(str(api.base_url)).copy_with(path=path) if path.startswith("/") else f"/{path}"
    told = detail(api.post(url, json=body))
    for word in words:
        assert word in told
