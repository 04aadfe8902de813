"""Requests and events a second of a tenant: by one process, by several, on the hot path, and without Redis."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from lemo.api.limits import IDLE_SECONDS, Limits
from lemo.domain.errors import TooMuch
from lemo.settings import Settings
from lemo.stores.connect import Stores
from servers import OwnEngine
from sites import add_scenario, model_of, publish_model, running_api, settings_of, wait_for

EVENT = {"user_id": "u", "item_id": "i", "action": "view", "timestamp": "2026-11-01T12:00:00Z"}
TENANT = "acme"


class Clock:
    """A clock that the test moves."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def settings(tmp_path: Path, redis_url: str) -> Settings:
    # Tests that run at the same time have other tenants in the same Redis: this one has an installation of its own.
    found = settings_of(tmp_path, redis_url)
    return found.model_copy(
        update={"installation": f"limits-{uuid.uuid4().hex[:12]}", "requests_per_second": 10, "events_per_second": 1}
    )


def admitted(limits: Limits, count: int) -> int:
    return sum(limits.admits("requests", TENANT) for _ in range(count))


def test_a_second_holds_so_many_requests_and_refills(settings: Settings) -> None:
    clock = Clock()
    limits = Limits(settings, clock)
    assert admitted(limits, 25) == 10
    with pytest.raises(TooMuch, match="10 requests a second") as refused:
        limits.take("requests", TENANT)
    assert refused.value.seconds == 1
    assert limits.admits("requests", "another tenant")
    clock.now += 0.5
    assert admitted(limits, 25) == 5
    clock.now += 60
    assert admitted(limits, 25) == 10, "what was not used in the past is not saved up"
    assert {sample.labels["limit"]: sample.value for metric in limits.collect() for sample in metric.samples} == {
        "requests": 1,
        "events": 0,
    }


def test_without_a_setting_nothing_is_limited(tmp_path: Path, redis_url: str) -> None:
    limits = Limits(settings_of(tmp_path, redis_url), Clock())
    limits.start()
    assert admitted(limits, 1_000) == 1_000
    limits.close()


def test_a_list_of_events_is_taken_whole_and_owed(settings: Settings) -> None:
    clock = Clock()
    limits = Limits(settings, clock)
    assert limits.admits("events", TENANT, 100)
    with pytest.raises(TooMuch) as refused:
        limits.take("events", TENANT, 1)
    assert refused.value.seconds == 100
    clock.now += 99
    assert not limits.admits("events", TENANT)
    clock.now += 1
    assert limits.admits("events", TENANT)
    assert limits.admits("events", TENANT, 0), "an empty list costs nothing"


def test_processes_share_the_credit(settings: Settings) -> None:
    clock = Clock()  # stands still, so that what comes back comes from Redis alone
    one, other = Limits(settings, clock), Limits(settings, clock)
    assert other.admits("events", TENANT)
    assert one.admits("events", TENANT, 1_000)
    one.settle()
    other.settle()
    assert not other.admits("events", TENANT)
    with pytest.raises(TooMuch) as refused:
        other.take("events", TENANT)
    assert 900 < refused.value.seconds <= 1_001
    third = Limits(settings, clock)
    assert third.admits("events", TENANT), "a process that knows nothing yet lets one through"
    third.settle()
    assert not third.admits("events", TENANT)
    clock.now += IDLE_SECONDS + 1
    third.settle()
    assert third._accounts == {}, "tenants that are gone take no memory"


def test_without_redis_nothing_is_limited(own_redis: OwnEngine, settings: Settings) -> None:
    clock = Clock()
    limits = Limits(settings_with(settings, own_redis.url), clock)
    assert not all(limits.admits("requests", TENANT) for _ in range(20))
    own_redis.kill()
    limits.settle()
    assert admitted(limits, 1_000) == 1_000
    own_redis.start()
    limits.settle()  # what was let through meanwhile is told
    limits.admits("requests", TENANT)
    limits.settle()
    assert not limits.admits("requests", TENANT)


def settings_with(settings: Settings, url: str) -> Settings:
    return settings.model_copy(update={"redis_url": SecretStr(url)})


@pytest.fixture
def site(settings: Settings) -> Iterator[tuple[httpx.Client, str]]:
    stores = Stores(settings.model_copy(update={"requests_per_second": 1}))
    scope, key = add_scenario(stores)
    publish_model(stores, scope, "1", model_of())
    with running_api(stores) as address, httpx.Client(base_url=address, timeout=30) as http:
        http.headers["Authorization"] = f"Bearer {key}"
        yield http, f"/v1/scenarios/{scope.scenario_id}"


def until_refused(http: httpx.Client, *request: str, **rest: Any) -> httpx.Response:
    answers = (http.request(*request, **rest) for _ in range(100))
    return next(answer for answer in answers if answer.status_code == 429)


def test_too_many_requests_are_429_with_the_moment_to_come_again(site: tuple[httpx.Client, str]) -> None:
    http, path = site
    for request in (("GET", f"{path}/popular"), ("GET", "/v1/scenarios")):  # the hot path, and the application
        refused = until_refused(http, *request)
        assert int(refused.headers["Retry-After"]) >= 1
        assert refused.headers["Content-Type"] == "application/problem+json"
        assert "1 requests a second" in refused.json()["detail"]
    assert http.get("/health/live").status_code == 200
    assert 'lemo_limited_total{limit="requests"}' in http.get("/metrics").text
    wait_for(lambda: http.get(f"{path}/popular").status_code == 200)


def test_too_many_events_are_429(site: tuple[httpx.Client, str]) -> None:
    http, path = site
    events = [EVENT | {"event_id": str(number)} for number in range(1_000)]
    wait_for(lambda: http.post(f"{path}/events", json={"events": events}).status_code == 200)

    def refused() -> bool:
        answer = http.post(f"{path}/events", json={"events": [EVENT]})
        assert answer.status_code == 429
        return "1 events a second" in answer.json()["detail"] and int(answer.headers["Retry-After"]) > 100

    wait_for(refused)
