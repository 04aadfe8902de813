"""What an engine claims before it starts: its folder (one process per path) and its port."""

import argparse
import os
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from lemo.domain.errors import Conflict, LemoError


def claim_folder(path: Path, engine: str) -> FileLock:
    """Locks a folder for this process and writes its pid there; raises Conflict when another process has it.

    The kernel frees the lock with the process, so a kill -9 leaves nothing to clean.
    """
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = FileLock(path / "engine.lock")
    pid_file = path / "engine.pid"
    try:
        lock.acquire(timeout=0)
    except Timeout:
        owner = pid_file.read_text().strip() if pid_file.exists() else "unknown"
        raise Conflict(
            f"{engine}: the folder {path} is in use by process {owner}; only one process may open it.",
            "Stop that process (`lemo down`), or choose another folder with LEMO_HOME.",
        ) from None
    pid_file.write_text(f"{os.getpid()}\n")
    return lock


def bind(host: str, port: int, what: str, setting: str) -> socket.socket:
    """A bound TCP socket, not yet listening; raises Conflict, naming the setting, when the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    claimed = socket.socket(family, socket.SOCK_STREAM)
    claimed.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # or a restart waits for TIME_WAIT to pass
    try:
        claimed.bind((host, port))
    except OSError as error:
        claimed.close()
        raise Conflict(
            f"{what} cannot listen on {host}:{port}: {error.strerror or error}.",
            f"Stop what uses the port, or choose another with {setting} (environment, .env or lemo.toml).",
        ) from None
    return claimed


def check_port(host: str, port: int, what: str, setting: str) -> None:
    """Raises Conflict, naming the setting that changes it, when the port is in use."""
    bind(host, port, what, setting).close()  # it never listens, so nobody takes the probe for the server


def engine_main(
    argv: Sequence[str] | None, name: str, about: str, port: int, serve: Callable[[Path, int, str], None]
) -> int:
    """The `python -m lemo.embedded.NAME --path DIR --port P [--host H]` of an engine; returns the exit code."""
    parser = argparse.ArgumentParser(prog=f"python -m lemo.embedded.{name}", description=about)
    parser.add_argument("--path", type=Path, required=True, help="folder that the engine owns; created if absent")
    parser.add_argument("--port", type=int, default=port, help=f"TCP port (default {port})")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    given = parser.parse_args(argv)
    try:
        serve(given.path.absolute(), given.port, given.host)
    except LemoError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0
