"""Which processes this machine runs: the engines that have no URL, and Lemo's services."""

import http.client
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lemo.embedded.health import Check
from lemo.settings import Settings


@dataclass(frozen=True)
class Listens:
    """Where a program listens, and the setting that changes it."""

    host: str
    port: int
    setting: str


@dataclass(frozen=True)
class Program:
    """One supervised process: how it is started, and how one sees that it is ready."""

    name: str
    command: tuple[str, ...]
    group: Literal["engines", "services"] = "services"
    listens: Listens | None = None
    ready: Callable[[], bool] = lambda: True
    """Asked once the process runs; False or OSError: not yet."""
    check: Check | None = None
    """What a living process answers at once; the supervisor starts again one that does not."""
    stop_seconds: int = 20
    """How long it may take to end in order before it is killed."""


def lemo(*words: str) -> tuple[str, ...]:
    """The command line of a `lemo` sub-command in this interpreter's environment, which has the same packages."""
    script = Path(sys.executable).with_name("lemo")
    return (str(script), *words) if script.exists() else (sys.executable, "-m", "lemo.cli.main", *words)


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)


def accepts(host: str, port: int) -> bool:
    """Whether somebody accepts connections there; raises OSError when not."""
    with socket.create_connection((_reachable(host), port), timeout=2):
        return True


def answers(host: str, port: int, path: str) -> bool:
    """Whether a GET answers 200; raises OSError when nobody does."""
    connection = http.client.HTTPConnection(_reachable(host), port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except http.client.HTTPException:
        return False
    finally:
        connection.close()


def _redis_answers(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
        connection.sendall(b"PING\r\n")
        return connection.recv(64).startswith(b"+PONG")  # not -LOADING


def programs(settings: Settings) -> list[Program]:
    """The engines whose URL is not set, then the services, in the order of their start."""
    here = "127.0.0.1"
    table = []
    if settings.redis_url is None:
        port = settings.redis_port
        table.append(
            Program(
                "redis",
                lemo("engine", "redis"),
                "engines",
                Listens(here, port, "LEMO_REDIS_PORT"),
                lambda port=port: _redis_answers(port),  # type: ignore[misc]
                Check("redis", here, port),
            )
        )
    if settings.clickhouse_url is None:
        port = settings.clickhouse_port
        table.append(
            Program(
                "clickhouse",
                lemo("engine", "clickhouse"),
                "engines",
                Listens(here, port, "LEMO_CLICKHOUSE_PORT"),
                lambda port=port: answers(here, port, "/ping"),  # type: ignore[misc]
                Check("http", here, port, "/ping"),
            )
        )
    if not settings.milvus_uri:
        port = settings.milvus_port
        table.append(
            Program(
                "milvus",
                lemo("engine", "milvus"),
                "engines",
                Listens(here, port, "LEMO_MILVUS_PORT"),
                lambda port=port: Check("http2", here, port).answers(),  # type: ignore[misc]
                Check("http2", here, port),
            )
        )
    api, console = (settings.api_host, settings.api_port), (settings.console_host, settings.console_port)
    return [
        *table,
        Program("worker", lemo("worker"), check=_metrics(settings.worker_metrics_host, settings.worker_metrics_port)),
        Program("beat", lemo("beat")),
        Program(
            "consumer",
            lemo("consumer"),
            check=_metrics(settings.consumer_metrics_host, settings.consumer_metrics_port),
        ),
        Program(
            "api",
            lemo("api"),
            "services",
            Listens(*api, "LEMO_API_PORT"),
            lambda: answers(*api, "/health/ready"),
            Check("http", _reachable(api[0]), api[1], "/health/live"),
        ),
        Program(
            "console",
            lemo("console"),
            "services",
            Listens(*console, "LEMO_CONSOLE_PORT"),
            lambda: accepts(*console),
            Check("http", _reachable(console[0]), console[1], "/health/live"),
        ),
    ]


def _metrics(host: str, port: int) -> Check | None:
    return Check("http", _reachable(host), port, "/metrics") if port else None
