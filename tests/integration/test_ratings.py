"""Ratings by value, and rules that an operator changes: by job, HTTP and command line, over real engines."""

import json
import os
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from command_lines import run_command
from lemo.cli.main import app
from lemo.domain.event import Event
from lemo.domain.interaction import interaction_weight
from lemo.domain.scenario import scenario_from_template
from lemo.domain.scope import Scope
from lemo.jobs.incremental_state import KIND as STATE
from lemo.jobs.profiles import profile
from lemo.jobs.report import unattended
from lemo.jobs.similarity import compute_similarity
from lemo.jobs.training import train
from lemo.serving.service import RecommendationService
from lemo.settings import Settings
from lemo.stores.connect import Stores
from sites import add_scenario, model_of, publish_model, running_api, settings_of, wait_for

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def stores(tmp_path: Path, redis_url: str, clickhouse_url: str, milvus_uri: str) -> Iterator[Stores]:
    settings = Settings(home=tmp_path, redis_url=redis_url, clickhouse_url=clickhouse_url, milvus_uri=milvus_uri)
    stores = Stores(settings)
    stores.events.migrate()
    yield stores
    stores.close()


def films(stores: Stores, scale: float) -> Scope:
    """Sixty users who rate some of ten films well, and one film, which most know, as bad as can be."""
    scope = Scope(f"tenant-{uuid.uuid4().hex[:12]}", "films")
    stores.tenants.create(scope.tenant_id)
    stores.scenarios.create(scope.tenant_id, scenario_from_template("films", "vlog"))
    events = []
    for number in range(60):
        ratings = {f"film{(number * 3 + step) % 10}": (5 - step % 3) * scale for step in range(4)} | {"flop": scale}
        for step, (film, value) in enumerate(ratings.items()):
            moment = START + timedelta(hours=5 * number + step)
            events.append(Event(user_id=f"u{number}", item_id=film, action="rate", value=value, timestamp=moment))
    write(stores, scope, events)
    return scope


def write(stores: Stores, scope: Scope, events: list[Event]) -> None:
    """What the consumer does with events."""
    stores.events.insert([(scope, event) for event in events])
    stores.history.add([(scope, event) for event in events])


@pytest.mark.parametrize("scale", [1, 2, 20])
def test_a_film_that_everybody_rates_worst_does_not_lead_nor_explain(stores: Stores, scale: float) -> None:
    scope = films(stores, scale)
    train(stores, scope, unattended())
    compute_similarity(stores, scope, unattended())
    rate = stores.scenarios.get(scope).actions["rate"]
    assert [interaction_weight(rate, stars * scale) for stars in (1, 3, 5)] == [-3, 0, 3]
    rating = Event(user_id="one", item_id="flop", action="rate", value=scale, timestamp=START + timedelta(days=20))
    write(stores, scope, [rating])
    with RecommendationService(stores, watch=False) as served:
        assert "flop" not in [item.item_id for item in served.popular(scope, 9).items]
        answer = served.recommend(scope, "one", 11).items
        assert answer
        assert "flop" not in [item.item_id for item in answer]
        assert all(item.because != "flop" for item in answer)


def test_one_stray_rating_does_not_turn_the_scale_for_all(stores: Stores) -> None:
    scope = films(stores, 1)
    write(stores, scope, [Event(user_id="u1", item_id="film1", action="rate", value=1e9, timestamp=START)])
    train(stores, scope, unattended())
    assert stores.scenarios.get(scope).actions["rate"].learnt == (1, 5)


def test_changed_rules_reach_model_similarity_and_profiles_without_new_events(stores: Stores) -> None:
    scope = films(stores, 1)
    first = train(stores, scope, unattended()).detail["serving"]
    compute_similarity(stores, scope, unattended())
    state = stores.snapshots.current(scope, STATE)
    assert train(stores, scope, unattended()).detail["serving"] == first, "the same rules change nothing"
    stores.scenarios.edit(scope, {"actions": {"rate": {"min_value": 5, "dislike_value": 4}}})
    second = train(stores, scope, unattended()).detail["serving"]
    assert second != first
    with RecommendationService(stores, watch=False) as served:
        model = served._complete_state(scope).mapped.model
    assert model is not None
    assert model.rules == stores.scenarios.get(scope).actions
    assert interaction_weight(model.rules["rate"], 4.0) == -3
    assert compute_similarity(stores, scope, unattended()).detail["full"]
    assert stores.snapshots.current(scope, STATE) != state
    profile(stores, scope, unattended())


def test_a_persons_change_and_a_learnt_scale_do_not_undo_each_other(stores: Stores) -> None:
    scope = films(stores, 1)
    stores.scenarios.learn(scope, {"rate": (1.0, 5.0)})
    _, after = stores.scenarios.edit(scope, {"active_days": 30})
    assert after.actions["rate"].learnt == (1, 5)
    stores.scenarios.learn(scope, {"rate": (0.0, 10.0)})
    assert stores.scenarios.get(scope).active_days == 30
    _, after = stores.scenarios.edit(scope, {"actions": {"rate": {"scale": [1, 5]}}})
    assert after == stores.scenarios.get(scope) == stores.scenarios.list(scope.tenant_id)[0]
    assert (after.actions["rate"].scale, after.actions["rate"].learnt) == ((1, 5), None)


