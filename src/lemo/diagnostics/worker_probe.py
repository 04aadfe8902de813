"""Checks that workers complete tasks: a small task is sent through each queue. A ping would not prove it.

A worker that is busy answers late, or not in time. The leases of its runs, which the processes that do the work renew,
then tell it from one that is gone.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Event
from typing import Any

from celery import Celery
from kombu import Queue
from redis import Redis
from redis.exceptions import RedisError

from lemo.diagnostics.probing import ANSWER_SECONDS, timed_probe
from lemo.diagnostics.redis_probes import brief_redis, redis_address
from lemo.diagnostics.report import Finding
from lemo.domain.errors import EngineUnavailable
from lemo.domain.schedule import WORKER_CHECK
from lemo.domain.scope import Scope
from lemo.scheduling import worker_check
from lemo.scheduling.jobs import QUEUES
from lemo.settings import Settings
from lemo.stores.connect import Stores
from lemo.stores.redis.client import Keys
from lemo.stores.redis.lease import lease_key

BROADCAST_SECONDS = 1.2
"""How long the answers of workers are waited for. How many there will be is not known: it always takes this long."""
LONGEST_SECONDS = 3.2
"""The broadcast and the checks together. What is left of the longest answer of a probe is for connections."""
PATIENCE_SECONDS = 10.0
"""A worker with free slots that has runs at work may take so long for a check before it counts as broken."""
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


@dataclass(frozen=True, slots=True)
class Check:
    """What came of the checks that were sent through the queues."""

    silent: tuple[str, ...]
    """Queues whose check has not completed."""
    seconds: float
    """How long they were waited for."""
    age: float = 0.0
    """How long the oldest of the silent checks has been under way, which an earlier report may have sent."""


def probe_worker(settings: Settings) -> Finding:
    """Whether every queue has a worker that completes a task now, or that is busy."""
    address = redis_address(settings, "worker: the broker")
    broker_answers = Event()

    def probe() -> Finding:
        started = time.monotonic()
        with brief_redis(settings, 1) as client:
            client.ping()
        broker_answers.set()
        states = worker_states(settings)
        if not states:
            return _unanswered(runs_at_work(settings))
        unread = [queue for queue in QUEUES if not any(queue in state.queues for state in states)]
        if unread:
            return Finding(
                state="missing",
                version=f"{len(states)} running",
                detail=f"worker: no worker reads {', '.join(unread)}.",
                hint="Start one that reads every queue: lemo worker",
            )
        if all(state.busy for state in states):
            # A check would wait behind what is at work.
            return _all_taken(states, states, "every queue")
        return _found(states, _checked(settings, started + LONGEST_SECONDS))

    def explain(error: Exception) -> Finding:
        if not isinstance(error, TimeoutError) or not broker_answers.is_set():
            return address.explain(error)
        return Finding(
            state="warning",
            version="unknown",
            detail=f"worker: it is not known how it does: asking took longer than {ANSWER_SECONDS:g} s, while the"
            " broker answers.",
            hint="Look for an overloaded machine, then again: lemo doctor --service worker",
        )

    unreachable = address.reach()
    return timed_probe(probe, explain) if unreachable is None else unreachable


def _unanswered(at_work: Sequence[str]) -> Finding:
    if not at_work:
        return Finding(
            state="missing",
            detail="worker: no worker answered.",
            hint="lemo up --detach (or on its own: lemo worker)",
        )
    return Finding(
        state="warning",
        version="busy",
        detail=f"worker: busy: it did not answer within {BROADCAST_SECONDS:g} s, while its runs hold their leases"
        f" ({', '.join(at_work)}).",
        hint="Ask again when they have ended: lemo doctor --service worker",
    )


def _found(states: Sequence[WorkerState], check: Check) -> Finding:
    version = f"{len(states)} running"
    if not check.silent:
        taken = sum(len(state.active) for state in states)
        slots = sum(state.slots for state in states)
        names = ", ".join(sorted(state.name for state in states))
        within = f"a task came back from each queue within {check.seconds:.2f} s"
        return Finding(state="ok", version=version, detail=f"{names}: {within}; {taken} of {slots} slots taken")
    readers = [state for state in states if set(check.silent) & set(state.queues)]
    queues = ", ".join(check.silent)
    if all(state.busy for state in readers):
        return _all_taken(states, readers, queues)
    if any(state.active for state in readers) and check.age < PATIENCE_SECONDS:
        return Finding(
            state="ok",
            version=f"busy, {version}",
            detail=f"busy with {_works(readers)}: a task of {queues} has taken more than {check.seconds:.1f} s so far",
        )
    return Finding(
        state="missing",
        version=version,
        detail=f"worker: it answers, has free slots, and completes nothing of {queues}.",
        hint="Restart it (kill -9 loses nothing: what it had at work is run again), and look into its log",
    )


def _all_taken(states: Sequence[WorkerState], readers: Sequence[WorkerState], queues: str) -> Finding:
    slots = sum(state.slots for state in readers)
    return Finding(
        state="warning",
        version=f"busy, {len(states)} running",
        detail=f"worker: busy: all {slots} slots are taken ({_works(readers)}); what comes to {queues} waits.",
        hint=f"Wait for them, or start one more: LEMO_WORKER_CONCURRENCY={slots} lemo worker --name more",
    )


def _works(states: Sequence[WorkerState]) -> str:
    return ", ".join(_work(task, since) for state in states for task, since in state.active)


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


def runs_at_work(settings: Settings) -> list[str]:
    """The runs whose lease is alive, in words; the process of a run renews it, and it ends 12 s after its process.

    Empty where the documents or Redis do not answer, which have findings of their own.
    """
    if not settings.mongo_url and not (settings.state / "documents.sqlite").exists():
        return []
    now = datetime.now(UTC)
    with suppress(EngineUnavailable, RedisError), closing(Stores(settings, interactive=True)) as stores:
        return [
            _work(run.entry, (now - (run.started_at or now)).total_seconds())
            for tenant_id in stores.tenants.list()
            for run in stores.runs.list(tenant_id, outcome="running")
            if stores.redis.exists(lease_key(run.entry, Scope(tenant_id, run.scenario_id), stores.keys))
        ]
    return []


def _checked(settings: Settings, until: float) -> Check:
    """Sends the checks, and waits for them until a moment of `time.monotonic`."""
    keys = Keys(settings.installation)
    with brief_redis(settings, 0) as redis, _celery(settings) as app:
        started = time.monotonic()
        before = worker_check.completed(redis, keys, list(QUEUES))
        for queue in QUEUES:
            if worker_check.may_send(redis, keys, queue):
                app.send_task(WORKER_CHECK, args=[queue], queue=queue, expires=worker_check.LIFE_SECONDS, retry=False)
        silent = list(QUEUES)
        while (silent := _incomplete(redis, keys, before, silent)) and time.monotonic() < until:
            time.sleep(_POLL_SECONDS)
        age = max((worker_check.age(redis, keys, queue) for queue in silent), default=0.0)
    return Check(tuple(silent), time.monotonic() - started, age)


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
