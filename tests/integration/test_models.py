"""The registry by command line and HTTP, and `lemo evaluate`, on a small world over real engines."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from lemo.cli.main import app
from lemo.domain.scope import Scope
from lemo.jobs.report import unattended
from lemo.jobs.training import train
from lemo.settings import Settings
from lemo.simulator.world import World
from lemo.stores.connect import Stores
from lemo.stores.documents.models import KIND, ModelRecord
from sites import add_scenario, model_of, running_api, settings_of, wait_for


@pytest.fixture
def stores(tmp_path: Path, redis_url: str) -> Iterator[Stores]:
    stores = Stores(settings_of(tmp_path, redis_url))
    yield stores
    stores.close()


def lemo(*arguments: str) -> Any:
    """What the command prints as JSON."""
    result = CliRunner().invoke(app, [*arguments, "--format", "json"])
    assert result.exit_code == 0, (result.output, result.exception)
    return json.loads(result.stdout) if result.stdout.strip() else None


@pytest.fixture
def shop(stores: Stores, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Scope:
    """A scenario with three models, the second of which serves; the command line works for its tenant."""
    scope, key = add_scenario(stores)
    for name, value in {"HOME": stores.settings.home, "REDIS_URL": redis_url, "KEY": key}.items():
        monkeypatch.setenv(f"LEMO_{name}", str(value))
    for version in ("1", "2", "3"):
        arrays, manifest = model_of(favourite=int(version)).to_arrays()
        stores.snapshots.publish(scope, KIND, version, arrays, manifest)
        stores.models.record(scope, ModelRecord(version=version, kind="blend", metrics={"model": {"ndcg_at_10": 0.25}}))
    for fence, version in enumerate(("1", "2")):
        stores.model_changes.put_in_service(scope, version, fence, "promote", "training", "better")
    return scope


def test_models_by_command_line(stores: Stores, shop: Scope) -> None:
    scenario = ("--scenario", shop.scenario_id)
    listed = {model["version"]: model for model in lemo("models", "list", *scenario)}
    assert [version for version, model in listed.items() if model["champion"]] == ["2"]
    assert [version for version, model in listed.items() if model["rollback"]] == ["1"]
    assert listed["3"]["ndcg_at_10"] == 0.25
    changed = lemo("models", "promote", "3", *scenario)
    assert (changed["version"], changed["previous"], changed["action"]) == ("3", "2", "promote")
    assert f"{shop.tenant_id}, command line (" in changed["changed_by"]
    assert lemo("models", "promote", "3", *scenario) is None
    assert [lemo("models", "rollback", *scenario)["version"] for _ in range(2)] == ["2", "1"]
    assert stores.snapshots.current(shop, KIND) == "1"
    history = lemo("models", "history", *scenario)
    assert [line["action"] for line in history] == ["rollback", "rollback", "promote", "promote", "promote"]
    table = CliRunner().invoke(app, ["models", "list", *scenario])
    assert "champion" in table.stdout
    for wrong in (["models", "rollback", *scenario], ["models", "promote", "9", *scenario]):
        refused = CliRunner().invoke(app, wrong)
        assert refused.exit_code == 1
        assert "lemo models list" in str(refused.exception)


def test_models_over_http(stores: Stores, shop: Scope) -> None:
    key, stranger = stores.api_keys.create(shop.tenant_id).key, add_scenario(stores)[1]
    with (
        running_api(Stores(stores.settings)) as address,
        httpx.Client(base_url=f"{address}/v1/scenarios/{shop.scenario_id}", timeout=30) as http,
    ):
        http.headers["Authorization"] = f"Bearer {key}"

        def serving() -> str:
            return str(http.get("/popular").json()["model_version"])

        assert serving() == "2"
        models = http.get("/models").json()["models"]
        assert {model["version"]: model["champion"] for model in models} == {"1": False, "2": True, "3": False}
        assert http.post("/models/promote", json={"version": "3"}).json() == {"version": "3", "changed": True}
        wait_for(lambda: serving() == "3")
        assert http.post("/models/promote", json={"version": "3"}).json() == {"version": "3", "changed": False}
        assert http.post("/models/rollback").json() == {"version": "2", "changed": True}
        wait_for(lambda: serving() == "2")
        line = http.get("/models/history").json()["changes"][0]
        assert (line["action"], line["version"], line["previous"]) == ("rollback", "2", "3")
        assert line["changed_by"].startswith(f"{shop.tenant_id}, API (key ")
        assert key not in line["changed_by"]
        assert http.post("/models/promote", json={"version": "9"}).status_code == 404
        assert http.post("/models/promote", json={}).status_code == 422
        http.headers["Authorization"] = f"Bearer {stranger}"
        for refused in (http.get("/models"), http.get("/models/history"), http.post("/models/rollback")):
            assert refused.status_code == 404
        assert http.post("/models/promote", json={"version": "1"}).status_code == 404
    assert stores.snapshots.current(shop, KIND) == "2"


def test_what_is_shown_of_a_model_leaves_out_the_trees_of_its_ranker(stores: Stores, shop: Scope) -> None:
    config = {"behaviour_share": 0.5, "ranker": {"start": 2.0, "trees": {"values": "x" * 20_000}}}
    stores.models.record(shop, ModelRecord(version="4", kind="ranked", config=config))
    key = stores.api_keys.create(shop.tenant_id).key
    with running_api(stores) as address:
        base, headers = f"{address}/v1/scenarios/{shop.scenario_id}", {"Authorization": f"Bearer {key}"}
        with httpx.Client(base_url=base, headers=headers) as http:
            listed, one = http.get("/models", params={"limit": 1}), http.get("/models/4")
            missing = http.get("/models/9")
    assert len(listed.content) < 1_500
    shown = {"behaviour_share": 0.5, "ranker": {"start": 2.0}}
    assert listed.json()["models"][0]["config"] == one.json()["config"] == shown
    assert one.json()["version"] == "4"
    assert missing.status_code == 404
    scenario = ("--scenario", shop.scenario_id)
    assert lemo("models", "list", *scenario, "--limit", "1")[0]["config"] == shown
    assert lemo("models", "show", "4", *scenario)["config"] == shown
    assert stores.models.get(shop, "4").config == config, "the record keeps what a lost snapshot is fitted again from"


def test_evaluation_shows_the_champion_beside_a_new_choice(
    tmp_path: Path, redis_url: str, clickhouse_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"HOME": tmp_path, "REDIS_URL": redis_url, "CLICKHOUSE_URL": clickhouse_url}.items():
        monkeypatch.setenv(f"LEMO_{name}", str(value))
    stores = Stores(Settings())
    scope, key = add_scenario(stores)
    monkeypatch.setenv("LEMO_KEY", key)
    stores.events.migrate()
    refused = CliRunner().invoke(app, ["evaluate", "--scenario", scope.scenario_id])
    assert refused.exit_code == 1
    assert "too few events" in refused.stderr
    stores.events.insert([(scope, event) for event in World(seed=3, scale=0.2).datasets()[0].events])
    before = lemo("evaluate", "--scenario", scope.scenario_id)
    assert (before["protocol"], before["champion"]) == ("time", None)
    champion = train(stores, scope, unattended()).detail["version"]
    found = lemo("evaluate", "--scenario", scope.scenario_id)
    assert found["champion_version"] == champion == stores.snapshots.current(scope, KIND)
    assert found["champion"] == found["model"]
    assert found["model"]["ndcg_at_10"] > found["popularity"]["ndcg_at_10"]
    low, high = found["model"]["intervals"]["ndcg_at_10"]
    assert low < found["model"]["ndcg_at_10"] < high
    assert found["compared"]["champion"] == {
        "difference": 0,
        "low": 0,
        "high": 0,
        "p_value": 1,
        "users": found["model"]["users"],
    }
    lead = found["compared"]["popularity"]
    assert lead["difference"] == pytest.approx(found["model"]["ndcg_at_10"] - found["popularity"]["ndcg_at_10"])
    assert lead["low"] < lead["difference"] < lead["high"]
    assert 0 < lead["p_value"] < 0.2
    assert {"light_users", "heavy_users"} <= set(found["model"]["segments"])
    by_user = CliRunner().invoke(app, ["evaluate", "--scenario", scope.scenario_id, "--protocol", "user"])
    assert by_user.exit_code == 0
    # A column of a narrow terminal breaks between words.
    by_time = CliRunner().invoke(app, ["evaluate", "--scenario", scope.scenario_id])
    for words in ("new items", "content", "regret", "standard error", "too few users"):
        assert words in " ".join(by_time.stdout.split())
    shown = CliRunner().invoke(app, ["models", "show", champion, "--scenario", scope.scenario_id])
    assert "item-knn 0." in " ".join(shown.stdout.split())
    for words in ("split by user", "NDCG@10", "interval", "champion", "leads", "heavy users"):
        assert words in by_user.stdout
    assert len(stores.models.list(scope)) == 1
    stores.close()
