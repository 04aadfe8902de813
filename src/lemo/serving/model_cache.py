"""Cache of serving states: loaded at the first request of a scope, renewed in the background."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Lock, Thread

import structlog

from lemo.domain.scope import Scope
from lemo.serving.renewals import Renewals, is_old, renewals_of
from lemo.serving.slots import Slots
from lemo.serving.state import PARTS, Part, ServingState

log = structlog.get_logger()

REFRESH_SECONDS = 0.5
IDLE_REFRESH_SECONDS = 15.0
"""Renewal interval of a scope without a request in the last `IDLE_AFTER_SECONDS`."""
IDLE_AFTER_SECONDS = 300.0
FIRST_LOAD_SECONDS = 5.0
"""Longest wait of the first request for the snapshot. After it the answer is made without one."""

Load = Callable[[Scope, ServingState], ServingState]


class _Slot:
    def __init__(self) -> None:
        self.made_at = time.monotonic()
        self.state = ServingState()
        self.fault: Exception | None = None
        """Why the last renewal failed, in whole or in part."""
        self.ready = Event()
        self.loading = Lock()
        self.requested_at = time.monotonic()
        self.renewed_at = time.monotonic()


class ModelCache:
    """A bounded LRU cache of the states of scopes. Safe for threads.

    `load` makes a state from the previous one. With `watch`, a thread renews the states, and the first request of a
    scope waits at most `FIRST_LOAD_SECONDS`. Without it, states are loaded once, and the first request waits for it.
    """

    def __init__(self, load: Load, capacity: int, watch: bool = True, refresh_seconds: float = REFRESH_SECONDS) -> None:
        self._load = load
        self._refresh_seconds = refresh_seconds
        self._slots = Slots(_Slot, capacity)
        self._lock = Lock()
        self._failed = 0
        self._stop = Event()
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="load-scope")
        self._refresher = Thread(target=self._refresh, name="renew-scopes", daemon=True) if watch else None
        if self._refresher:
            self._refresher.start()

    def state(self, scope: Scope) -> ServingState:
        """The current state of the scope. The first callers wait until it is loaded."""
        slot, new = self._slots.of(scope)
        slot.requested_at = time.monotonic()
        if new:
            self._pool.submit(self._renew, scope, slot)
        if not slot.ready.wait(FIRST_LOAD_SECONDS if self._refresher else None):
            log.warning("answering without a snapshot: it takes too long to load", scope=str(scope))
            slot.ready.set()
        return slot.state

    def loaded(self, scope: Scope) -> ServingState | None:
        """The current state of the scope, if it is loaded; never waits."""
        slot = self._slots.known(scope)
        if slot is None or not slot.ready.is_set():
            return None
        slot.requested_at = time.monotonic()
        return slot.state

    def states(self) -> list[ServingState]:
        """The states of all scopes."""
        return [slot.state for _, slot in self._slots.all()]

    def is_stale(self, state: ServingState, *parts: Part) -> bool:
        """Whether one of the parts is older than `STALE_SECONDS`; never without `watch`."""
        return self._refresher is not None and is_old(state.as_of(*parts))

    def renewals(self) -> Renewals:
        """The age of the states, and the error that prevents their renewal."""
        # A part that was never read is as old as its slot.
        return renewals_of(
            [
                (max(slot.state.as_of(*PARTS), slot.made_at), type(slot.fault).__name__ if slot.fault else "")
                for _, slot in self._slots.all()
            ],
            self._failed,
        )

    def _renew(self, scope: Scope, slot: _Slot) -> None:
        if not slot.loading.acquire(blocking=False):
            return  # another thread renews it now
        previous, fault = slot.fault, None
        try:
            slot.state = self._load(scope, slot.state)
            fault = next(iter(slot.state.faults.values()), None)
        except Exception as error:  # the previous state stays in service, and its age is reported
            fault = error
            if repr(error) != repr(previous):  # the renewal is retried all the time
                log.exception("could not renew what is served", scope=str(scope))
        finally:
            slot.fault = fault
            if fault is not None:
                with self._lock:
                    self._failed += 1
            slot.renewed_at = time.monotonic()
            slot.loading.release()
            slot.ready.set()

    def _refresh(self) -> None:
        while not self._stop.wait(self._refresh_seconds / 4):
            now = time.monotonic()
            for scope, slot in self._slots.all():
                idle = now - slot.requested_at > IDLE_AFTER_SECONDS
                due = now - slot.renewed_at >= (IDLE_REFRESH_SECONDS if idle else self._refresh_seconds)
                if due and not slot.loading.locked():
                    self._pool.submit(self._renew, scope, slot)

    def close(self) -> None:
        """Stops renewing."""
        self._stop.set()
        if self._refresher:
            self._refresher.join()
        self._pool.shutdown(wait=True, cancel_futures=True)
