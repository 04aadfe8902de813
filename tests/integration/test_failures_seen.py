"""A failed run is seen at both /metrics and in the doctor; a worker is alive that completes the worker check."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from redis import Redis

from lemo.diagnostics.dependencies import Dependency
from lemo.diagnostics.doctor import examine, states
from lemo.diagnostics.report import Finding
from lemo.domain.scenario import scenario_from_template
from lemo.scheduling.execution import ATTEMPTS
from lemo.settings import Settings
from lemo.stores.connect import Stores
from servers import free_port
from sites import wait_for

ENTRY = "train-model-daily"


@contextmanager
def service(name: str, log: Path) -> "Iterator[subprocess.Popen[bytes]]":
    with log.open("ab") as output:
        process = subprocess.Popen([sys.executable, "-m", "lemo.cli.main", name], stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.timeout(300)
def test_a_failed_run_and_a_live_worker_are_seen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, valkey_url: str
) -> None:
    port = free_port()
    nothing = str(free_port())
    values = {
        "home": str(tmp_path),
        "installation": "failures",
        "redis_url": valkey_url,
        "worker_metrics_port": str(port),
        "clickhouse_port": nothing,
        "milvus_port": nothing,
        "api_port": str(free_port()),
    }
    for name, value in values.items():
        monkeypatch.setenv(f"LEMO_{name}".upper(), value)
    settings = Settings()
    with Redis.from_url(settings.redis(1)) as broker:
        broker.flushdb()
    stores = Stores(settings)
    stores.tenants.create("default")
    stores.scenarios.create("default", scenario_from_template("shop", "ecommerce"))
    # Its last attempt: the worker finds ClickHouse away once more, and gives up.
    run = stores.runs.create("default", ENTRY, "shop", "manual")
    run.attempts, run.retry_at = ATTEMPTS - 1, datetime.now(UTC) + timedelta(days=1)
    stores.runs.save("default", run)

    def seen(dependency: Dependency) -> Finding:
        return states(examine(settings), [dependency])[dependency]

    def has(place: int, line: str) -> bool:
        try:
            return line in httpx.get(f"http://127.0.0.1:{place}/metrics", trust_env=False).text.splitlines()
        except httpx.TransportError:
            return False

    failed = f'lemo_runs_total{{entry="{ENTRY}",outcome="failed"}}'

    assert seen(Dependency.worker).state == "missing"
    with service("worker", tmp_path / "log"):
        wait_for(lambda: has(port, f"{failed} 0.0"), 60)
        wait_for(lambda: seen(Dependency.worker).state == "ok", 60)
        run.retry_at = datetime.now(UTC)
        stores.runs.save("default", run)
        wait_for(lambda: has(port, f"{failed} 1.0"), 60)
    failing = seen(Dependency.failing)
    assert (failing.state, ENTRY in failing.detail) == ("warning", True)
    assert seen(Dependency.worker).state == "missing"
    with service("api", tmp_path / "log"):
        gauge = f'lemo_jobs_failing{{entry="{ENTRY}"}} 1.0'
        wait_for(lambda: has(settings.api_port, gauge), 60)
    stores.close()