@pytest.fixture
def site(tmp_path: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Stores, Scope, str]]:
    # No worker of another test takes the runs.
    monkeypatch.setenv("LEMO_INSTALLATION", f"t{uuid.uuid4().hex[:12]}")
    stores = Stores(settings_of(tmp_path, redis_url))
    scope, key = add_scenario(stores)
    for name, value in {"HOME": stores.settings.home, "REDIS_URL": redis_url, "KEY": key}.items():
        monkeypatch.setenv(f"LEMO_{name}", str(value))
    yield stores, scope, key
    stores.close()


def lemo(*arguments: str) -> Any:
    result = CliRunner().invoke(app, ["scenarios", *arguments, "--format", "json"])
    assert result.exit_code == 0, (result.output, result.exception)
    return json.loads(result.stdout), result.stderr


def test_rules_are_shown_and_changed_by_command_line(site: tuple[Stores, Scope, str]) -> None:
    stores, scope, _ = site
    name = scope.scenario_id
    assert lemo("show", name)[0]["actions"]["rate"]["scale"] == "auto"
    settings = ("actions.rate.min_value=4", "actions.rate.scale=[1, 5]", "actions.a.b.weight=2", "actions.share=null")
    changed, told = lemo("edit", name, *(part for one in settings for part in ("--set", one)))
    assert (changed["actions"]["rate"]["min_value"], changed["actions"]["rate"]["scale"]) == (4, [1, 5])
    assert changed["actions"]["a.b"]["weight"] == 2
    assert "share" not in changed["actions"]
    assert stores.scenarios.get(scope).model_dump(mode="json") == changed == lemo("show", name)[0]
    assert "within 10 seconds" in told
    assert "with the first training" in told
    assert "nothing has changed" in lemo("edit", name, "--set", "active_days=365")[1]
    assert CliRunner().invoke(app, ["scenarios", "show", name]).stdout.count("rate") == 1
    for wrong, why in {
        "actions.rate.min_value=four": "min_value",
        "active_days": "FIELD=VALUE",
        "x=1": "x: cannot",
    }.items():
        failed = CliRunner().invoke(app, ["scenarios", "edit", name, "--set", wrong])
        assert failed.exit_code != 0
        assert why in f"{failed.output} {failed.exception}"


def test_rules_are_shown_and_changed_by_http_and_hold_within_seconds(site: tuple[Stores, Scope, str]) -> None:
    stores, scope, key = site
    path = f"/v1/scenarios/{scope.scenario_id}"
    event = {"events": [{"user_id": "u", "item_id": "i", "action": "wishlist", "timestamp": "2026-01-01T00:00:00Z"}]}
    headers = {"Authorization": f"Bearer {key}"}
    with running_api(stores) as address, httpx.Client(base_url=address, headers=headers, timeout=30) as client:
        assert client.get(path).json()["actions"]["rate"]["scale"] == "auto"
        assert client.post(f"{path}/events", json=event).json()["accepted"] == 0
        change = {"actions": {"wishlist": {"weight": 2}, "rate": {"min_value": 4}}}
        answer = client.patch(path, json=change).json()
        assert answer["actions"]["wishlist"]["weight"] == 2
        assert "first training" in answer["takes_effect"][1]
        client.patch(path, json={"actions": {"rate": {"min_value": 3}}})
        assert client.get(path).json()["actions"]["rate"]["min_value"] == 3
        wait_for(lambda: client.post(f"{path}/events", json=event).json()["accepted"] == 1)
        refused = client.patch(path, json={"actions": {"rate": {"min_valu": 3}}})
        assert refused.status_code == 422
        assert "actions.rate.min_valu" in refused.json()["detail"]
        assert client.patch(path, content=b"{").status_code == 400
        assert client.patch("/v1/scenarios/nowhere", json={}).status_code == 404
        assert client.get(path, headers={"Authorization": "Bearer wrong"}).status_code == 401


def edit_in_a_process(stores: Stores, scope: Scope, redis_url: str, setting: str) -> str:
    """What `lemo scenarios edit` says; the broker is that of the address."""
    command = ["scenarios", "edit", scope.scenario_id, "--set", setting]
    result = run_command(command, {**os.environ, "LEMO_REDIS_URL": redis_url})
    assert result.returncode == 0, result.stderr
    return result.stderr


def test_a_change_sends_the_runs_that_bring_it_to_the_answers(
    site: tuple[Stores, Scope, str], redis_url: str, free_port: int
) -> None:
    stores, scope, _ = site
    publish_model(stores, scope, "1", model_of())
    away = f"redis://127.0.0.1:{free_port}"
    assert "lemo jobs run train-model-daily" in edit_in_a_process(stores, scope, away, "actions.rate.min_value=3")
    assert stores.scenarios.get(scope).actions["rate"].min_value == 3
    for run in stores.runs.list(scope.tenant_id):
        stores.runs.save(scope.tenant_id, run.model_copy(update={"outcome": "failed"}))
    for value in (4, 5):
        assert "queued" in edit_in_a_process(stores, scope, redis_url, f"actions.rate.min_value={value}")
    queued = [run.entry for run in stores.runs.list(scope.tenant_id, outcome="queued")]
    assert sorted(queued) == ["compute-item-similarity-hourly", "train-model-daily", "update-user-profiles-2hours"]
