"""The scopes a process serves: their states are loaded at the first request and renewed behind it, never in front."""

import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event, Lock, Thread

import structlog

from lemo.domain.scope import Scope
from lemo.serving.state import PARTS, Part, ServingState

log = structlog.get_logger()

REFRESH_SECONDS = 2.0
IDLE_REFRESH_SECONDS = 15.0
"""How often a scope is renewed that nobody asked for in the last `IDLE_AFTER_SECONDS`."""
IDLE_AFTER_SECONDS = 300.0
STALE_SECONDS = 30.0
"""Answers from a state that could not be renewed for so long say that they are degraded."""
FIRST_LOAD_SECONDS = 5.0
"""How long the first request waits for the snapshot; past it the answer is made without one."""

Load = Callable[[Scope, ServingState], ServingState]


@dataclass(frozen=True, slots=True)
class Renewals:
    """How the renewing of all scopes goes."""

    scopes: int
    """How many are served."""
    stale: int
    """How many could not be renewed for `STALE_SECONDS`."""
    oldest_seconds: float
    """Age of the oldest state; 0 without any."""
    failed: int
    """Renewals that failed, in whole or in part, since the process started."""
    fault: str
    """What the newest failure was of, while it lasts: the name of the error, without what it says of tenants."""


class _Slot:
    def __init__(self) -> None:
        self.made_at = time.monotonic()
        self.state = ServingState()
        self.fault: Exception | None = None
        """Why the last renewal failed, in whole or in part."""
        self.ready = Event()
        self.loading = Lock()
        self.asked_at = time.monotonic()
        self.renewed_at = time.monotonic()


class ModelCache:
    """A bounded number of scopes, the least recently asked for dropped first. Safe for threads.

    `load` makes a state from the one before and does not raise. With `watch`, a thread renews the states, and the
    first request for a scope waits at most `FIRST_LOAD_SECONDS`; without, it waits as long as it takes.
    """

    def __init__(self, load: Load, capacity: int, watch: bool = True, refresh_seconds: float = REFRESH_SECONDS) -> None:
        self._load = load
        self._capacity = capacity
        self._refresh_seconds = refresh_seconds
        self._slots: OrderedDict[Scope, _Slot] = OrderedDict()
        self._lock = Lock()
        self._failed = 0
        self._stop = Event()
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="load-scope")
        self._watcher = Thread(target=self._watch, name="renew-scopes", daemon=True) if watch else None
        if self._watcher:
            self._watcher.start()

    def state(self, scope: Scope) -> ServingState:
        """The scope's state now; the first callers wait until it is loaded."""
        with self._lock:
            slot = self._slots.get(scope)
            new = slot is None
            if slot is None:
                slot = self._slots[scope] = _Slot()
                if len(self._slots) > self._capacity:
                    self._slots.popitem(last=False)
            else:
                self._slots.move_to_end(scope)
            slot.asked_at = time.monotonic()
        if new:
            self._pool.submit(self._renew, scope, slot)
        if not slot.ready.wait(FIRST_LOAD_SECONDS if self._watcher else None):
            log.warning("answering without a snapshot: it takes too long to load", scope=str(scope))
            slot.ready.set()
        return slot.state

    def is_stale(self, state: ServingState, *parts: Part) -> bool:
        """Whether one of the parts is older than renewing leaves it when all is well; never without `watch`."""
        return self._watcher is not None and time.monotonic() - state.as_of(*parts) > STALE_SECONDS

    def renewals(self) -> Renewals:
        """How old what serves is, and what keeps it from being renewed."""
        with self._lock:
            slots, failed = list(self._slots.values()), self._failed
        now = time.monotonic()
        # What was never read is as old as the wish for it.
        ages = [now - max(slot.state.as_of(*PARTS), slot.made_at) for slot in slots]
        faults = [type(slot.fault).__name__ for slot in slots if slot.fault is not None]
        return Renewals(
            scopes=len(slots),
            stale=sum(age > STALE_SECONDS for age in ages),
            oldest_seconds=max(ages, default=0.0),
            failed=failed,
            fault=faults[-1] if faults else "",
        )

    def _renew(self, scope: Scope, slot: _Slot) -> None:
        if not slot.loading.acquire(blocking=False):
            return  # Somebody does already.
        before, fault = slot.fault, None
        try:
            slot.state = self._load(scope, slot.state)
            fault = next(iter(slot.state.faults.values()), None)
        except Exception as error:  # Whatever it is, what was loaded before serves on, and its age is told.
            fault = error
            if repr(error) != repr(before):  # it is tried again every two seconds
                log.exception("could not renew what is served", scope=str(scope))
        finally:
            slot.fault = fault
            if fault is not None:
                with self._lock:
                    self._failed += 1
            slot.renewed_at = time.monotonic()
            slot.loading.release()
            slot.ready.set()

    def _watch(self) -> None:
        while not self._stop.wait(self._refresh_seconds / 4):
            with self._lock:
                slots = list(self._slots.items())
            now = time.monotonic()
            for scope, slot in slots:
                idle = now - slot.asked_at > IDLE_AFTER_SECONDS
                due = now - slot.renewed_at >= (IDLE_REFRESH_SECONDS if idle else self._refresh_seconds)
                if due and not slot.loading.locked():
                    self._pool.submit(self._renew, scope, slot)

    def close(self) -> None:
        """Stops renewing."""
        self._stop.set()
        if self._watcher:
            self._watcher.join()
        self._pool.shutdown(wait=True, cancel_futures=True)
