"""What the doctor checks a worker by: a task for each queue, and a command that returns the worker's state."""

import time
from typing import Any

from celery.worker import state as requests
from celery.worker.control import inspect_command

from lemo.domain.schedule import WORKER_CHECK
from lemo.scheduling import worker_check
from lemo.tasks.celery_app import app
from lemo.tasks.perform import worker_stores


@app.task(name=WORKER_CHECK)
def check_worker(queue: str) -> None:
    """Counts that a task of this queue was received, started and completed."""
    stores = worker_stores()
    worker_check.complete(stores.redis, stores.keys, queue)


@inspect_command(name=worker_check.STATE)
def lemo_state(state: Any) -> dict[str, Any]:
    """The worker's queues, slots, running tasks with their durations, and clock, in one reply."""
    now = time.time()
    return {
        "queues": [queue.name for queue in state.consumer.task_consumer.queues],
        "slots": state.consumer.controller.concurrency,
        "active": [
            {"task": request.name, "seconds": round(now - (request.time_start or now), 1)}
            for request in list(requests.active_requests)
            if request.name != WORKER_CHECK
        ],
        "time": now,
    }
