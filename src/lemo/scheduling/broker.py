"""The Celery app as a client: where runs are sent, and where RedBeat keeps its entries.

The API, the console and commands need no more of it. What runs the tasks is configured in `lemo.tasks.celery_app`.
"""

import os
import time
from typing import Any

from celery import Celery
from celery.signals import before_task_publish
from kombu import Exchange, Queue
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

from lemo.scheduling.jobs import JOBS, QUEUES
from lemo.settings import Settings
from lemo.stores.redis.client import Keys
from lemo.telemetry.tracing import traces

_FOREIGN_VARIABLES = (
    "CELERY_BROKER_URL",
    "CELERY_BROKER_READ_URL",
    "CELERY_BROKER_WRITE_URL",
    "CELERY_RESULT_BACKEND",
)
"""Celery prefers these to its configuration. Those of another project would send our tasks to its broker."""

SENT_AT = "lemo_sent_at"
"""Header of a task: when it was sent, in Unix seconds."""

for name in _FOREIGN_VARIABLES:
    os.environ.pop(name, None)
settings = Settings()
KEYS = Keys(settings.installation)

app = Celery("lemo")
app.conf.update(
    broker_url=settings.redis(1),
    result_backend=settings.redis(2),
    timezone="UTC",
    # JSON only: a pickle from anybody who reaches the broker would run as code.
    task_serializer="json",
    result_serializer="json",
    accept_content=["json"],
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
    # The history of runs holds what a run did. Results would only fill Redis.
    task_ignore_result=True,
    result_expires=3600,
    task_default_queue="default",
    task_queues=[Queue(name, Exchange(name), routing_key=name) for name in QUEUES],
    task_create_missing_queues=False,
    task_routes={"lemo.run." + job.entry: {"queue": job.queue} for job in JOBS.values()},
    redbeat_redis_url=settings.redis(0),
    # Few and short retries: beat tries again every second, and a round must be shorter than the lock's lifetime.
    redbeat_redis_options={
        "socket_timeout": 5,
        "socket_connect_timeout": 2,
        "health_check_interval": 15,
        "retry": Retry(ExponentialWithJitterBackoff(base=0.05, cap=0.5), retries=1),
    },
    redbeat_key_prefix=f"{KEYS.prefix}redbeat:",
    redbeat_lock_timeout=settings.beat_lock_seconds,
)


@before_task_publish.connect
def _stamp(headers: dict[str, Any], **_: Any) -> None:
    """Notes in a task when it is sent, so that the age of a queue can be told, and its trace."""
    headers[SENT_AT] = time.time()
    if found := traces():
        headers.update(found.headers())
