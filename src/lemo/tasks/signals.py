"""What a worker and beat do when they start, connected to Celery's signals. `celery_app` loads this module by name."""

import logging
import sys

import structlog
from celery.signals import beat_init, celeryd_init, setup_logging, worker_process_shutdown, worker_ready

from lemo.diagnostics.unknown_settings import report_unknown_settings
from lemo.domain.errors import Conflict
from lemo.stores.installation import claim_at_start
from lemo.tasks.celery_app import settings
from lemo.tasks.metrics import serve_metrics, share_counts
from lemo.telemetry.logging import configure
from lemo.telemetry.tracing import start_traces, stop_traces

log = structlog.get_logger()


@setup_logging.connect
def configure_logging(**_: object) -> None:
    """Replaces Celery's own log format, also in the worker's children, which are fresh interpreters."""
    service = "beat" if "beat" in sys.argv else "worker"
    if not logging.getLogger().handlers:
        configure(service, settings)
    start_traces(service, settings)


@worker_process_shutdown.connect
def export_spans(**_: object) -> None:
    """A child of the worker ends without what Python does at exit."""
    stop_traces()


@celeryd_init.connect
@beat_init.connect
def claim_redis(**_: object) -> None:
    """Ends the process where Redis is another installation's. Celery only logs other errors of a signal handler."""
    try:
        claim_at_start(settings)
    except Conflict as error:
        log.error("not started", error=error.message, hint=error.hint)
        raise SystemExit(1) from None


@celeryd_init.connect
@beat_init.connect
def warn_of_unknown_settings(**_: object) -> None:
    """For processes that Celery's own command starts. Lemo's commands have warned already."""
    report_unknown_settings(log.warning)


@celeryd_init.connect
def share_counts_of_processes(sender: str, **_: object) -> None:
    """Before the worker starts its processes, so that all of them count runs in one place."""
    share_counts(settings, sender)


@worker_ready.connect
def start_metrics(**_: object) -> None:
    """Starts the worker's `/metrics`."""
    serve_metrics(settings)


@worker_ready.connect
def start_healing(**_: object) -> None:
    """Starts the threads that send lost runs again and restore what Redis or the vector store has lost."""
    # Beat and the worker's children need not load these.
    from lemo.scheduling.recovery import start_recovery
    from lemo.scheduling.restoring import start_restoring

    start_recovery(settings)
    start_restoring(settings)
