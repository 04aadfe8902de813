"""Real workers that are killed, stopped and cut off in the middle of real jobs: no run is lost, none happens twice."""

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from lemo.domain.run import Run
from lemo.domain.scenario import scenario_from_template
from lemo.domain.scope import Scope
from lemo.jobs.catalog import JOBS
from lemo.jobs.report import unattended
from lemo.settings import Settings
from lemo.simulator.world import World
from lemo.stores.connect import Stores
from servers import ROOT, OwnRedis
from sites import wait_for

TRAINING = "train-model-daily"
SWITCH = 9
"""The number of the gate in front of the moment at which a snapshot is put into service."""


class Site:
    """An installation with a small world, whose workers wait at gates (tests/gates)."""

    def __init__(self, folder: Path, variables: dict[str, str]) -> None:
        self.folder = folder
        self.gates = folder / "gates"
        self.gates.mkdir()
        self.variables = {**variables, "LEMO_HOME": str(folder / "home"), "LEMO_TEST_GATES": str(self.gates)}
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
                [sys.executable, "-m", "lemo.cli", "worker"], env=environment, stdout=output, stderr=output
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
            elif run.entry != "cleanup-expired-cache-daily":
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


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


SEND = """
import sys
from lemo.tasks.dispatch import send, worker_stores
for run_id in sys.argv[2:]:
    send(worker_stores().runs.get(sys.argv[1], run_id), sys.argv[1])
"""


@pytest.fixture
def site(tmp_path: Path, own_redis: OwnRedis, clickhouse_url: str, milvus_uri: str) -> Iterator[Site]:
    site = Site(
        tmp_path,
        {
            "LEMO_REDIS_URL": own_redis.url,
            "LEMO_CLICKHOUSE_URL": clickhouse_url,
            "LEMO_MILVUS_URI": milvus_uri,
            "LEMO_WORKER_CONCURRENCY": "6",
            "LEMO_EMBEDDING_DIMENSIONS": "8",
        },
    )
    site.fill()
    yield site
    site.stores.close()


CAUGHT = {1: 6, 2: 6, 3: 3, 4: 1, SWITCH: 3}
"""How many jobs have a gate of that number."""
ALWAYS = [(2, False), (SWITCH, True)]
"""Which of these run in every run of the suite; `make chaos-worker` runs all."""


@pytest.mark.parametrize(
    ("number", "whole"),
    [
        pytest.param(number, whole, marks=[] if (number, whole) in ALWAYS else pytest.mark.chaos)
        for number in CAUGHT
        for whole in (True, False)
    ],
)
def test_every_job_killed_at_each_of_its_stages_is_done_again(site: Site, number: int, whole: bool) -> None:
    gates = [site.shut(entry, number) for entry in JOBS]
    with site.worker() as worker:
        runs = site.start(*JOBS)
        wait_for(lambda: all(site.now(run).finished or site.waiting_at(run.entry, number) for run in runs), 60)
        died = {run.entry: site.waiting_at(run.entry, number) for run in runs}
        pids = [pid for found in died.values() for pid in found]
        assert len(pids) == CAUGHT[number]
        if whole:
            worker.kill()
            worker.wait()
        else:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not any(map(lives, pids)), 10)
        for gate in gates:
            gate.unlink()
        with site.worker() if whole else nullcontext():
            site.ended(*runs)
    assert {run.entry: site.now(run).attempts for run in runs} == {
        entry: 2 if found else 1 for entry, found in died.items()
    }
    site.check_results(runs)


def test_a_worker_stopped_past_its_lease_undoes_nothing_when_it_goes_on(site: Site) -> None:
    """It stands in front of the switch to its snapshot while another worker takes over and switches to its own."""
    gate = site.shut(TRAINING, SWITCH)
    with site.worker() as first:
        (run,) = site.start(TRAINING)
        wait_for(lambda: bool(site.waiting_at(TRAINING, SWITCH)), 60)
        stopped = site.waiting_at(TRAINING, SWITCH)
        for pid in (*stopped, first.pid):
            os.kill(pid, signal.SIGSTOP)
        gate.unlink()
        with site.worker():
            site.ended(run)
            after = site.now(run)
            serving = site.stores.snapshots.current(site.scope, "model")
            assert after.attempts == 2
            assert serving == after.detail["version"]
            for pid in (*stopped, first.pid):
                os.kill(pid, signal.SIGCONT)
            wait_for(lambda: "run put off" in site.log.read_text(), 30)
    assert site.now(run) == after
    assert site.stores.snapshots.current(site.scope, "model") == serving
    assert len(site.stores.snapshots.versions(site.scope, "model")) == 2


def test_two_workers_share_the_runs_and_none_is_done_twice(site: Site) -> None:
    with site.worker(), site.worker():
        runs = [run for _ in range(3) for run in site.start(*JOBS)]
        site.ended(*runs)
    assert {site.now(run).attempts for run in runs} == {1}
    assert site.log.read_text().count("run started") == len(runs)


def test_a_worker_outlives_a_redis_that_is_killed_in_mid_job(site: Site, own_redis: OwnRedis) -> None:
    """The lease is lost with it; the run is done again by the same worker."""
    gate = site.shut(TRAINING, 2)
    with site.worker() as worker:
        (run,) = site.start(TRAINING)
        wait_for(lambda: bool(site.waiting_at(TRAINING, 2)), 60)
        own_redis.kill()
        gate.unlink()
        own_redis.start()
        site.ended(run)
        assert worker.poll() is None
    site.check_results([run])
