"""Task runs: what a job did, for whom, when, and how it ended."""

from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

Outcome = Literal["queued", "running", "ok", "failed", "skipped"]
Trigger = Literal["schedule", "manual", "arrival"]
LOG_LINES = 100
"""Newest lines of its log that a run keeps."""


class Progress(BaseModel):
    """How far a running job is."""

    stage: str = ""
    done: int = 0
    total: int = 0


class LogLine(BaseModel):
    """One line of a run's log."""

    at: datetime
    text: str


class Run(BaseModel):
    """One run of one job for one scope."""

    run_id: str
    entry: str
    scenario_id: str
    trigger: Trigger
    outcome: Outcome = "queued"
    queued_at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    started_at: datetime | None = None
    finished_at: datetime | None = None
    rows_read: int = 0
    rows_written: int = 0
    detail: dict[str, Any] = {}
    """What the job wants known: metrics, versions, counts."""
    error: str = ""
    worker: str = ""
    attempts: int = 0
    retry_at: datetime | None = None
    """When a queued run is tried again after an engine was away."""
    deaths: int = 0
    """Attempts that ended without a word: their process was killed, or lost its lease."""
    fence: int = 0
    """The fencing number of the last attempt's lease; only the attempt with the highest one may write the run."""
    progress: Progress = Progress()
    full: bool = False
    """Whether a job that goes by what changed is to start from nothing."""
    log: list[LogLine] = []
    """Its attempts, their stages and how each ended, oldest first."""

    def note(self, text: str) -> None:
        """Adds a line to the log; the oldest goes where there are too many."""
        self.log = [*self.log[1 - LOG_LINES :], LogLine(at=datetime.now(UTC), text=text[:1000])]

    @property
    def finished(self) -> bool:
        """Whether the run has ended, well or not."""
        return self.outcome in ("ok", "failed", "skipped")

    @property
    def seconds(self) -> float | None:
        """How long the run took, once it ended."""
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()
