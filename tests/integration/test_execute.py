"""A run of a job: alone for its scope, recorded whatever happens, taken over when its process died."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from lemo.domain.errors import Conflict, EngineUnavailable
from lemo.domain.run import Progress, Run, Trigger
from lemo.domain.scope import Scope
from lemo.jobs.report import Done, Report
from lemo.scheduling.execution import ATTEMPTS, MOST_CRASHES, RETRY_AFTER, Ending, execute
from lemo.scheduling.jobs import Job, Work
from lemo.settings import Settings
from lemo.stores.connect import Stores
from lemo.stores.redis.lease import Lease, lease_key


@dataclass(frozen=True)
class JobOfTest(Job):
    """A job whose work the test brings."""

    function_itself: Work = lambda *_: Done()

    def work(self) -> Work:
        return self.function_itself


def job(work: Work) -> JobOfTest:
    return JobOfTest("entry-of-test", "A test", "", "", "default", None, work)


@pytest.fixture
def stores(redis_url: str, tmp_path: Path) -> Iterator[Stores]:
    stores = Stores(Settings(home=tmp_path, redis_url=redis_url))
    yield stores
    stores.close()


def new_run(stores: Stores, scope: Scope, trigger: Trigger = "manual") -> Run:
    return stores.runs.create(scope.tenant_id, "entry-of-test", scope.scenario_id, trigger)


def test_a_run_leaves_its_row(stores: Stores, scope: Scope) -> None:
    def work(_: Stores, __: Scope, report: Report) -> Done:
        report.stage("counting", 2)
        report.advance(2)
        return Done(3, 2, {"found": 1})

    run = new_run(stores, scope)
    assert execute(stores, job(work), scope, run.run_id) is Ending.finished
    row = stores.runs.get(scope.tenant_id, run.run_id)
    assert (row.outcome, row.rows_read, row.rows_written, row.detail) == ("ok", 3, 2, {"found": 1})
    assert row.seconds is not None
    texts = [line.text for line in row.log]
    assert texts == [f"attempt 1 on {row.worker}", "counting", "done: 3 rows read, 2 written"]
    assert [line.at for line in row.log] == sorted(line.at for line in row.log)
    assert not stores.redis.exists(lease_key("entry-of-test", scope))


def test_a_full_run_is_full_for_the_job(stores: Stores, scope: Scope) -> None:
    asked: list[bool] = []

    def work(_: Stores, __: Scope, report: Report) -> Done:
        asked.append(report.full)
        return Done()

    for full in (False, True):
        run = stores.runs.create(scope.tenant_id, "entry-of-test", scope.scenario_id, "manual", full=full)
        execute(stores, job(work), scope, run.run_id)
    assert asked == [False, True]


def test_a_failure_is_recorded_and_another_run_may_follow(stores: Stores, scope: Scope) -> None:
    def work(_: Stores, __: Scope, ___: Report) -> Done:
        raise ZeroDivisionError("no events")

    run = new_run(stores, scope)
    assert execute(stores, job(work), scope, run.run_id) is Ending.finished
    row = stores.runs.get(scope.tenant_id, run.run_id)
    assert row.outcome == "failed"
    assert row.error == "ZeroDivisionError: no events"
    again = new_run(stores, scope)
    assert execute(stores, job(lambda *_: Done()), scope, again.run_id) is Ending.finished
    assert stores.runs.get(scope.tenant_id, again.run_id).outcome == "ok"


def test_a_run_delivered_twice_works_once(stores: Stores, scope: Scope) -> None:
    calls: list[int] = []

    def work(_: Stores, __: Scope, ___: Report) -> Done:
        calls.append(1)
        return Done()

    run = new_run(stores, scope)
    for _ in range(2):
        assert execute(stores, job(work), scope, run.run_id) is Ending.finished
    assert calls == [1]


def test_an_engine_that_is_away_is_tried_again_and_at_last_given_up(stores: Stores, scope: Scope) -> None:
    def work(_: Stores, __: Scope, ___: Report) -> Done:
        raise EngineUnavailable("ClickHouse does not answer.")

    run = new_run(stores, scope)
    for attempt in range(1, ATTEMPTS):
        assert execute(stores, job(work), scope, run.run_id) is Ending.finished
        assert execute(stores, job(work), scope, run.run_id) is Ending.finished, "too early: it is put off"
        row = stores.runs.get(scope.tenant_id, run.run_id)
        assert (row.outcome, row.attempts) == ("queued", attempt)
        assert row.retry_at is not None
        row.retry_at -= RETRY_AFTER
        stores.runs.save(scope.tenant_id, row)
    assert execute(stores, job(work), scope, run.run_id) is Ending.finished
    row = stores.runs.get(scope.tenant_id, run.run_id)
    assert (row.outcome, row.error) == ("failed", "ClickHouse does not answer.")


def test_a_run_that_kills_its_process_again_and_again_fails_and_says_so(stores: Stores, scope: Scope) -> None:
    calls = []

    def work(_: Stores, __: Scope, ___: Report) -> Done:
        calls.append(1)
        raise EngineUnavailable("So that the test goes on.")

    run = new_run(stores, scope)
    for _ in range(MOST_CRASHES):
        row = stores.runs.get(scope.tenant_id, run.run_id)
        # What a process leaves that was killed in its work.
        row.outcome, row.progress = "running", Progress(stage="counting")
        stores.runs.save(scope.tenant_id, row)
        execute(stores, job(work), scope, run.run_id)
        row = stores.runs.get(scope.tenant_id, run.run_id)
        if row.outcome == "failed":
            break
        assert row.outcome == "queued"
        row.retry_at = None
        stores.runs.save(scope.tenant_id, row)
    assert row.outcome == "failed"
    assert len(calls) == MOST_CRASHES - 1
    assert f"ended {MOST_CRASHES} times without an error at the stage 'counting'" in row.error
    assert "lemo jobs run entry-of-test" in row.error


def test_a_run_overtaken_while_its_process_was_stopped_writes_nothing_more(stores: Stores, scope: Scope) -> None:
    """The first attempt stands still past its lease, a second one does the work, and then the first goes on."""
    run = new_run(stores, scope)

    def second(_: Stores, __: Scope, report: Report) -> Done:
        report.stage("second")
        return Done(2, 2)

    def first(_: Stores, __: Scope, report: Report) -> Done:
        stores.redis.delete(lease_key("entry-of-test", scope))
        assert execute(stores, job(second), scope, run.run_id) is Ending.finished
        done = stores.runs.get(scope.tenant_id, run.run_id)
        assert (done.outcome, done.rows_written) == ("ok", 2)
        with pytest.raises(Conflict):
            report.stage("too late")
        return Done(1, 1)

    assert execute(stores, job(first), scope, run.run_id) is Ending.again
    row = stores.runs.get(scope.tenant_id, run.run_id)
    assert (row.outcome, row.rows_written, row.attempts) == ("ok", 2, 2)


def test_fencing_numbers_rise_also_after_redis_forgot_them(stores: Stores, scope: Scope) -> None:
    numbers = []
    for _ in range(3):
        with Lease(stores.redis, "entry-of-test", scope) as lease:
            assert lease.acquire()
            numbers.append(lease.fence)
            with Lease(stores.redis, "entry-of-test", scope) as other:
                assert not other.acquire()
        for key in stores.redis.scan_iter(f"{lease_key('entry-of-test', scope)}*", count=10_000):
            stores.redis.delete(key)
    assert numbers == sorted(set(numbers))
    with Lease(stores.redis, "entry-of-test", scope) as lease:
        # A clock that was put back: the last number counts.
        stores.redis.set(f"{lease_key('entry-of-test', scope)}:fence", numbers[-1] + 10**12)
        assert lease.acquire()
        assert lease.fence == numbers[-1] + 10**12 + 1


def test_a_pointer_never_moves_back(stores: Stores, scope: Scope) -> None:
    arrays = {"a": np.arange(3)}
    for version in ("1", "2", "3"):
        stores.snapshots.publish(scope, "model", version, arrays, {})
    assert stores.snapshots.current(scope, "model") is None
    stores.snapshots.point(scope, "model", "2", 20)
    with pytest.raises(Conflict, match="later run"):
        stores.snapshots.point(scope, "model", "3", 10)
    assert stores.snapshots.current(scope, "model") == "2"
    stores.snapshots.point(scope, "model", "1", 30)
    assert stores.snapshots.current(scope, "model") == "1", "whoever comes later may go back, as in a rollback"
    assert (stores.snapshots.versions(scope, "model"), stores.snapshots.unfinished(scope, "model")) == (
        ["1", "2", "3"],
        [],
    )


@pytest.fixture
def at_work(stores: Stores, scope: Scope) -> Iterator[Callable[[], None]]:
    """A run that holds the lease in another thread until the function handed out is called."""
    entered, leave = threading.Event(), threading.Event()

    def work(_: Stores, __: Scope, ___: Report) -> Done:
        entered.set()
        assert leave.wait(30)
        return Done()

    run = new_run(stores, scope)
    thread = threading.Thread(target=execute, args=(stores, job(work), scope, run.run_id))
    thread.start()
    assert entered.wait(30)

    def finish() -> None:
        leave.set()
        thread.join()

    yield finish
    finish()


def test_a_scheduled_run_is_skipped_while_another_works(
    stores: Stores, scope: Scope, at_work: Callable[[], None]
) -> None:
    run = new_run(stores, scope, "schedule")
    assert execute(stores, job(lambda *_: Done()), scope, run.run_id) is Ending.finished
    assert stores.runs.get(scope.tenant_id, run.run_id).outcome == "skipped"


def test_a_manual_run_waits_for_the_run_at_work(stores: Stores, scope: Scope, at_work: Callable[[], None]) -> None:
    run = new_run(stores, scope, "manual")
    assert execute(stores, job(lambda *_: Done()), scope, run.run_id) is Ending.busy
    at_work()
    assert execute(stores, job(lambda *_: Done()), scope, run.run_id) is Ending.finished
    assert stores.runs.get(scope.tenant_id, run.run_id).outcome == "ok"


def test_other_scenarios_are_not_kept_waiting(stores: Stores, scope: Scope, at_work: Callable[[], None]) -> None:
    other = Scope(scope.tenant_id, "other")
    run = new_run(stores, other)
    assert execute(stores, job(lambda *_: Done()), other, run.run_id) is Ending.finished


HOLDER = """
import sys, time
from lemo.domain.scope import Scope
from lemo.stores.redis.lease import Lease
from lemo.stores.redis.client import connect_redis
with Lease(connect_redis(sys.argv[1]), "entry-of-test", Scope(sys.argv[2], sys.argv[3]), seconds=2) as lease:
    print(lease.acquire(), flush=True)
    time.sleep(60)
"""


def test_the_lease_of_a_killed_process_runs_out(redis_url: str, stores: Stores, scope: Scope) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, f"{redis_url}/0", scope.tenant_id, scope.scenario_id],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        with Lease(stores.redis, "entry-of-test", scope) as lease:
            assert not lease.acquire()
        # Renewed while its holder lives: still held after more than its life.
        until = time.monotonic() + 2.5
        while time.monotonic() < until:
            assert stores.redis.exists(lease_key("entry-of-test", scope))
    finally:
        holder.kill()
        holder.communicate()
    deadline = time.monotonic() + 10
    with Lease(stores.redis, "entry-of-test", scope) as lease:
        while not lease.acquire():
            assert time.monotonic() < deadline, "the lease of a dead process did not run out"
        assert lease.held
    assert not stores.redis.exists(lease_key("entry-of-test", scope))
