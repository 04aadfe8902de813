"""Sends lost runs again within seconds, not after the broker's visibility timeout of hours.

A run is lost when its worker died, when its message is gone, or when its retry is due.
"""

import threading
import time
from datetime import UTC, datetime

import structlog
from redis.exceptions import RedisError

from lemo.domain.errors import LemoError
from lemo.domain.run import Run
from lemo.domain.scope import Scope
from lemo.scheduling.dispatch import send
from lemo.scheduling.jobs import job_of
from lemo.settings import Settings
from lemo.stores.connect import Stores
from lemo.stores.redis.client import connect_redis
from lemo.stores.redis.lease import lease_key

log = structlog.get_logger()

CHECK_SECONDS = 3
RESEND_SECONDS = 20
"""Shortest time between two messages of one attempt, so that a slow message does not pile up copies."""


def start_recovery(settings: Settings) -> None:
    """Starts the thread, in the worker's main process, for as long as that lives."""
    threading.Thread(target=_watch, args=(settings,), name="recovery", daemon=True).start()


def _watch(settings: Settings) -> None:
    stores = Stores(settings)
    sent: dict[tuple[str, int], float] = {}
    while True:
        try:
            sent = {run: moment for run, moment in sent.items() if time.monotonic() - moment < RESEND_SECONDS}
            for tenant_id in stores.tenants.list():
                for run in lost_runs(stores, tenant_id):
                    attempt = (run.run_id, run.attempts)
                    if attempt not in sent:
                        sent[attempt] = time.monotonic()
                        log.warning("a run is sent again", entry=run.entry, run_id=run.run_id, outcome=run.outcome)
                        send(run, tenant_id)
        except (LemoError, RedisError) as error:
            log.warning("cannot check for lost runs now", error=str(error))
        time.sleep(CHECK_SECONDS)


def lost_runs(stores: Stores, tenant_id: str) -> list[Run]:
    """Runs marked `running` whose lease nobody holds, and queued runs whose retry is due or that no queue holds.

    A queued run that a worker has reserved counts as lost too. Its second message finds the run finished and ends.
    """
    lost = [
        run
        for run in stores.runs.list(tenant_id, outcome="running", limit=1000)
        if not stores.redis.exists(lease_key(run.entry, Scope(tenant_id, run.scenario_id), stores.keys))
    ]
    queued = stores.runs.list(tenant_id, outcome="queued", limit=1000)
    lost += [run for run in queued if run.retry_at and run.retry_at <= datetime.now(UTC)]
    queued = [run for run in queued if run.retry_at is None and _overdue(run)]
    if not queued:
        return lost
    with connect_redis(stores.settings.redis(1)) as broker:
        empty = {queue for queue in {job_of(run.entry).queue for run in queued} if not broker.llen(stores.keys(queue))}
    return lost + [run for run in queued if job_of(run.entry).queue in empty]


def _overdue(run: Run) -> bool:
    return time.time() - run.queued_at.timestamp() >= RESEND_SECONDS
