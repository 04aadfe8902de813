"""The Celery app: `celery -A lemo.tasks.celery_app worker` and `... beat --scheduler redbeat.RedBeatScheduler`."""

import os
from typing import Any

import structlog
from celery import Celery
from celery.signals import beat_init, celeryd_init, setup_logging, worker_ready
from kombu import Exchange, Queue
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

from lemo.domain.errors import Conflict, EngineUnavailable
from lemo.scheduling.jobs import JOBS
from lemo.settings import Settings
from lemo.stores.redis.client import Keys

QUEUES = ("default", "model_training", "item_processing", "user_profile")
TASK_MODULES = ("model_tasks", "item_tasks", "user_tasks", "recommendation_tasks", "worker_check")

PATIENT: dict[str, Any] = {"autoretry_for": (EngineUnavailable,), "retry_backoff": True, "retry_backoff_max": 60}
"""Options of tasks that come again while an engine is away."""
_OF_OTHERS = ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL", "CELERY_RESULT_BACKEND")
"""Variables that Celery prefers to its configuration; those of another project would carry our tasks away."""

log = structlog.get_logger()
for name in _OF_OTHERS:
    os.environ.pop(name, None)
settings = Settings()
KEYS = Keys(settings.installation)

app = Celery("lemo", include=[f"lemo.tasks.{module}" for module in TASK_MODULES])
app.conf.update(
    broker_url=settings.redis(1),
    result_backend=settings.redis(2),
    timezone="UTC",
    # JSON only: a pickle from whoever reaches the broker would run as code.
    task_serializer="json",
    result_serializer="json",
    accept_content=["json"],
    # A task is done when it ended, not when a worker took it; one whose process died is delivered again.
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    # Long tasks: a worker that reserves more than it runs would keep them from idle workers.
    worker_prefetch_multiplier=1,
    worker_concurrency=settings.worker_concurrency,
    # Each child is a fresh interpreter: gRPC, librdkafka and chDB hang or crash in a fork of a process that used them.
    worker_pool_start_method="spawn",
    # A fresh interpreter imports everything first.
    worker_proc_alive_timeout=60,
    # Told to quit at once, a worker gives what runs some seconds, and hands the rest back to the broker.
    worker_soft_shutdown_timeout=10,
    worker_enable_soft_shutdown_on_idle=True,
    # Every task is stopped long before Redis would deliver it a second time.
    task_soft_time_limit=4 * 3600,
    task_time_limit=4 * 3600 + 300,
    broker_transport_options={
        "visibility_timeout": 6 * 3600,
        "socket_timeout": 10,
        "socket_connect_timeout": 5,
        "health_check_interval": 15,
        "retry_on_timeout": True,
        # Another installation, or another Celery application, on the same Redis has queues of the same names.
        "global_keyprefix": KEYS.prefix,
    },
    result_backend_transport_options={"global_keyprefix": KEYS.prefix},
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    # What a run did stands in the history of runs; results would only fill Redis.
    task_ignore_result=True,
    # A task puts itself back as often as it must; for `retry(max_retries=None)` Celery would take its default of 3.
    task_annotations={"*": {"max_retries": None}},
    result_expires=3600,
    task_default_queue="default",
    task_queues=[Queue(name, Exchange(name), routing_key=name) for name in QUEUES],
    task_create_missing_queues=False,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    # Memory that numpy keeps after a large training goes back when its process ends.
    worker_max_memory_per_child=4_000_000,
    worker_hijack_root_logger=False,
    worker_redirect_stdouts=False,
    # The schedule's state is in Redis, so that it survives restarts and one of several beats leads.
    beat_scheduler="lemo.tasks.beat:LemoScheduler",
    beat_max_loop_interval=settings.beat_loop_seconds,
    redbeat_redis_url=settings.redis(0),
    # Few and short tries: beat tries again every second anyway, and a round must be shorter than the lock lives.
    redbeat_redis_options={
        "socket_timeout": 5,
        "socket_connect_timeout": 2,
        "health_check_interval": 15,
        "retry": Retry(ExponentialWithJitterBackoff(base=0.05, cap=0.5), retries=1),
    },
    redbeat_key_prefix=f"{KEYS.prefix}redbeat:",
    redbeat_lock_timeout=settings.beat_lock_seconds,
    # RedBeat enables its static entries again at every start; ours are dynamic, written from the schedules in the
    # documents (tasks/reconcile.py), so that a pause or another time survives restarts and an empty Redis.
    beat_schedule={},
    task_routes={"lemo.run." + job.entry: {"queue": job.queue} for job in JOBS.values()},
)


@setup_logging.connect
def _log_in_our_form(**_: object) -> None:
    """Keeps Celery from installing its own log format, also in the worker's children, which are started anew."""
    import logging
    import sys

    if not logging.getLogger().handlers:
        from lemo.telemetry.logging import configure

        configure("beat" if "beat" in sys.argv else "worker", settings)


@celeryd_init.connect
@beat_init.connect
def _claim(**_: object) -> None:
    """Ends the process where Redis is another installation's: Celery would only log an error of a signal."""
    from lemo.stores.identity import claim_at_start

    try:
        claim_at_start(settings)
    except Conflict as error:
        log.error("not started", error=error.message, hint=error.hint)
        raise SystemExit(1) from None


@celeryd_init.connect
@beat_init.connect
def _tell_unknown_settings(**_: object) -> None:
    """For processes that Celery's own command starts; ours has told already."""
    from lemo.diagnostics.unknown_settings import tell_unknown_settings

    tell_unknown_settings(log.warning)


@celeryd_init.connect
def _share_counts(sender: str, **_: object) -> None:
    """Before the worker has processes: all of them count their runs in one place."""
    from lemo.tasks.metrics import share_counts

    share_counts(settings, sender)


@worker_ready.connect
def _serve_metrics(**_: object) -> None:
    """Starts the worker's `/metrics`."""
    from lemo.tasks.metrics import serve_metrics

    serve_metrics(settings)


@worker_ready.connect
def _watch_for_lost_runs(**_: object) -> None:
    """Starts the thread that brings back runs whose worker died."""
    from lemo.tasks.recovery import start_recovery
    from lemo.tasks.restoring import start_restoring

    start_recovery(settings)
    start_restoring(settings)
