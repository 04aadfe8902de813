"""One whole offline pass on real data: train, relate items, profile users, recommend to everyone.

The jobs run as a worker runs them, one after the other in one fresh process, on the embedded engines; the data set has
been taken in before. Everyone gets recommendations, however long ago the last act was. Times are of this machine.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from engines.process import LOOPBACK, Daemon
from lemo.domain.scope import Scope
from lemo.files.folders import open_folder
from lemo.jobs.report import unattended
from lemo.scheduling.jobs import JOBS
from lemo.settings import Settings
from lemo.stores.connect import Stores
from servers import ANSWERS, free_port

DATASETS = Path(__file__).resolve().parents[2] / "shared" / "datasets"
NAMES = ("movietweetings-latest", "online-retail", "goodbooks-10k")
TENANT = "bench"
PASS = (
    "train-model-daily",
    "compute-item-similarity-hourly",
    "update-user-profiles-2hours",
    "precompute-recommendations-4hours",
)
BATCH = 10_000
ELSEWHERE = (
    "Measured elsewhere, for orientation only: one pass of Gorse 0.5.11 took 108 to 510 s for 61,000 to 211,000"
    " interactions on 2 cores."
)


def main() -> None:
    """Prints the table, or, as a process of the benchmark, runs one pass."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, help=f"folders of data (default: those of {DATASETS})")
    parser.add_argument("--rounds", type=int, default=1, help="passes over each, the best one counts (default: 1)")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(one_pass(arguments.one)))
        return
    folders = arguments.folders or [DATASETS / name for name in NAMES if (DATASETS / name).is_dir()]
    if not folders:
        parser.error(f"there is no data in {DATASETS}: name a folder that holds items and events")
    compare(folders, arguments.rounds)


def compare(folders: Sequence[Path], rounds: int) -> None:
    """Takes each data set in, runs the passes in processes of their own, and prints seconds and memory."""
    print(
        f"{'data':<24}{'events':>9}{'users':>8}{'items':>8}{'train':>8}{'relate':>8}{'profile':>9}{'answers':>9}",
        end="",
    )
    print(f"{'seconds':>9}{'MB':>7}", flush=True)
    with tempfile.TemporaryDirectory() as home, engines(Path(home)) as environment:
        for folder in folders:
            scenario, counts = take_in(folder, environment)
            passes = [run_pass(scenario, environment) for _ in range(rounds)]
            best = min(passes, key=lambda each: float(each["seconds"]))
            users = best["jobs"]["precompute-recommendations-4hours"][1]
            print(f"{folder.name:<24}{counts['events']:>9,}{users:>8,}{counts['items']:>8,}", end="")
            for entry, width in zip(PASS, (8, 8, 9, 9), strict=True):
                print(f"{best['jobs'][entry][0]:>{width}.1f}", end="")
            print(f"{best['seconds']:>9.1f}{best['megabytes']:>7.0f}", flush=True)
    print(f"\nSeconds of the whole pass, its process's start included; MB: that process's peak.\n{ELSEWHERE}")


def take_in(folder: Path, environment: dict[str, str]) -> tuple[str, dict[str, int]]:
    """Writes a data set into the stores as the consumer does, and embeds its items; returns the scenario."""
    stores = Stores(settings_of(environment))
    dataset = open_folder(folder)
    scope = Scope(TENANT, dataset.scenario.scenario_id)
    if not stores.tenants.exists(TENANT):
        stores.tenants.create(TENANT)
    stores.scenarios.create(TENANT, dataset.scenario.model_copy(update={"active_days": 3650}))
    stores.events.migrate()
    counts = {"items": 0, "events": 0}
    moment = time.time_ns() // 1_000_000
    items = iter(dataset.items)
    while batch := list(islice(items, BATCH)):
        stores.items.upsert(scope, batch, [moment] * len(batch))
        stores.availability.add(scope, batch, [moment] * len(batch))
        stores.embedding_queue.add(scope, [item.item_id for item in batch])
        counts["items"] += len(batch)
    in_history = {action for action, rule in dataset.scenario.actions.items() if rule.in_history}
    events = iter(dataset.events)
    while rows := [(scope, event) for event in islice(events, BATCH)]:
        stores.events.insert(rows)
        stores.history.add([row for row in rows if row[1].action in in_history])
        counts["events"] += len(rows)
    JOBS["embed-items"].work()(stores, scope, unattended())
    stores.close()
    return scope.scenario_id, counts


def run_pass(scenario: str, environment: dict[str, str]) -> dict[str, Any]:
    """One pass in a process of its own."""
    started = time.monotonic()
    command = [sys.executable, __file__, "--one", scenario]
    answer = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return found | {"seconds": time.monotonic() - started}


def one_pass(scenario: str) -> dict[str, Any]:
    """Runs the jobs; seconds and rows of each, and the peak memory of this process in MB."""
    stores = Stores(Settings())
    scope = Scope(TENANT, scenario)
    jobs = {}
    for entry in PASS:
        started = time.monotonic()
        done = JOBS[entry].work()(stores, scope, unattended(full=True))
        jobs[entry] = (time.monotonic() - started, done.rows_written)
    stores.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"jobs": jobs, "megabytes": peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)}


@contextmanager
def engines(home: Path) -> Iterator[dict[str, str]]:
    """The environment of a worker beside engines of its own: Redis, ClickHouse and Milvus, all embedded."""
    daemons = []
    ports = {}
    try:
        for name in ("redis", "clickhouse", "milvus"):
            folder, port = home / name, free_port()
            folder.mkdir()
            daemon = Daemon(folder)
            path = str(folder / "state")
            daemon.start([sys.executable, "-m", f"lemo.embedded.{name}", "--path", path, "--port", str(port)], port)
            daemons.append(daemon)
            ports[name] = port
        for daemon, (name, port) in zip(daemons, ports.items(), strict=True):
            daemon.wait(partial(ANSWERS[name], port), 60)
        yield {
            **{name: value for name, value in os.environ.items() if not name.startswith("LEMO_")},
            "LEMO_HOME": str(home / "lemo"),
            "LEMO_REDIS_URL": f"redis://{LOOPBACK}:{ports['redis']}",
            "LEMO_CLICKHOUSE_URL": f"http://{LOOPBACK}:{ports['clickhouse']}",
            "LEMO_MILVUS_URI": f"http://{LOOPBACK}:{ports['milvus']}",
            "LEMO_LOG_LEVEL": "WARNING",
        }
    finally:
        for daemon in daemons:
            daemon.stop()


def settings_of(environment: dict[str, str]) -> Settings:
    """The settings that the environment of the worker says."""
    given = {name.removeprefix("LEMO_").lower(): value for name, value in environment.items() if name[:5] == "LEMO_"}
    return Settings.model_validate(given)


if __name__ == "__main__":
    main()
