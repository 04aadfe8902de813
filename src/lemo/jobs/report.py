"""What a job reports: its stage and progress while it runs, and its result at the end."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lemo.domain.run import Progress


@dataclass(frozen=True, slots=True)
class Done:
    """The result of a job: rows read and written, and details for the history of runs."""

    rows_read: int = 0
    rows_written: int = 0
    detail: dict[str, Any] = field(default_factory=dict)


NO_EVENTS = (
    "There are no events yet. Send some: POST .../events, the log, or `lemo import events FILE --scenario NAME`."
)
NO_ITEMS = "There are no items yet. Send some: POST .../items, the log, or `lemo import items FILE --scenario NAME`."


def idle(why: str, rows_read: int = 0, **detail: Any) -> Done:
    """The result of a run that had nothing to do: the reason, and what to do about it."""
    return Done(rows_read, 0, {**detail, "why": why})


class Report:
    """A job's view of its run. `show` gets the progress at most twice a second, `check` raises after a lost lease.

    `fence` is the fencing number of the lease: a write with it fails after a write of a later run. With `full`, an
    incremental job starts from nothing.
    """

    def __init__(
        self, show: Callable[[Progress], None], check: Callable[[], None], fence: int, full: bool = False
    ) -> None:
        self._show = show
        self.full = full
        self.check = check
        self.fence = fence
        self._progress = Progress()
        self._shown = 0.0

    def stage(self, name: str, total: int = 0) -> None:
        """Begins a new stage of `total` steps (0: unknown)."""
        self._progress = Progress(stage=name, total=total)
        self._show_progress(now=True)

    def advance(self, steps: int = 1) -> None:
        """Adds completed steps to the current stage."""
        self._progress.done += steps
        self._show_progress(now=False)

    def at(self, stage: str, done: int, total: int) -> None:
        """Sets stage and progress, for callers that count themselves."""
        new = stage != self._progress.stage
        self._progress = Progress(stage=stage, done=done, total=total)
        self._show_progress(now=new)

    def _show_progress(self, now: bool) -> None:
        if now or time.monotonic() - self._shown >= 0.5:
            self._shown = time.monotonic()
            self._show(self._progress)


def unattended(full: bool = False) -> Report:
    """A report without a reader, for calling a job as a plain function."""
    return Report(show=lambda _: None, check=lambda: None, fence=time.time_ns() // 1000, full=full)
