"""What proves that a worker works: a task that completes on each queue, and what its slots do meanwhile."""

import time
from typing import Any

from celery.worker import state as requests
from celery.worker.control import inspect_command

from lemo.domain.schedule import CANARY
from lemo.scheduling import worker_check as canary
from lemo.tasks.celery_app import app
from lemo.tasks.dispatch import worker_stores


@app.task(name=CANARY)
def sing(queue: str) -> None:
    """Says that a task of this queue was taken, run and ended."""
    stores = worker_stores()
    canary.came_back(stores.redis, stores.keys, queue)


@inspect_command(name=canary.STATE)
def lemo_state(state: Any) -> dict[str, Any]:
    """One answer to all questions: which queues the worker reads, its slots, what they do since when, and its clock."""
    now = time.time()
    return {
        "queues": [queue.name for queue in state.consumer.task_consumer.queues],
        "slots": state.consumer.controller.concurrency,
        "active": [
            {"task": request.name, "seconds": round(now - (request.time_start or now), 1)}
            for request in list(requests.active_requests)
            if request.name != CANARY
        ],
        "time": now,
    }
