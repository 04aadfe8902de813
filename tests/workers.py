"""An installation with a small world, and real workers that wait at gates (tests/gates)."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lemo.domain.run import Run
from lemo.domain.scenario import scenario_from_template
from lemo.domain.scope import Scope
from lemo.jobs.report import unattended
from lemo.scheduling.jobs import JOBS
from lemo.settings import Settings
from lemo.simulator.world import World
from lemo.stores.connect import Stores
from servers import ROOT
from sites import wait_for

TRAINING = "train-model-daily"
SWITCH = 9
"""The number of the gate in front of the moment at which a snapshot is put into service."""
LEASE_SECONDS = 2.0

SEND = """
import sys
from lemo.scheduling.dispatch import send
from lemo.tasks.perform import worker_stores
for run_id in sys.argv[2:]:
    send(worker_stores().runs.get(sys.argv[1], run_id), sys.argv[1])
"""


class WorkerSite:
    """An installation with a small world, whose workers wait at gates (tests/gates)."""

    def __init__(self, folder: Path, variables: dict[str, str], lease_seconds: float = LEASE_SECONDS) -> None:
        self.folder = folder
        self.gates = folder / "gates"
        self.gates.mkdir()
        self.variables = {**variables, "LEMO_HOME": str(folder / "home"), "LEMO_TEST_GATES": str(self.gates)}
        self.variables["LEMO_TEST_LEASE_SECONDS"] = str(lease_seconds)
        values = {name.removeprefix("LEMO_").lower(): value for name, value in self.variables.items()}
        self.settings = Settings(
            home=folder / "home",
            redis_url=values["redis_url"],
            clickhouse_url=values["clickhouse_url"],
            milvus_uri=values["milvus_uri"],
            worker_concurrency=int(values["worker_concurrency"]),
            embedding_dimensions=int(values["embedding_dimensions"]),
        )
        self.stores = Stores(self.settings)
        self.scope = Scope(f"tenant-{uuid.uuid4().hex[:12]}", "shop")
        self.log = folder / "log"

    def fill(self) -> None:
        """What the consumer would have written."""
        stores, scope = self.stores, self.scope
        stores.events.migrate()
        stores.tenants.create(scope.tenant_id)
        stores.scenarios.create(scope.tenant_id, scenario_from_template("shop", "ecommerce"))
        dataset = World(seed=3, scale=0.1).datasets()[2]
        items = list(dataset.items)
        stores.items.upsert(scope, items, [1_790_000_000_000] * len(items))
        stores.events.insert([(scope, event) for event in dataset.events])
        stores.embedding_queue.add(scope, [item.item_id for item in items])

    @contextmanager
    def worker(self) -> "Iterator[subprocess.Popen[bytes]]":
        environment = {**os.environ, **self.variables, "PYTHONPATH": str(ROOT / "tests" / "gates")}
        with self.log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "lemo.cli.main", "worker"], env=environment, stdout=output, stderr=output
            )
        try:
            yield process
        finally:
            # Its children end with it, also those that stand still.
            process.kill()
            process.wait()

    def start(self, *entries: str) -> list[Run]:
        """Runs asked for by hand."""
        tenant_id, scenario_id = self.scope.tenant_id, self.scope.scenario_id
        runs = [self.stores.runs.create(tenant_id, entry, scenario_id, "manual") for entry in entries]
        subprocess.run(
            [sys.executable, "-c", SEND, tenant_id, *(run.run_id for run in runs)],
            env={**os.environ, **self.variables},
            check=True,
            timeout=60,
        )
        return runs

    def check_results(self, runs: list[Run]) -> None:
        """What the runs did is what the same job does that nobody disturbs."""
        for run in map(self.now, runs):
            if run.entry == "embed-items":
                assert self.stores.vectors.count(self.scope) == self.stores.items.count(self.scope)
            elif run.entry == "aggregate-realtime-minutely":
                again = JOBS[run.entry].work()(self.stores, self.scope, unattended(full=True))
                assert (again.rows_read, again.rows_written) == (run.rows_read, 0)
            elif run.entry not in ("cleanup-expired-cache-daily", "check-experiments-hourly"):
                undisturbed = JOBS[run.entry].work()(self.stores, self.scope, unattended())
                assert run.rows_read == undisturbed.rows_read > 0

    def now(self, run: Run) -> Run:
        return self.stores.runs.get(self.scope.tenant_id, run.run_id)

    def shut(self, entry: str, number: int) -> Path:
        gate = self.gates / f"{entry}.{number}.shut"
        gate.touch()
        return gate

    def waiting_at(self, entry: str, number: int) -> list[int]:
        """The processes that have come to the gate."""
        names = [path.name for path in self.gates.glob(f"{entry}.{number}.*")]
        return [int(name.rpartition(".")[2]) for name in names if not name.endswith(".shut")]

    def ended(self, *runs: Run) -> None:
        """Waits until the runs have ended, and well."""
        wait_for(lambda: all(self.now(run).finished for run in runs), 60)
        assert [(self.now(run).outcome, self.now(run).error) for run in runs] == [("ok", "")] * len(runs)


@contextmanager
def worker_site(
    folder: Path,
    redis_url: str,
    clickhouse_url: str,
    milvus_uri: str,
    concurrency: int,
    lease_seconds: float = LEASE_SECONDS,
) -> Iterator[WorkerSite]:
    """A site whose world is there. Each of a worker's children takes seconds to start: no more than are needed."""
    variables = {
        "LEMO_REDIS_URL": redis_url,
        "LEMO_CLICKHOUSE_URL": clickhouse_url,
        "LEMO_MILVUS_URI": milvus_uri,
        "LEMO_WORKER_CONCURRENCY": str(concurrency),
        "LEMO_EMBEDDING_DIMENSIONS": "8",
    }
    site = WorkerSite(folder, variables, lease_seconds)
    site.fill()
    yield site
    site.stores.close()


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
