"""Keeps the hourly aggregates current: marks hours before their events are written, refreshes them in a thread."""

import hashlib
import queue
import threading
import time
import uuid
from collections.abc import Iterable

import structlog

from lemo.domain.errors import EngineUnavailable
from lemo.domain.scope import Scope
from lemo.stores.clickhouse.aggregates import Aggregates

log = structlog.get_logger(__name__)

REFRESH_SECONDS = 5.0
"""Shortest time between two refreshes."""
SHARE = 0.1
"""Largest share of time for refreshes: the engine has other work."""
ABANDONED_SECONDS = 600
"""Marks older than this are taken over: their member crashed and did not restart."""
_TAKE_OVER_SECONDS = 60.0
_RETRY_SECONDS = 2.0

Hours = set[tuple[Scope, int]]


class Aggregation:
    """The aggregation of one consumer (docs/decisions/0011-aggregates.md).

    The consumer calls `before` a write, and `tick` when no write is pending. The hours of a batch are marked in the
    current epoch before its events are written. When a refresh is due, `tick` ends the epoch, whose events are all
    written then. The thread computes the hours of the epoch and drops its marks.
    """

    def __init__(self, aggregates: Aggregates, member: str) -> None:
        self._aggregates = aggregates
        self._member = hashlib.sha256(member.encode()).hexdigest()[:12]
        self._process = f"{self._member}-{uuid.uuid4().hex[:12]}"
        self._epochs = 0
        self._marked: Hours = set()
        self._marked_at = 0.0
        self._due = time.monotonic() + REFRESH_SECONDS
        self._handed: queue.SimpleQueue[tuple[str, Hours] | None] = queue.SimpleQueue()
        self._busy = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="aggregates", daemon=True)

    def start(self) -> None:
        """Starts the thread, which first takes over the marks that this member left when it last crashed."""
        self._thread.start()

    def before(self, hours: Iterable[tuple[Scope, int]]) -> None:
        """Marks the hours of events that are about to be written; raises EngineUnavailable."""
        # A write that is retried for long must not look abandoned.
        marked = self._marked if time.monotonic() - self._marked_at < ABANDONED_SECONDS / 5 else set()
        unmarked = set(hours) - marked
        if unmarked:
            self._aggregates.mark(self._epoch, unmarked)
            self._marked |= unmarked
            if not marked:
                self._marked_at = time.monotonic()

    def tick(self) -> None:
        """Ends the epoch if a refresh is due. Call it only while no write of events is pending."""
        if self._marked and not self._busy.is_set() and time.monotonic() >= self._due:
            self._hand_over()

    def finish(self, seconds: float) -> None:
        """A last refresh, within the seconds. Another member takes over what stays marked."""
        if self._marked:
            self._hand_over()
        self._handed.put(None)
        self._thread.join(seconds)

    def stop(self) -> None:
        """Ends the thread after its current refresh."""
        self._stopped.set()
        self._handed.put(None)

    @property
    def _epoch(self) -> str:
        return f"{self._process}-{self._epochs}"

    def _hand_over(self) -> None:
        self._busy.set()
        self._handed.put((self._epoch, self._marked))
        self._epochs += 1
        self._marked = set()

    def _run(self) -> None:
        self._take_over(0, self._member)
        next_take_over = 0.0
        while not self._stopped.is_set():
            # By the clock: a consumer that is never idle takes over too.
            if time.monotonic() >= next_take_over:
                self._take_over(ABANDONED_SECONDS)
                next_take_over = time.monotonic() + _TAKE_OVER_SECONDS
            try:
                handed = self._handed.get(timeout=max(0.0, next_take_over - time.monotonic()))
            except queue.Empty:
                continue
            if handed is None:
                return
            started = time.monotonic()
            self._persist(*handed)
            took = time.monotonic() - started
            self._due = time.monotonic() + max(REFRESH_SECONDS, took / SHARE)
            self._busy.clear()

    def _persist(self, epoch: str, hours: Hours) -> None:
        while not self._stopped.is_set():
            try:
                # Marks again, as another member may have taken the marks over.
                self._aggregates.mark(epoch, hours)
                self._aggregates.refresh(epoch)
            except EngineUnavailable as error:
                log.warning("aggregates wait for an engine", error=error.message)
                self._stopped.wait(_RETRY_SECONDS)
            else:
                return

    def _take_over(self, seconds: int, prefix: str = "") -> None:
        """Refreshes the epochs of other processes whose marks are older than the seconds."""
        try:
            for epoch in self._aggregates.abandoned(seconds, prefix):
                if not epoch.startswith(self._process):
                    hours = self._aggregates.refresh(epoch)
                    log.info("took over aggregates of a crashed member", hours=hours)
        except EngineUnavailable as error:
            log.warning("aggregates of crashed members wait for an engine", error=error.message)
