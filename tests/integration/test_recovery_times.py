"""How long until all is well again, with the product's own times: what docs/reliability.md tells.

Each fault is in the quick tests too (test_beat.py, test_worker_faults.py), there with times that suit a test suite.
"""

import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from beats import BeatSite, beat_site, once_each
from lemo.domain.schedule import DEFAULT_CRONS
from lemo.stores.redis.lease import SECONDS
from recovery import recovering
from servers import OwnEngine
from sites import wait_for
from workers import SWITCH, TRAINING, WorkerSite, worker_site

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

LIMIT = 30
"""Seconds within which each of these faults must be over."""
OUTAGE = timedelta(seconds=60)


@pytest.fixture
def beats(tmp_path: Path, own_redis: OwnEngine) -> Iterator[BeatSite]:
    with beat_site(tmp_path, own_redis, product_times=True) as site:
        yield site


@pytest.fixture
def workers(tmp_path: Path, own_redis: OwnEngine, clickhouse_url: str, milvus_uri: str) -> Iterator[WorkerSite]:
    with worker_site(tmp_path, own_redis.url, clickhouse_url, milvus_uri, 1, SECONDS) as site:
        yield site


def outage(redis: OwnEngine, length: timedelta) -> None:
    """Kills Redis, and starts it again on what it kept after so long."""
    redis.kill()
    until = datetime.now(UTC) + length
    wait_for(lambda: datetime.now(UTC) >= until, length.total_seconds() + 5)
    redis.start()


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP], ids=lambda fault: fault.name)
def test_the_leading_beat_goes(beats: BeatSite, request: pytest.FixtureRequest, fault: signal.Signals) -> None:
    with beats.two_beats() as (first, second):
        with recovering(request, f"beat: {fault.name} of the leader, until another starts what is due"):
            first.send_signal(fault)
            wait_for(lambda: beats.leads(second), LIMIT)
            beats.wait_for_more(1, LIMIT)
        first.send_signal(signal.SIGCONT)
        beats.wait_for_more()
    once_each(beats.sent())


@pytest.mark.parametrize("length", [timedelta(0), OUTAGE], ids=["restart", "60 s"])
def test_redis_goes_under_a_beat(
    beats: BeatSite, own_redis: OwnEngine, request: pytest.FixtureRequest, length: timedelta
) -> None:
    away = f"away for {length.total_seconds():.0f} s" if length else "killed and started again"
    with beats.beat() as beat:
        beats.wait_for_more()
        outage(own_redis, length)
        with recovering(request, f"beat: Redis {away}, from its return until the next start"):
            beats.wait_for_more(1, LIMIT)
        assert beat.poll() is None
        assert beats.entries() >= set(DEFAULT_CRONS)
    once_each(beats.sent())


@pytest.mark.parametrize("whole", [False, True], ids=["child", "worker"])
def test_a_worker_dies_in_mid_job(workers: WorkerSite, request: pytest.FixtureRequest, whole: bool) -> None:
    gate = workers.shut(TRAINING, SWITCH)
    with workers.worker() as first, workers.worker():
        (run,) = workers.start(TRAINING)
        wait_for(lambda: bool(workers.waiting_at(TRAINING, SWITCH)), 60)
        (child,) = workers.waiting_at(TRAINING, SWITCH)
        parent = int(Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[1])
        died = "the whole worker" if whole else "its child"
        with recovering(request, f"worker: SIGKILL of {died} in mid-job, until the run is at work again"):
            for pid in (parent, child) if whole else (child,):
                os.kill(pid, signal.SIGKILL)
            wait_for(lambda: workers.now(run).attempts == 2, LIMIT)
        gate.unlink()
        workers.ended(run)
        assert whole == (parent == first.pid and first.poll() is not None) or parent != first.pid
    workers.check_results([run])


def test_a_worker_is_stopped_past_its_lease(workers: WorkerSite, request: pytest.FixtureRequest) -> None:
    gate = workers.shut(TRAINING, SWITCH)
    with workers.worker() as first:
        (run,) = workers.start(TRAINING)
        wait_for(lambda: bool(workers.waiting_at(TRAINING, SWITCH)), 60)
        stopped = [*workers.waiting_at(TRAINING, SWITCH), first.pid]
        with workers.worker():
            with recovering(request, "worker: SIGSTOP in mid-job, until another has the run at work"):
                for pid in stopped:
                    os.kill(pid, signal.SIGSTOP)
                wait_for(lambda: workers.now(run).attempts == 2, LIMIT)
            gate.unlink()
            workers.ended(run)
            after = workers.now(run)
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)
            wait_for(lambda: "run postponed" in workers.log.read_text(), 30)
    assert workers.now(run) == after


@pytest.mark.parametrize("length", [timedelta(0), OUTAGE], ids=["restart", "60 s"])
def test_redis_goes_under_a_job(
    workers: WorkerSite, own_redis: OwnEngine, request: pytest.FixtureRequest, length: timedelta
) -> None:
    away = f"away for {length.total_seconds():.0f} s" if length else "killed and started again"
    gate = workers.shut(TRAINING, 2)
    with workers.worker() as worker:
        (run,) = workers.start(TRAINING)
        wait_for(lambda: bool(workers.waiting_at(TRAINING, 2)), 60)
        outage(own_redis, length)
        with recovering(request, f"worker: Redis {away} in mid-job, from its return until the run has ended well"):
            gate.unlink()
            wait_for(lambda: workers.now(run).finished, LIMIT)
        workers.ended(run)
        assert worker.poll() is None
    workers.check_results([run])
