"""What a running job tells: its stage, how far it is, and at the end what it did."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lemo.domain.run import Progress


@dataclass(frozen=True, slots=True)
class Done:
    """The result of a job: rows read and written, and what else is worth keeping in the run's history."""

    rows_read: int = 0
    rows_written: int = 0
    detail: dict[str, Any] = field(default_factory=dict)


NO_EVENTS = (
    "There are no events yet. Send some: POST .../events, the log, or `lemo import events FILE --scenario NAME`."
)
NO_ITEMS = "There are no items yet. Send some: POST .../items, the log, or `lemo import items FILE --scenario NAME`."


def idle(why: str, rows_read: int = 0, **detail: Any) -> Done:
    """The result of a run that had nothing to do: why, and what a person does about it."""
    return Done(rows_read, 0, {**detail, "why": why})


class Report:
    """Handed to each job: `show` gets progress at most twice a second, `check` raises when the run lost its lease.

    `fence` is the fencing number of that lease, for the writes that a later run must not find undone.
    `full` is the wish that a job that goes by what changed start from nothing.
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
        """A new stage begins, of `total` steps (0: unknown)."""
        self._progress = Progress(stage=name, total=total)
        self._tell(now=True)

    def advance(self, steps: int = 1) -> None:
        """So many more steps of the stage are done."""
        self._progress.done += steps
        self._tell(now=False)

    def at(self, stage: str, done: int, total: int) -> None:
        """The stage and how far it is, for whoever counts by itself."""
        new = stage != self._progress.stage
        self._progress = Progress(stage=stage, done=done, total=total)
        self._tell(now=new)

    def _tell(self, now: bool) -> None:
        if now or time.monotonic() - self._shown >= 0.5:
            self._shown = time.monotonic()
            self._show(self._progress)


def unattended(full: bool = False) -> Report:
    """A report that nobody reads, for calling a job as a plain function."""
    return Report(show=lambda _: None, check=lambda: None, fence=time.time_ns() // 1000, full=full)
