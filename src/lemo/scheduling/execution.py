"""Executes one run of one job: takes its lease, calls the job, and records the run in the history."""

import socket
from datetime import UTC, datetime, timedelta
from enum import Enum

import structlog
from redis.exceptions import RedisError

from lemo.domain.errors import Conflict, EngineUnavailable, LemoError, NotFound
from lemo.domain.run import Progress, Run
from lemo.domain.scope import Scope
from lemo.jobs.report import Done, Report
from lemo.scheduling import run_metrics
from lemo.scheduling.jobs import Job
from lemo.stores.connect import Stores
from lemo.stores.redis.lease import Lease

log = structlog.get_logger()

ATTEMPTS = 15
"""A run fails after this many attempts that ended at an unavailable engine, over two minutes at least."""
RETRY_AFTER = timedelta(seconds=10)
MOST_CRASHES = 3
"""A run fails when its process has crashed this often: it would crash its workers for ever."""


class Ending(Enum):
    """What the task does with the message of a run."""

    finished = "finished"
    """Nothing: the run has ended, or will be sent again at its `retry_at`."""
    busy = "busy"
    """Retry: another run of the same job and scope is at work."""
    again = "again"
    """Retry: the run could not be read, or another attempt began."""


def execute(stores: Stores, job: Job, scope: Scope, run_id: str) -> Ending:
    """Runs the job under the lease of its scope, and records the run.

    It is idempotent: a finished run stays as it is, and one that crashed starts over. A scheduled run is skipped while
    another run of the job and scope is at work.
    """
    try:
        run = stores.runs.get(scope.tenant_id, run_id)
        if run.finished or (run.outcome == "queued" and run.retry_at and run.retry_at > datetime.now(UTC)):
            return Ending.finished
        with Lease(stores.redis, job.entry, scope, keys=stores.keys) as lease:
            if not lease.acquire():
                return _busy(stores, scope, run)
            run = stores.runs.get(scope.tenant_id, run_id)
            if run.finished:
                return Ending.finished
            return _attempt(stores, job, scope, run, lease)
    except NotFound:
        log.info("the run is gone: its scenario was deleted", entry=job.entry, scope=str(scope), run_id=run_id)
        return Ending.finished
    except (RedisError, EngineUnavailable, Conflict) as error:
        log.warning("run postponed", entry=job.entry, scope=str(scope), error=str(error))
        return Ending.again


def _busy(stores: Stores, scope: Scope, run: Run) -> Ending:
    if run.trigger != "schedule" or run.outcome == "running":
        return Ending.busy
    run.outcome, run.finished_at = "skipped", datetime.now(UTC)
    run.error = "Another run of this job was at work."
    stores.runs.save(scope.tenant_id, run)
    run_metrics.ended(run)
    return Ending.finished


def _attempt(stores: Stores, job: Job, scope: Scope, run: Run, lease: Lease) -> Ending:
    def save_progress(progress: Progress) -> None:
        if progress.stage != run.progress.stage:
            run.note(progress.stage)
        run.progress = progress
        stores.runs.save(scope.tenant_id, run)

    run.deaths += run.outcome == "running"
    run.fence = lease.fence
    if run.deaths >= MOST_CRASHES:
        _finish(stores, scope, run, None, _crash_message(run))
        return Ending.finished
    run.outcome, run.started_at, run.worker = "running", datetime.now(UTC), socket.gethostname()
    run.attempts += 1
    run.progress = Progress()
    run.note(f"attempt {run.attempts} on {run.worker}")
    stores.runs.save(scope.tenant_id, run)
    log.info("run started", entry=job.entry, scope=str(scope), run_id=run.run_id, attempt=run.attempts)
    try:
        done = job.work()(stores, scope, Report(save_progress, lease.check, lease.fence, run.full))
        lease.check()
    except (EngineUnavailable, RedisError, Conflict) as error:
        if run.attempts < ATTEMPTS:
            run.outcome, run.error, run.retry_at = "queued", str(error), datetime.now(UTC) + RETRY_AFTER
            run.note(f"postponed: {error}")
            stores.runs.save(scope.tenant_id, run)
            return Ending.finished
        _finish(stores, scope, run, None, str(error))
    except LemoError as error:
        _finish(stores, scope, run, None, str(error))
    except Exception as error:
        log.exception("run failed", entry=job.entry, scope=str(scope), run_id=run.run_id)
        _finish(stores, scope, run, None, f"{type(error).__name__}: {error}"[:2000])
    else:
        _finish(stores, scope, run, done, "")
    return Ending.finished


def _crash_message(run: Run) -> str:
    where = f" at the stage {run.progress.stage!r}" if run.progress.stage else ""
    return (
        f"Its process ended {run.deaths} times without an error{where}, the last time on {run.worker}, so it is not"
        " tried again. Often its memory ran out: see the system's log, give the worker more memory or lower"
        f" LEMO_WORKER_CONCURRENCY, then start it again with `lemo jobs run {run.entry} --scenario {run.scenario_id}`."
    )


def _finish(stores: Stores, scope: Scope, run: Run, done: Done | None, error: str) -> None:
    run.finished_at, run.error = datetime.now(UTC), error
    run.outcome = "failed" if done is None else "ok"
    if done is not None:
        run.rows_read, run.rows_written, run.detail = done.rows_read, done.rows_written, done.detail
    run.note(f"failed: {error}" if done is None else f"done: {run.rows_read:,} rows read, {run.rows_written:,} written")
    run.progress = Progress()
    stores.runs.save(scope.tenant_id, run)
    run_metrics.ended(run)
    log.info(
        "run ended", entry=run.entry, scope=str(scope), run_id=run.run_id, outcome=run.outcome, seconds=run.seconds
    )
