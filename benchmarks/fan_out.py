"""How long until a job that is due has been sent for 1,000 scenarios? One entry of ours beside 1,000 of stock RedBeat.

RedBeat needs an entry for each scenario. Ours has one: beat starts its task, a worker records a run for each scenario
and sends it. Both on the same embedded Redis, in turns; measured from the due moment until the last is with the broker.
"""

import argparse
import base64
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from redis import Redis

from beat import LEAD, LIMIT_SECONDS, OURS, STOCK, one_round, write
from lemo.domain.scenario import scenario_from_template
from lemo.settings import Settings
from lemo.stores.connect import Stores
from servers import own_embedded

ENTRY, QUEUE = "train-model-daily", "model_training"
FAN_OUT = "lemo.fan_out."
TENANTS = 20


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=1000, help=f"in {TENANTS} tenants (default: 1000)")
    parser.add_argument("--rounds", type=int, default=3, help="of each, in turns (default: 3)")
    arguments = parser.parse_args()
    last: dict[str, list[float]] = {OURS: [], STOCK: []}
    with tempfile.TemporaryDirectory() as folder:
        server = own_embedded("redis", Path(folder) / "redis")
        server.start()
        try:
            os.environ |= {"LEMO_REDIS_URL": server.url, "LEMO_HOME": f"{folder}/home"}
            create(Path(folder) / "home", server.url, arguments.entries)
            for _ in range(arguments.rounds):
                last[OURS].append(fan_out(Path(folder), server.url, arguments.entries))
                last[STOCK].append(max(one_round(STOCK, arguments.entries, server.url, folder)))
        finally:
            server.kill()
    print(f"A job due for {arguments.entries:,} scenarios, {arguments.rounds} rounds each; until the last is sent\n")
    print(f"{'scheduler':<12}{'entries':>9}{'runs recorded':>15}{'median ms':>11}")
    for name, entries, recorded in ((OURS, 1, arguments.entries), (STOCK, arguments.entries, 0)):
        print(f"{name:<12}{entries:>9,}{recorded:>15,}{median(last[name]) * 1000:>11,.0f}")
    print(f"\n{OURS} / {STOCK}: {median(last[OURS]) / median(last[STOCK]):.2f}")


def create(home: Path, url: str, scenarios: int) -> None:
    """Tenants and their scenarios."""
    with closing(Stores(Settings(home=home, redis_url=url))) as stores:
        for number in range(scenarios):
            tenant_id = f"tenant-{number % TENANTS}"
            if number < TENANTS:
                stores.tenants.create(tenant_id)
            stores.scenarios.create(tenant_id, scenario_from_template(f"scenario-{number}", "vlog"))


def fan_out(folder: Path, url: str, scenarios: int) -> float:
    """Seconds from the due moment until the last run is on its queue."""
    # Imported now: it reads the settings.
    from redbeat.schedulers import ensure_conf

    from lemo.tasks.celery_app import app

    forget_runs(url)
    lock = ensure_conf(app).lock_key
    worker = ("celery", "-A", "lemo.tasks.celery_app", "worker", "-Q", "default", "-c", "1")
    with Redis.from_url(url) as redis, Redis.from_url(f"{url}/1") as broker, ExitStack() as stack:
        redis.flushall()
        stack.enter_context(process(folder, *worker))
        stack.enter_context(process(folder, "lemo.cli.main", "beat"))
        # Beat leads, and the worker waits for tasks.
        wait(lambda: redis.exists(lock) > 0 and broker.exists("lemo:_kombu.binding.default") > 0)
        due = datetime.now(UTC) + LEAD
        write(1, due, FAN_OUT + ENTRY, {"due": None})
        wait(lambda: broker.llen(f"lemo:{QUEUE}") >= scenarios)
        seconds: float = time.time() - due.timestamp()
        check(broker, url, scenarios)
        return seconds


def forget_runs(url: str) -> None:
    """Deletes the runs of earlier rounds: a worker's recovery sends again those that no queue holds, among ours."""
    with closing(Stores(Settings(redis_url=url))) as stores:
        for tenant_id in stores.tenants.list():
            stores.runs.delete_before(tenant_id, datetime.now(UTC))


def check(broker: Redis, url: str, scenarios: int) -> None:
    """Ends the benchmark unless each scenario has one run, and each run a message on the queue."""
    with closing(Stores(Settings(redis_url=url))) as stores:
        runs = [
            run for tenant_id in stores.tenants.list() for run in stores.runs.list(tenant_id, ENTRY, limit=scenarios)
        ]
    sent = {message_run_id(message) for message in broker.lrange(f"lemo:{QUEUE}", 0, -1)}
    if len({run.scenario_id for run in runs}) != scenarios or {run.run_id for run in runs} != sent:
        raise SystemExit(
            f"Of {scenarios:,} scenarios that were due, {len(runs):,} have runs and {len(sent):,} were sent."
        )


def message_run_id(message: bytes | str) -> str:
    """The run that a message on a queue starts."""
    arguments, *_ = json.loads(base64.b64decode(json.loads(message)["body"]))
    return str(arguments[2])


@contextmanager
def process(folder: Path, *module: str) -> Iterator[None]:
    """A service of the product, with the settings that this process has in its environment."""
    with (folder / "log").open("ab") as log:
        started = subprocess.Popen([sys.executable, "-m", *module], stdout=log, stderr=log)
    try:
        yield
    finally:
        started.terminate()
        started.wait()


def wait(condition: Callable[[], bool]) -> None:
    """Until it holds; ends the benchmark when it never does."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("The fan-out did not come to its end.")
        time.sleep(0.002)


if __name__ == "__main__":
    main()
