"""Where the servers of the tests are: the real engines of `scripts/services`, and Lemo's own, started here."""

import json
import os
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from filelock import FileLock

from engines.process import LOOPBACK, Daemon, exchange, listens

ROOT = Path(__file__).resolve().parent.parent
REQUIRED = "required"
RUN_FOLDER = "LEMO_TEST_RUN"  # variable: the folder that all workers of one run share
KEPT_VARIABLES = ("LEMO_TEST_", "LEMO_SERVICES")


def product_variables(environment: Mapping[str, str]) -> list[str]:
    """The variables that would change the settings of the product."""
    return [name for name in environment if name.startswith("LEMO_") and not name.startswith(KEPT_VARIABLES)]


def free_port() -> int:
    """A TCP port that nothing on this machine listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def lacking(name: str, servers: object) -> tuple[str, str]:
    """The URL of a server in the contents of servers.json, and why it cannot be used (empty: it can)."""
    known = servers.get(name) if isinstance(servers, dict) else None
    if not isinstance(known, dict) or not known:
        return "", f"{name} was not started. Mend: scripts/services up"
    if "missing" in known:
        return "", f"{name}: {known['missing']}. Mend: {known.get('mend') or 'scripts/services up'}"
    url = str(known["url"])
    if url.startswith("/"):
        return url, "" if Path(url).exists() else f"{name}: {url} is gone. Mend: scripts/services up"
    address = urlsplit(url if "://" in url else f"tcp://{url}")
    if not listens(address.port or 0):
        return "", f"{name} does not answer on {url}. Mend: scripts/services up"
    return url, ""


def server(name: str) -> str:
    """The URL (or path) of a real engine; skips the test without it, or fails it if LEMO_TEST_SERVERS=required."""
    file = Path(os.environ.get("LEMO_SERVICES") or ROOT / ".services") / "servers.json"
    try:
        servers = json.loads(file.read_text())
    except (FileNotFoundError, ValueError):
        servers = {}
    url, reason = lacking(name, servers)
    if reason and os.environ.get("LEMO_TEST_SERVERS") == REQUIRED:
        pytest.fail(f"LEMO_TEST_SERVERS=required, but {reason}", pytrace=False)
    if reason:
        pytest.skip(reason)
    return url


def _redis_answers(port: int) -> bool:
    return exchange(port, b"PING\r\n", b"+PONG")


def _clickhouse_answers(port: int) -> bool:
    return exchange(port, b"GET /ping HTTP/1.0\r\n\r\n", b"200 OK")


def _milvus_answers(port: int) -> bool:
    import grpc  # type: ignore[import-untyped]

    with grpc.insecure_channel(f"{LOOPBACK}:{port}") as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=1)
        except grpc.FutureTimeoutError:
            return False
    return True


ANSWERS: dict[str, Callable[[int], bool]] = {
    "redis": _redis_answers,
    "clickhouse": _clickhouse_answers,
    "milvus": _milvus_answers,
}


def embedded(engine: str, name: str | None = None) -> int:
    """The port of an embedded engine (`python -m lemo.embedded.ENGINE`), started by whichever worker asks first.

    `name` tells apart several of one engine. They live until `stop_embedded`.
    """
    folder = Path(os.environ[RUN_FOLDER]) / (name or engine)
    folder.mkdir(exist_ok=True)
    daemon = Daemon(folder)
    with FileLock(folder / "lock"):
        if daemon.pid is None:
            port = free_port()
            daemon.start(
                [sys.executable, "-m", f"lemo.embedded.{engine}", "--path", folder / "state", "--port", str(port)], port
            )
            daemon.wait(lambda: ANSWERS[engine](port), 60)
        return daemon.port or 0


class OwnRedis:
    """An embedded Redis of one test alone, which may be killed and started again on what it kept."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._daemon = Daemon(folder)
        self._port = free_port()
        self.url = f"redis://{LOOPBACK}:{self._port}"

    def start(self) -> None:
        """Starts it and waits until it answers."""
        path, port = str(self._folder / "state"), str(self._port)
        self._daemon.start([sys.executable, "-m", "lemo.embedded.redis", "--path", path, "--port", port], self._port)
        self._daemon.wait(lambda: _redis_answers(self._port), 30)

    def kill(self) -> None:
        """Ends it with no chance to write anything."""
        pid = self._daemon.pid
        assert pid is not None, "it does not run"
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def stop_embedded(run: Path) -> None:
    """Stops every embedded engine of the run and removes what they kept."""
    for pid_file in run.glob("*/pid.json"):
        Daemon(pid_file.parent).stop()
    shutil.rmtree(run, ignore_errors=True)
