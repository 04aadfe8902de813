"""`scripts/services`: says what is missing and how to fix it, and stops only what it started."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import servers
from engines.process import Daemon, birth, listens

Services = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def services(tmp_path: Path) -> Services:
    """Runs the script on a folder of its own; `path` is where it finds programs."""

    def run(*arguments: str, path: str = os.environ["PATH"], **more: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": path, "LEMO_SERVICES": str(tmp_path / "services"), **more}
        command = [sys.executable, str(servers.ROOT / "scripts" / "services"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=60)

    return run


def written(tmp_path: Path) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = json.loads((tmp_path / "services" / "servers.json").read_text())
    return found


def test_a_bare_machine_is_told_what_it_lacks_and_goes_on(services: Services, tmp_path: Path) -> None:
    done = services("up", "redis", "kafka", "ferretdb", path=str(tmp_path))
    assert done.returncode == 0, done.stderr
    found = written(tmp_path)
    assert found["redis"] == {"missing": "redis-server missing", "hint": "apt-get install -y redis-server"}
    assert "Java" in found["kafka"]["missing"]
    assert "default-jre-headless" in found["kafka"]["hint"]
    assert "go.dev" in found["ferretdb"]["hint"]


def test_required_fails_where_it_cannot_mend(services: Services, tmp_path: Path) -> None:
    done = services("up", "redis", path=str(tmp_path), LEMO_TEST_SERVERS="required")
    assert done.returncode == 1
    assert "no apt-get" in done.stderr
    assert "these are missing: redis" in done.stderr
    assert "missing" in written(tmp_path)["redis"]


@pytest.mark.skipif(not shutil.which("redis-server"), reason="redis-server missing")
def test_up_twice_is_once_and_down_stops_it(services: Services, tmp_path: Path) -> None:
    port = servers.free_port()
    try:
        first = services("up", "redis", LEMO_TEST_REDIS_PORT=str(port))
        assert first.returncode == 0, first.stderr
        assert written(tmp_path) == {"redis": {"url": f"redis://127.0.0.1:{port}"}}
        pid = Daemon(tmp_path / "services" / "redis").pid
        assert services("up", "redis").returncode == 0
        assert Daemon(tmp_path / "services" / "redis").pid == pid
        shown = services("status", "redis")
        assert shown.returncode == 0
        assert f"redis://127.0.0.1:{port}" in shown.stdout
    finally:
        services("down")
    assert written(tmp_path) == {}
    assert not listens(port)
    shown = services("status", "redis")
    assert (shown.returncode, shown.stdout.split()) == (1, ["redis", "stopped"])


@pytest.mark.skipif(not shutil.which("redis-server"), reason="redis-server missing")
def test_a_named_port_that_is_taken_is_named(services: Services, redis_url: str) -> None:
    taken = redis_url.rpartition(":")[2]
    done = services("up", "redis", LEMO_TEST_REDIS_PORT=taken, LEMO_TEST_SERVERS="required")
    assert done.returncode == 1
    assert f"port {taken} (LEMO_TEST_REDIS_PORT) is taken" in done.stderr


def test_down_spares_a_process_that_got_the_pid_later(services: Services, tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        assert birth(stranger.pid)
        folder = tmp_path / "services" / "redis"
        folder.mkdir(parents=True)
        (folder / "pid.json").write_text(json.dumps({"pid": stranger.pid, "birth": "1", "port": 1}))
        assert services("down", "redis").returncode == 0
        assert stranger.poll() is None
        stranger.send_signal(signal.SIGTERM)


def test_an_unknown_engine_is_wrong_use(services: Services) -> None:
    done = services("up", "mysql")
    assert done.returncode == 2
    assert "no engine is called mysql" in done.stderr


@pytest.mark.parametrize(
    ("known", "why"),
    [
        ({}, "redis was not started. Fix: scripts/services up"),
        ({"redis": {"missing": "redis-server missing", "hint": "apt"}}, "redis: redis-server missing. Fix: apt"),
        ({"redis": {"url": "redis://127.0.0.1:1"}}, "redis does not answer on redis://127.0.0.1:1"),
        ({"redis": {"url": "/no/such"}}, "redis: /no/such is gone"),
    ],
)
def test_a_test_without_its_server_says_why(known: object, why: str) -> None:
    assert servers.lacking("redis", known)[1].startswith(why)


@pytest.mark.parametrize("required", [True, False])
def test_a_test_without_its_server_is_skipped_or_fails(
    required: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEMO_SERVICES", str(tmp_path))
    monkeypatch.setenv("LEMO_TEST_SERVERS", "required" if required else "")
    with pytest.raises((pytest.fail.Exception, pytest.skip.Exception)) as caught:
        servers.server("kafka")
    assert caught.type is (pytest.fail.Exception if required else pytest.skip.Exception)
    assert "kafka was not started" in str(caught.value)
