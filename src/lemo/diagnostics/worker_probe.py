"""Does a worker work? A tiny task is sent through each queue and must come back; a ping would prove nothing."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from celery import Celery
from kombu import Queue
from redis import Redis

from lemo.diagnostics.asking import asked
from lemo.diagnostics.dependencies import QUEUES
from lemo.diagnostics.redis_probes import brief_redis, redis_address
from lemo.diagnostics.report import Finding
from lemo.domain.schedule import CANARY
from lemo.scheduling import worker_check as canary
from lemo.settings import Settings
from lemo.stores.redis.client import Keys

BROADCAST_SECONDS = 1.2
CANARY_SECONDS = 2.5
"""Both together, and connecting, stay below the time that a report takes at most."""
_LOOK_SECONDS = 0.03


@dataclass(frozen=True, slots=True)
class WorkerState:
    """What a worker says of itself."""

    name: str
    queues: tuple[str, ...]
    slots: int
    active: tuple[tuple[str, float], ...]
    """Tasks at work, and for how many seconds."""
    skew: float
    """Seconds that its clock is ahead of ours."""

    @property
    def busy(self) -> bool:
        """Whether no slot is free."""
        return len(self.active) >= self.slots


def probe_worker(settings: Settings) -> Finding:
    """Whether every queue has a worker that completes a task now, or truthfully says that its slots are taken."""

    def question() -> Finding:
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

    return asked(redis_address(settings, "worker: the broker"), question)


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
    """Asks all workers for their state with one broadcast, and waits a little for the answers."""
    answers: list[tuple[str, dict[str, Any], float]] = []

    def answered(body: dict[str, Any]) -> None:
        answers.extend((name, said, time.time()) for name, said in body.items())

    with _celery(settings) as app:
        sent = time.time()
        app.control.broadcast(canary.STATE, reply=True, timeout=BROADCAST_SECONDS, callback=answered)
    return [
        WorkerState(
            name=name,
            queues=tuple(said["queues"]),
            slots=int(said["slots"]),
            active=tuple((each["task"], float(each["seconds"])) for each in said["active"]),
            skew=_between(float(said["time"]), sent, came),
        )
        for name, said, came in answers
        if "queues" in said
    ]


def _between(theirs: float, sent: float, came: float) -> float:
    """How far a clock is ahead, if it was read somewhere between two moments of ours."""
    return min(0.0, theirs - sent) + max(0.0, theirs - came)


def _silent_queues(settings: Settings) -> list[str]:
    """The queues from which no canary came back in time."""
    keys = Keys(settings.installation)
    with brief_redis(settings, 0) as redis, _celery(settings) as app:
        before = canary.counts(redis, keys, list(QUEUES))
        for queue in QUEUES:
            if canary.may_send(redis, keys, queue):
                app.send_task(CANARY, args=[queue], queue=queue, expires=canary.LIFE_SECONDS, retry=False)
        deadline = time.monotonic() + CANARY_SECONDS
        silent = list(QUEUES)
        while (silent := _still_silent(redis, keys, before, silent)) and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
    return silent


def _still_silent(redis: Redis, keys: Keys, before: dict[str, int], queues: list[str]) -> list[str]:
    now = canary.counts(redis, keys, queues)
    return [queue for queue in queues if now[queue] == before[queue]]


@contextmanager
def _celery(settings: Settings) -> Iterator[Celery]:
    """A Celery app that gives up at once, with the worker's queues."""
    with brief_redis(settings, 1) as client:
        client.ping()  # Celery would retry a refused password for longer than the report takes
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
