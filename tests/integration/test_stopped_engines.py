"""A stopped engine (SIGSTOP) still accepts connections; whoever asks it for a person is told within seconds."""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

import servers
from command_lines import run_command
from lemo.domain.errors import EngineUnavailable
from lemo.domain.scope import Scope
from lemo.settings import Settings
from lemo.stores.connect import Stores
from lemo.stores.redis.client import ping_redis
from sites import add_scenario, running_api

LONGEST_SECONDS = 20
"""The deadline is 1 s here; without one the calls took 30 to 120 s."""


@contextmanager
def stopped(engine: servers.OwnEngine) -> Iterator[None]:
    pid = engine._daemon.pid
    assert pid
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def told(call: Callable[[], object]) -> str:
    """What the call says; it must say it soon."""
    started = time.monotonic()
    with pytest.raises(EngineUnavailable) as error:
        call()
    assert time.monotonic() - started < LONGEST_SECONDS
    assert error.value.hint
    return str(error.value)


def test_clickhouse_and_redis(own_redis: servers.OwnEngine, tmp_path: Path, scope: Scope) -> None:
    clickhouse = servers.own_embedded("clickhouse", tmp_path / "clickhouse")
    clickhouse.start()
    settings = Settings(
        home=tmp_path / "home", redis_url=own_redis.url, clickhouse_url=clickhouse.url, answer_seconds=1
    )
    stores = Stores(settings, interactive=True)
    stores.events.migrate()
    assert stores.events.count(scope) == 0
    with stopped(clickhouse), stopped(own_redis):
        assert "did not answer within 1 s" in told(lambda: stores.events.count(scope))
        told(lambda: stores.aggregates.counts(scope, "day", 3))
        told(lambda: ping_redis(stores.redis))
        told(lambda: stores.log.lag([settings.kafka_event_topic], settings.kafka_group))
        told(lambda: stores.log.publisher().publish("any", []) or stores.log.ping())
    assert stores.events.count(scope) == 0
    stores.close()
    clickhouse.stop()


def test_whoever_asks_by_page_route_or_command_is_told_within_seconds(
    own_redis: servers.OwnEngine, tmp_path: Path
) -> None:
    clickhouse = servers.own_embedded("clickhouse", tmp_path / "clickhouse")
    clickhouse.start()
    settings = Settings(
        home=tmp_path / "home", redis_url=own_redis.url, clickhouse_url=clickhouse.url, answer_seconds=1
    )
    stores = Stores(settings, interactive=True)
    stores.events.migrate()
    own, key = add_scenario(stores)
    with stopped(clickhouse):
        with running_api(stores) as address:
            started = time.monotonic()
            path = f"{address}/v1/scenarios/{own.scenario_id}/stats"
            answer = httpx.get(path, headers={"Authorization": f"Bearer {key}"}, timeout=60)
            assert (answer.status_code, time.monotonic() - started < LONGEST_SECONDS) == (503, True)
            assert "did not answer within 1 s" in answer.json()["detail"]
        env = servers.environment(settings.home) | {
            "LEMO_REDIS_URL": own_redis.url,
            "LEMO_CLICKHOUSE_URL": clickhouse.url,
            "LEMO_ANSWER_SECONDS": "1",
            "LEMO_KEY": key,
        }
        for words in (["stats"], ["recommend", "--all"], ["evaluate"]):
            started = time.monotonic()
            done = run_command([*words, "--scenario", own.scenario_id], env)
            assert (done.returncode, "Traceback" in done.stderr) == (1, False), done.stderr
            assert "did not answer within 1 s" in done.stderr
            assert time.monotonic() - started < LONGEST_SECONDS
    clickhouse.stop()


def test_a_pointer_in_s3_is_asked_for_with_the_same_deadline(tmp_path: Path, scope: Scope) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and never answers
        settings = Settings(
            home=tmp_path,
            snapshots_url="s3://bucket/models",
            s3_endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}",
            s3_access_key_id="id",
            s3_secret_access_key="secret",
            answer_seconds=1,
        )
        told(lambda: Stores(settings, interactive=True).snapshots.current(scope, "model"))


def test_mongodb(tmp_path: Path) -> None:
    mongo = servers.own_mongo(tmp_path / "mongo")
    mongo.start()
    stores = Stores(Settings(home=tmp_path / "home", mongo_url=mongo.url, answer_seconds=1), interactive=True)
    with stopped(mongo):
        told(lambda: stores.tenants.list())
    mongo.stop()
    stores.close()
