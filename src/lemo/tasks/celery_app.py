"""The Celery app: `celery -A lemo.tasks.celery_app worker` and `... beat --scheduler redbeat.RedBeatScheduler`."""

from typing import Any

from lemo.domain.errors import EngineUnavailable
from lemo.scheduling.broker import app, settings

__all__ = ["MODULES", "RETRY_WHILE_UNAVAILABLE", "app", "settings"]

MODULES = (
    "model_tasks",
    "item_tasks",
    "user_tasks",
    "recommendation_tasks",
    "realtime_tasks",
    "worker_check",
    "signals",
)
"""Modules of this package that a worker and beat load when they start."""
RETRY_WHILE_UNAVAILABLE: dict[str, Any] = {
    "autoretry_for": (EngineUnavailable,),
    "retry_backoff": True,
    "retry_backoff_max": 60,
}
"""Options of tasks that Celery retries while an engine is unavailable."""

app.conf.update(
    include=[f"lemo.tasks.{module}" for module in MODULES],
    # A task is acknowledged when it has ended. One whose process died is delivered again.
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    # Tasks are long: a worker that reserves more than it runs keeps them from idle workers.
    worker_prefetch_multiplier=1,
    worker_concurrency=settings.worker_concurrency,
    # Each child is a fresh interpreter: gRPC, librdkafka and chDB hang or crash in a fork of a process that used them.
    worker_pool_start_method="spawn",
    # A fresh interpreter imports everything first.
    worker_proc_alive_timeout=60,
    # A worker that must quit at once gives running tasks some seconds, and hands the rest back to the broker.
    worker_soft_shutdown_timeout=10,
    worker_enable_soft_shutdown_on_idle=True,
    # Every task is stopped long before Redis would deliver it a second time.
    task_soft_time_limit=4 * 3600,
    task_time_limit=4 * 3600 + 300,
    # A task may retry without limit. For `retry(max_retries=None)` Celery would take its default of 3.
    task_annotations={"*": {"max_retries": None}},
    worker_cancel_long_running_tasks_on_connection_loss=False,
    # Memory that numpy keeps after a large training is freed when its process ends.
    worker_max_memory_per_child=4_000_000,
    worker_hijack_root_logger=False,
    worker_redirect_stdouts=False,
    beat_scheduler="lemo.tasks.beat:LemoScheduler",
    beat_max_loop_interval=settings.beat_loop_seconds,
    # RedBeat enables its static entries again at every start. Ours are dynamic, written from the schedules in the
    # documents (scheduling/redbeat_entries.py), so that a change survives restarts and an empty Redis.
    beat_schedule={},
)
