"""Keeps the hourly aggregates up to date: marks hours before their events are written, refreshes them in a thread."""

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
"""Largest part of the time that refreshes may take: the engine has other work."""
ABANDONED_SECONDS = 600
"""Marks that nobody has renewed for so long are taken over: their member died and did not come back."""
_LOOK_SECONDS = 60.0
_RETRY_SECONDS = 2.0

Hours = set[tuple[Scope, int]]


class Aggregation:
    """What one consumer does for the aggregates (docs/decisions/0011-aggregates.md).

    The loop of the consumer calls `before` a write and `tick` when none is under way. The hours of a batch are marked,
    in the present epoch, before its events are written. When it is time, `tick` hands the epoch over, whose events are
    all written then, and begins another; the thread computes the epoch's hours and drops its marks.
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
        """Starts the thread, which first takes up what this member left behind when it last died."""
        self._thread.start()

    def before(self, hours: Iterable[tuple[Scope, int]]) -> None:
        """Marks the hours of events that are about to be written; raises EngineUnavailable."""
        # A write that is tried again for long must not look abandoned.
        known = self._marked if time.monotonic() - self._marked_at < ABANDONED_SECONDS / 5 else set()
        fresh = set(hours) - known
        if fresh:
            self._aggregates.mark(self._epoch, fresh)
            self._marked |= fresh
            if not known:
                self._marked_at = time.monotonic()

    def tick(self) -> None:
        """Hands the marked hours over if it is time; only while no write of events is under way."""
        if self._marked and not self._busy.is_set() and time.monotonic() >= self._due:
            self._hand_over()

    def finish(self, seconds: float) -> None:
        """A last refresh, if it takes no longer; what stays marked is taken up by whoever comes next."""
        if self._marked:
            self._hand_over()
        self._handed.put(None)
        self._thread.join(seconds)

    def stop(self) -> None:
        """Ends the thread after what it is at."""
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
        look = 0.0
        while not self._stopped.is_set():
            # By the clock: a consumer that is never idle looks too.
            if time.monotonic() >= look:
                self._take_over(ABANDONED_SECONDS)
                look = time.monotonic() + _LOOK_SECONDS
            try:
                handed = self._handed.get(timeout=max(0.0, look - time.monotonic()))
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
                # Again, should somebody have taken us for dead and dropped our marks.
                self._aggregates.mark(epoch, hours)
                self._aggregates.refresh(epoch)
            except EngineUnavailable as error:
                log.warning("aggregates wait for an engine", error=error.message)
                self._stopped.wait(_RETRY_SECONDS)
            else:
                return

    def _take_over(self, seconds: int, prefix: str = "") -> None:
        """Refreshes what nobody else will: epochs without a sign of life for so long."""
        try:
            for epoch in self._aggregates.abandoned(seconds, prefix):
                if not epoch.startswith(self._process):
                    hours = self._aggregates.refresh(epoch)
                    log.info("took over aggregates of a member that died", hours=hours)
        except EngineUnavailable as error:
            log.warning("aggregates of members that died wait for an engine", error=error.message)
