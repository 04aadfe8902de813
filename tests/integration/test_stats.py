"""What users see of the aggregates: `lemo stats --by` and GET .../stats, when a consumer has taken events in."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from command_lines import run_command
from consumers import START, connected, consume, consumer_settings, environment_of, publish, some_events
from lemo.domain.scope import Scope
from lemo.settings import Settings
from lemo.stores.connect import Stores
from lemo.streams.messages import event_message
from sites import running_api


@pytest.fixture
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    return consumer_settings(request, "redis", tmp_path)


@pytest.fixture
def stores(settings: Settings, scope: Scope) -> Iterator[Stores]:
    with connected(settings, scope) as opened:
        yield opened


def test_hours_and_days_over_http_and_on_the_command_line(settings: Settings, stores: Stores, scope: Scope) -> None:
    events = some_events(9_000)
    publish(stores, settings.kafka_event_topic, [event_message(scope, event) for event in events + events[:500]])
    consume(settings, stores)
    stores.tenants.create(f"{scope.tenant_id}-2")
    key, other = stores.api_keys.create(scope.tenant_id).key, stores.api_keys.create(f"{scope.tenant_id}-2").key
    path = f"/v1/scenarios/{scope.scenario_id}/stats"
    with running_api(Stores(settings)) as address, httpx.Client(base_url=address) as http:
        http.headers["Authorization"] = f"Bearer {key}"
        hours = http.get(path, params={"by": "hour"}).json()
        assert [hour["events"] for hour in hours["periods"]] == [2_600, 3_600, 2_800]
        assert hours["periods"][1]["users"] == 7
        assert hours["periods"][1]["actions"] == {"click": 1_200, "like": 1_200, "rate": 1_200}
        days = [(day["start"], day["events"], day["users"], day["items"]) for day in http.get(path).json()["periods"]]
        assert days == [("2023-11-15T00:00:00Z", 2_600, 7, 11), ("2023-11-14T00:00:00Z", 6_400, 7, 11)]
        since = http.get(path, params={"by": "hour", "since": START + 3_600_000, "limit": 5}).json()["periods"]
        assert [hour["events"] for hour in since] == [2_600]
        assert http.get(path, params={"by": "week"}).status_code == 422
        assert http.get(path, headers={"Authorization": f"Bearer {other}"}).status_code == 404
    command = ["stats", "--scenario", scope.scenario_id, "--by", "hour"]
    environment = {**os.environ, **environment_of(settings), "LEMO_KEY": key}
    printed = [run_command([*command, *more], environment).stdout for more in (["--format", "json"], ["--limit", "1"])]
    assert [(row["events"], row["users"]) for row in json.loads(printed[0])] == [(2_600, 7), (3_600, 7), (2_800, 7)]
    assert "2,600" in printed[1]
    assert "3,600" not in printed[1]
