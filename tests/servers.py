"""Where the servers of the tests are: the real engines of `scripts/services`, and Lemo's own, started here."""

import json
import os
import random
import shutil
import signal
import socket
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import clickhouse_connect
import pytest
from filelock import FileLock

from engines.ferretdb import FerretDB, says_hello, serving
from engines.process import LOOPBACK, Daemon, exchange, listens
from lemo.embedded import supervisor
from lemo.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
REQUIRED = "required"
RUN_FOLDER = "LEMO_TEST_RUN"  # variable: the folder that all workers of one run share
PORTS = (20_000, 32_000)
KEPT_VARIABLES = ("LEMO_TEST_", "LEMO_SERVICES")


def product_variables(environment: Mapping[str, str]) -> list[str]:
    """The variables that would change the settings of the product."""
    return [name for name in environment if name.startswith("LEMO_") and not name.startswith(KEPT_VARIABLES)]


def free_port() -> int:
    """A TCP port that nothing on this machine listened on a moment ago.

    It lies below those that the system gives to connections: one of these could take it before a server does.
    """
    while True:
        port = random.SystemRandom().randrange(*PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind((LOOPBACK, port))
            return port


def environment(home: Path) -> dict[str, str]:
    """The machine's environment with a home folder and ports that nobody else uses."""
    names = ("REDIS", "CLICKHOUSE", "MILVUS", "API", "CONSOLE", "WORKER_METRICS", "CONSUMER_METRICS")
    ports = {f"LEMO_{name}_PORT": str(free_port()) for name in names}
    # NiceGUI behaves differently where it sees pytest's variables.
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LEMO_", "PYTEST_"))}
    return kept | ports | {"LEMO_HOME": str(home)}


def supervised(env: dict[str, str]) -> dict[str, int]:
    """The pid of each process that runs now below that environment's home folder, as `lemo status` tells."""
    states = supervisor.status(Settings(home=Path(env["LEMO_HOME"])))
    return {each.name: each.pid for each in states if each.state == "RUNNING" and each.pid}


def lacking(name: str, servers: object) -> tuple[str, str]:
    """The URL of a server in the contents of servers.json, and why it cannot be used (empty: it can)."""
    known = servers.get(name) if isinstance(servers, dict) else None
    if not isinstance(known, dict) or not known:
        return "", f"{name} was not started. Fix: scripts/services up"
    if "missing" in known:
        return "", f"{name}: {known['missing']}. Fix: {known.get('hint') or 'scripts/services up'}"
    url = str(known["url"])
    if url.startswith("/"):
        return url, "" if Path(url).exists() else f"{name}: {url} is gone. Fix: scripts/services up"
    address = urlsplit(url if "://" in url else f"tcp://{url}")
    if not listens(address.port or 0):
        return "", f"{name} does not answer on {url}. Fix: scripts/services up"
    return url, ""


def services() -> Path:
    """The folder below which `scripts/services` keeps the engines."""
    return Path(os.environ.get("LEMO_SERVICES") or ROOT / ".services")


def server(name: str) -> str:
    """The URL (or path) of a real engine; skips the test without it, or fails it if LEMO_TEST_SERVERS=required."""
    try:
        servers = json.loads((services() / "servers.json").read_text())
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


def _embedded(engine: str, folder: Path, port: int) -> list[str | Path]:
    return [sys.executable, "-m", f"lemo.embedded.{engine}", "--path", folder / "state", "--port", str(port)]


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
            daemon.start(_embedded(engine, folder, port), port)
            daemon.wait(lambda: ANSWERS[engine](port), 60)
        return daemon.port or 0


_NEW_DATABASES: list[str] = []


def new_database(what: str) -> str:
    """The name of a database in the shared ClickHouse that nobody else has; it is dropped after the module's tests.

    Each has tables whose threads look for work: forty idle databases cost a seventh of a processor.
    """
    _NEW_DATABASES.append(f"{what}_{uuid.uuid4().hex[:12]}")
    return _NEW_DATABASES[-1]


def drop_new_databases() -> None:
    """Drops what `new_database` named."""
    if _NEW_DATABASES:
        url = f"http://{LOOPBACK}:{embedded('clickhouse')}"
        with clickhouse_connect.get_client(dsn=url) as client:
            while _NEW_DATABASES:
                client.command(f"DROP DATABASE IF EXISTS {_NEW_DATABASES.pop()}")


class OwnEngine:
    """An engine of one test alone, which may be killed and started again on what it kept."""

    def __init__(
        self, folder: Path, scheme: str, command: Callable[[int], Sequence[str | Path]], answers: Callable[[int], bool]
    ) -> None:
        folder.mkdir(exist_ok=True)
        self._daemon = Daemon(folder)
        self._port = free_port()
        self._command = command(self._port)
        self._answers = answers
        self.url = f"{scheme}://{LOOPBACK}:{self._port}"

    def start(self) -> None:
        """Starts it and waits until it answers."""
        self._daemon.start(self._command, self._port)
        self._daemon.wait(lambda: self._answers(self._port), 60)

    @property
    def pid(self) -> int | None:
        """Its process, if it runs."""
        return self._daemon.pid

    def kill(self) -> None:
        """Ends it with no chance to write anything."""
        pid = self._daemon.pid
        assert pid is not None, "it does not run"
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

    def stop(self) -> None:
        """Asks it to end, if it runs."""
        self._daemon.stop()


def own_embedded(engine: str, folder: Path) -> OwnEngine:
    """An embedded engine (`python -m lemo.embedded.ENGINE`)."""
    scheme = {"redis": "redis", "clickhouse": "http", "milvus": "http"}[engine]
    return OwnEngine(folder, scheme, lambda port: _embedded(engine, folder, port), ANSWERS[engine])


def own_mongo(folder: Path) -> OwnEngine:
    """A FerretDB; skips the test (or fails it) where there is none."""
    server("ferretdb")
    data, state = folder / "data", folder / "state"
    engine = OwnEngine(
        folder, "mongodb", lambda port: serving(FerretDB(services()).binary, data, state, port), says_hello
    )
    data.mkdir()
    state.mkdir()
    return engine


def stop_embedded(run: Path) -> None:
    """Stops every embedded engine of the run and removes what they kept."""
    for pid_file in run.glob("*/pid.json"):
        Daemon(pid_file.parent).stop()
    shutil.rmtree(run, ignore_errors=True)
