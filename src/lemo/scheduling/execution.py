"""One run of one job, from lease to the row in the history of runs."""

import socket
from datetime import UTC, datetime, timedelta
from enum import Enum

import structlog
from redis.exceptions import RedisError

from lemo.domain.errors import Conflict, EngineUnavailable, LemoError
from lemo.domain.run import Progress, Run
from lemo.domain.scope import Scope
from lemo.jobs.report import Done, Report
from lemo.scheduling import run_metrics as measures
from lemo.scheduling.jobs import Job
from lemo.stores.connect import Stores
from lemo.stores.redis.lease import Lease

log = structlog.get_logger()

ATTEMPTS = 15
"""A run that keeps meeting engines that are away fails for good after this many attempts, over two minutes at least."""
RETRY_AFTER = timedelta(seconds=10)
DEATHS = 3
"""A run whose process dies this often fails for good: it would kill its workers for ever."""


class Ending(Enum):
    """What is to become of the message that asked for a run."""

    finished = "finished"
    """Nothing: the run has ended, or is put off to its `retry_at`, when it is sent again."""
    busy = "busy"
    """Another run of the same job and scope is at work; this one still has to come."""
    again = "again"
    """The run could not even be looked at, or another attempt at it began; ask again."""


def execute(stores: Stores, job: Job, scope: Scope, run_id: str) -> Ending:
    """Runs the job once, alone for its scope, and records it.

    Calling it again with the same run, as a broker that delivers twice does, is harmless: a finished run stays as it
    is, and one that died half-way starts over. A scheduled run that meets another at work is skipped.
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
    except (RedisError, EngineUnavailable, Conflict) as error:
        log.warning("run put off", entry=job.entry, scope=str(scope), error=str(error))
        return Ending.again


def _busy(stores: Stores, scope: Scope, run: Run) -> Ending:
    if run.trigger != "schedule" or run.outcome == "running":
        return Ending.busy
    run.outcome, run.finished_at = "skipped", datetime.now(UTC)
    run.error = "Another run of this job was at work."
    stores.runs.save(scope.tenant_id, run)
    measures.ended(run)
    return Ending.finished


def _attempt(stores: Stores, job: Job, scope: Scope, run: Run, lease: Lease) -> Ending:
    def show(progress: Progress) -> None:
        run.progress = progress
        stores.runs.save(scope.tenant_id, run)

    run.deaths += run.outcome == "running"
    run.fence = lease.fence
    if run.deaths >= DEATHS:
        _finish(stores, scope, run, None, _died(run))
        return Ending.finished
    run.outcome, run.started_at, run.worker = "running", datetime.now(UTC), socket.gethostname()
    run.attempts += 1
    stores.runs.save(scope.tenant_id, run)
    log.info("run started", entry=job.entry, scope=str(scope), run_id=run.run_id, attempt=run.attempts)
    try:
        done = job.work()(stores, scope, Report(show, lease.check, lease.fence, run.full))
        lease.check()
    except (EngineUnavailable, RedisError, Conflict) as error:
        if run.attempts < ATTEMPTS:
            run.outcome, run.error, run.retry_at = "queued", str(error), datetime.now(UTC) + RETRY_AFTER
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


def _died(run: Run) -> str:
    where = f" at the stage {run.progress.stage!r}" if run.progress.stage else ""
    return (
        f"Its process ended {run.deaths} times without a word{where}, the last time on {run.worker}, so it is not tried"
        " again. Often its memory ran out: see the system's log, give the worker more memory or lower"
        f" LEMO_WORKER_CONCURRENCY, then start it again with `lemo jobs run {run.entry} --scenario {run.scenario_id}`."
    )


def _finish(stores: Stores, scope: Scope, run: Run, done: Done | None, error: str) -> None:
    run.finished_at, run.error = datetime.now(UTC), error
    run.outcome = "failed" if done is None else "ok"
    if done is not None:
        run.rows_read, run.rows_written, run.detail = done.rows_read, done.rows_written, done.detail
    run.progress = Progress()
    stores.runs.save(scope.tenant_id, run)
    measures.ended(run)
    log.info(
        "run ended", entry=run.entry, scope=str(scope), run_id=run.run_id, outcome=run.outcome, seconds=run.seconds
    )
