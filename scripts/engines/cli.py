"""`scripts/services`: install, up, down, status."""

import argparse
import fcntl
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from engines import debian
from engines.chromium import Chromium
from engines.engine import Engine, say
from engines.ferretdb import FerretDB
from engines.flink import Flink
from engines.helm import Helm
from engines.kafka import Kafka
from engines.process import Failed, stop_tools
from engines.prometheus import Prometheus
from engines.redis import Redis

ENGINES: tuple[type[Engine], ...] = (Redis, Kafka, FerretDB, Chromium, Prometheus)
BY_NAME: tuple[type[Engine], ...] = (Helm, Flink)
"""Those that are brought only when they are named."""

HELP = """\
The real engines that the tests talk to, each on its own port of this machine, all below .services/.

  install   bring what is missing below .services/ (downloads, builds), start nothing
  up        install, start, wait until each engine answers, write .services/servers.json
  down      stop what `up` started
  status    say what runs; exit code 1 unless all of it does

LEMO_TEST_SERVERS=required   as root, install Debian's packages too; fail when an engine cannot be had
LEMO_SERVICES=FOLDER         instead of .services/
LEMO_TEST_REDIS_PORT, LEMO_TEST_KAFKA_PORT, LEMO_TEST_MONGO_PORT   instead of 17001, 17002, 17004
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="scripts/services", usage="%(prog)s {up,down,status,install} [NAME ...]", add_help=True,
        description=HELP, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("command", choices=["up", "down", "status", "install"], metavar="COMMAND")
    names = [engine.name for engine in (*ENGINES, *BY_NAME)]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"only these of {', '.join(names)}")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.names) - set(names))
    if unknown:
        parser.error(f"no engine is called {', '.join(unknown)}; there are {', '.join(names)}")

    root = Path(__file__).resolve().parent.parent.parent
    services = Path(os.environ.get("LEMO_SERVICES") or root / ".services").absolute()
    services.mkdir(parents=True, exist_ok=True)
    wanted = [each for each in (*ENGINES, *BY_NAME) if each.name in options.names] if options.names else ENGINES
    engines = [engine(services) for engine in wanted]
    for engine in engines:
        engine.folder.mkdir(exist_ok=True)
    if options.command == "status":
        return status(engines)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupted)
    with only_one(services):
        if options.command == "down":
            return down(engines, services)
        return up(engines, services, start=options.command == "up")


def interrupted(number: int, _frame: FrameType | None) -> None:
    """Ends the tools at work, so that the threads that wait for them end, and the command."""
    stop_tools()
    sys.exit(128 + number)


def up(engines: Sequence[Engine], services: Path, start: bool) -> int:
    """Brings the engines, all at once, starts them if `start`, and writes down where they are or why they are not."""
    required = os.environ.get("LEMO_TEST_SERVERS") == "required"
    began = time.monotonic()
    servers: dict[str, dict[str, str]] = {}
    with ThreadPoolExecutor(len(engines) + 1) as pool:
        lacking = {engine.name: engine.lacks() for engine in engines}
        packages: Future[None] | None = None
        if required:
            packages = pool.submit(debian.install, [lack for lacks in lacking.values() for lack in lacks], services)

        def bring(engine: Engine) -> str | None:
            if lacking[engine.name] and packages:
                packages.result()  # raises what went wrong
            lacks = engine.lacks()
            if lacks:
                raise Failed(f"{' and '.join(lack.what for lack in lacks)} missing", "; ".join(x.hint for x in lacks))
            engine.install()
            if not start:
                return None
            since = time.monotonic()
            ran = engine.url() is not None
            url = engine.start()
            say(engine.name, url if ran else f"{url} (ready in {time.monotonic() - since:.1f} s)")
            return url

        for engine, future in [(engine, pool.submit(bring, engine)) for engine in engines]:
            try:
                url = future.result()
            except Failed as failed:
                say(engine.name, f"MISSING: {failed}")
                servers[engine.name] = {"missing": failed.reason, "hint": failed.hint}
            else:
                servers[engine.name] = {"url": url} if url else {}
    missing = [name for name, server in servers.items() if "missing" in server]
    if start:
        write(services, servers)
        say("services", f"{len(servers) - len(missing)} of {len(servers)} up in {time.monotonic() - began:.1f} s")
    if missing and required:
        say("services", f"LEMO_TEST_SERVERS=required, but these are missing: {', '.join(missing)}")
        return 1
    return 0


def down(engines: Sequence[Engine], services: Path) -> int:
    """Stops the engines and forgets where they were."""
    with ThreadPoolExecutor(len(engines)) as pool:
        for engine, ran in zip(engines, pool.map(lambda each: each.stop(), engines), strict=True):
            if ran:
                say(engine.name, "stopped")
    write(services, dict.fromkeys((engine.name for engine in engines), None))
    return 0


def status(engines: Sequence[Engine]) -> int:
    """One line an engine on standard output."""
    running = True
    for engine in engines:
        url, pid = engine.url(), engine.daemon.pid
        lacks = engine.lacks()
        if url and not lacks:
            state = f"{url}  (pid {pid})" if pid else url
        else:
            running = False
            state = "; ".join(f"missing {lack.what}: {lack.hint}" for lack in lacks) or "stopped"
        print(f"{engine.name:<9} {state}")
    return 0 if running else 1


def write(services: Path, changes: dict[str, dict[str, str]] | dict[str, None]) -> None:
    """Changes the entries of servers.json (None drops one), in one step for whoever reads it."""
    file = services / "servers.json"
    try:
        servers = json.loads(file.read_text())
    except (FileNotFoundError, ValueError):
        servers = {}
    servers = {name: server for name, server in {**servers, **changes}.items() if server is not None}
    part = file.with_suffix(".part")
    part.write_text(json.dumps(servers, indent=2) + "\n")
    part.replace(file)


@contextmanager
def only_one(services: Path) -> Iterator[None]:
    """Keeps two of these commands from working on the same folder at once."""
    with (services / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("services   waiting for another scripts/services to end", file=sys.stderr, flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
