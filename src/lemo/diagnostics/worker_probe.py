"""Checks that workers complete tasks: a small task is sent through each queue. A ping would not prove it."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from celery import Celery
from kombu import Queue
from redis import Redis

from lemo.diagnostics.probing import probe_at
from lemo.diagnostics.redis_probes import brief_redis, redis_address
from lemo.diagnostics.report import Finding
from lemo.domain.schedule import WORKER_CHECK
from lemo.scheduling import worker_check
from lemo.scheduling.jobs import QUEUES
from lemo.settings import Settings
from lemo.stores.redis.client import Keys

BROADCAST_SECONDS = 1.2
CHECK_SECONDS = 2.5
"""Both together, and the connection, take less than the longest time of a report."""
_POLL_SECONDS = 0.03


@dataclass(frozen=True, slots=True)
class WorkerState:
    """The state that a worker reports."""

    name: str
    queues: tuple[str, ...]
    slots: int
    active: tuple[tuple[str, float], ...]
    """Running tasks with their seconds."""
    skew: float
    """Seconds that the worker's clock is ahead of ours."""

    @property
    def busy(self) -> bool:
        """Whether no slot is free."""
        return len(self.active) >= self.slots


def probe_worker(settings: Settings) -> Finding:
    """Whether every queue has a worker that completes a task now, or whose slots are all taken."""

    def probe() -> Finding:
        states = worker_states(settings)
        if not states:
            return Finding(
                state="missing",
                detail="worker: no worker answered.",
                hint="lemo up --detach (or on its own: lemo worker)",
            )
        unread = [queue for queue in QUEUES if not any(queue in state.queues for state in states)]
        if unread:
            return Finding(
                state="missing",
                version=f"{len(states)} running",
                detail=f"worker: no worker reads {', '.join(unread)}.",
                hint="Start one that reads every queue: lemo worker",
            )
        started = time.monotonic()
        silent = _silent_queues(settings)
        return _found(states, silent, time.monotonic() - started)

    return probe_at(redis_address(settings, "worker: the broker"), probe)


def _found(states: Sequence[WorkerState], silent: Sequence[str], seconds: float) -> Finding:
    version = f"{len(states)} running"
    if not silent:
        taken = sum(len(state.active) for state in states)
        slots = sum(state.slots for state in states)
        names = ", ".join(sorted(state.name for state in states))
        detail = f"{names}: a task came back from each queue within {seconds:.2f} s; {taken} of {slots} slots taken"
        return Finding(state="ok", version=version, detail=detail)
    readers = [state for state in states if set(silent) & set(state.queues)]
    queues = ", ".join(silent)
    if all(state.busy for state in readers):
        slots = sum(state.slots for state in readers)
        work = ", ".join(_work(task, since) for state in readers for task, since in state.active)
        return Finding(
            state="warning",
            version=f"busy, {len(states)} running",
            detail=f"worker: busy: all {slots} slots are taken ({work}); what comes to {queues} waits.",
            hint=f"Wait for them, or start one more: LEMO_WORKER_CONCURRENCY={slots} lemo worker --name more",
        )
    return Finding(
        state="missing",
        version=version,
        detail=f"worker: it answers, has free slots, and completes nothing of {queues}.",
        hint="Restart it (kill -9 loses nothing: what it had at work is run again), and look into its log",
    )


def _work(task: str, seconds: float) -> str:
    return f"{task.removeprefix('lemo.run.').removeprefix('lemo.')} for {seconds:,.0f} s"


def worker_states(settings: Settings) -> list[WorkerState]:
    """The states of all workers that answer one broadcast within `BROADCAST_SECONDS`."""
    replies: list[tuple[str, dict[str, Any], float]] = []

    def receive(body: dict[str, Any]) -> None:
        replies.extend((name, state, time.time()) for name, state in body.items())

    with _celery(settings) as app:
        sent = time.time()
        app.control.broadcast(worker_check.STATE, reply=True, timeout=BROADCAST_SECONDS, callback=receive)
    return [
        WorkerState(
            name=name,
            queues=tuple(state["queues"]),
            slots=int(state["slots"]),
            active=tuple((each["task"], float(each["seconds"])) for each in state["active"]),
            skew=_skew(float(state["time"]), sent, received),
        )
        for name, state, received in replies
        if "queues" in state
    ]


def _skew(theirs: float, sent: float, received: float) -> float:
    """Seconds that a clock is certainly ahead, when it was read between two moments of ours."""
    return min(0.0, theirs - sent) + max(0.0, theirs - received)


def _silent_queues(settings: Settings) -> list[str]:
    """The queues whose check did not complete in time."""
    keys = Keys(settings.installation)
    with brief_redis(settings, 0) as redis, _celery(settings) as app:
        before = worker_check.completed(redis, keys, list(QUEUES))
        for queue in QUEUES:
            if worker_check.may_send(redis, keys, queue):
                app.send_task(WORKER_CHECK, args=[queue], queue=queue, expires=worker_check.LIFE_SECONDS, retry=False)
        deadline = time.monotonic() + CHECK_SECONDS
        silent = list(QUEUES)
        while (silent := _incomplete(redis, keys, before, silent)) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
    return silent


def _incomplete(redis: Redis, keys: Keys, before: dict[str, int], queues: list[str]) -> list[str]:
    now = worker_check.completed(redis, keys, queues)
    return [queue for queue in queues if now[queue] == before[queue]]


@contextmanager
def _celery(settings: Settings) -> Iterator[Celery]:
    """A Celery app without retries, with the worker's queues."""
    with brief_redis(settings, 1) as client:
        client.ping()  # Celery would retry a wrong password for longer than the report takes
    with Celery("doctor", broker=settings.redis(1), set_as_current=False) as app:
        app.conf.update(
            broker_connection_retry=False,
            broker_transport_options={
                "socket_timeout": 3,
                "socket_connect_timeout": 2,
                "global_keyprefix": Keys(settings.installation).prefix,
            },
            task_queues=[Queue(name) for name in QUEUES],
            task_default_queue="default",
            task_ignore_result=True,
        )
        yield app
