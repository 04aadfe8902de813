"""Real workers that are killed, stopped and cut off in the middle of real jobs: no run is lost, none happens twice."""

import os
import signal
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from lemo.diagnostics.report import Finding
from lemo.diagnostics.worker_probe import probe_worker
from lemo.scheduling.jobs import JOBS
from lemo.stores.redis.lease import lease_key
from servers import OwnEngine
from sites import wait_for
from workers import SWITCH, TRAINING, WorkerSite, lives, worker_site


@pytest.fixture
def site(
    tmp_path: Path, own_redis: OwnEngine, clickhouse_url: str, milvus_uri: str, request: pytest.FixtureRequest
) -> Iterator[WorkerSite]:
    """With workers of one child, unless the test is parametrized by another number."""
    with worker_site(tmp_path, own_redis.url, clickhouse_url, milvus_uri, getattr(request, "param", 1)) as site:
        yield site


CAUGHT = {1: 7, 2: 7, 3: 6, 4: 1, SWITCH: 3}
"""How many jobs have a gate of that number."""
SHORT = [(SWITCH, True)]
"""Which of these `make test-long` runs; `make chaos-worker` runs all."""


@pytest.mark.parametrize("site", [len(JOBS)], indirect=True, ids=["a child for each job"])
@pytest.mark.parametrize(
    ("number", "whole"),
    [
        pytest.param(number, whole, marks=pytest.mark.long if (number, whole) in SHORT else pytest.mark.chaos)
        for number in CAUGHT
        for whole in (True, False)
    ],
)
def test_every_job_killed_at_each_of_its_stages_is_done_again(site: WorkerSite, number: int, whole: bool) -> None:
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


@pytest.mark.long
def test_a_worker_stopped_past_its_lease_undoes_nothing_when_it_goes_on(site: WorkerSite) -> None:
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
            wait_for(lambda: "run postponed" in site.log.read_text(), 30)
    assert site.now(run) == after
    assert site.stores.snapshots.current(site.scope, "model") == serving
    assert len(site.stores.snapshots.versions(site.scope, "model")) == 2


@pytest.mark.long
@pytest.mark.parametrize("site", [3], indirect=True, ids=["three children each"])
def test_two_workers_share_the_runs_and_none_is_done_twice(site: WorkerSite) -> None:
    with site.worker(), site.worker():
        runs = [run for _ in range(3) for run in site.start(*JOBS)]
        site.ended(*runs)
    assert {site.now(run).attempts for run in runs} == {1}
    log = site.log.read_text()
    assert [log.count(f"run_id={run.run_id} attempt=") for run in runs] == [1] * len(runs)


def test_the_first_training_brings_similar_items(site: WorkerSite) -> None:
    snapshots = site.stores.snapshots
    with site.worker():
        site.ended(*site.start("train-model-daily"))
        wait_for(lambda: snapshots.current(site.scope, "similar") is not None, 60)


def test_a_worker_outlives_a_redis_that_is_killed_in_mid_job(site: WorkerSite, own_redis: OwnEngine) -> None:
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


def test_a_worker_that_is_busy_is_said_to_be_busy_and_one_that_is_gone_to_be_missing(site: WorkerSite) -> None:
    # On a busy machine the run's process may not get to renew a short lease in time.
    site.variables["LEMO_TEST_LEASE_SECONDS"] = "60"
    site.shut(TRAINING, 1)
    with site.worker() as worker:
        site.start(TRAINING)
        wait_for(lambda: bool(site.waiting_at(TRAINING, 1)), 60)
        finding = found(site, "busy, 1 running")
        assert finding.state == "warning"
        assert f"all 1 slots are taken ({TRAINING} for " in finding.detail
        # The worker answers nothing any more, as on a machine without time for it; its run goes on.
        worker.send_signal(signal.SIGSTOP)
        finding = found(site, "busy")
        assert finding.state == "warning"
        assert f"its runs hold their leases ({TRAINING} for " in finding.detail
        # As 12 seconds after the run's process, which renews it.
        assert site.stores.redis.delete(lease_key(TRAINING, site.scope, site.stores.keys)) == 1
        finding = found(site, "")
        assert (finding.state, finding.detail) == ("missing", "worker: no worker answered.")


def found(site: WorkerSite, version: str) -> Finding:
    """What the doctor finds; it asks again where this machine is too slow for an answer."""
    findings: list[Finding] = []

    def is_found() -> bool:
        findings.append(probe_worker(site.settings))
        assert "silent" not in findings[-1].detail
        return findings[-1].version == version

    wait_for(is_found, 60)
    return findings[-1]
