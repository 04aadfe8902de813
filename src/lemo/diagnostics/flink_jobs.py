"""How Flink's jobs are: state, age of the last checkpoint, events behind; for the doctor and the console."""

from dataclasses import dataclass

from lemo.domain.errors import EngineUnavailable
from lemo.domain.time import milliseconds
from lemo.settings import Settings
from lemo.stores.flink import JOBS, Flink, FlinkJob
from lemo.streams import Log
from lemo.streams.lag import age_seconds

LATE_SECONDS = 300
"""A checkpoint that is older than this is told as a warning."""


@dataclass(frozen=True, slots=True)
class JobHealth:
    """How one of our jobs is."""

    name: str
    state: str
    """In Flink's words; empty where it does not run."""
    checkpoint_seconds: float | None = None
    """Age of its last complete checkpoint; None before the first."""
    started_seconds: float = 0.0
    """How long ago it was started."""
    behind: int | None = None
    """Accepted events that wait for it; None where the log does not say."""

    @property
    def late(self) -> bool:
        """Whether somebody should look at it: it does not run, or makes no checkpoints."""
        since = self.started_seconds if self.checkpoint_seconds is None else self.checkpoint_seconds
        return self.state != "RUNNING" or since > LATE_SECONDS


def job_health(settings: Settings, log: Log | None, flink: Flink) -> list[JobHealth]:
    """The health of each of `JOBS`, in that order; raises EngineUnavailable where Flink does not answer."""
    live: dict[str, FlinkJob] = {job.name: job for job in reversed(flink.jobs()) if job.live}
    return [_health(settings, log, live[name]) if name in live else JobHealth(name, "") for name in JOBS]


def _health(settings: Settings, log: Log | None, job: FlinkJob) -> JobHealth:
    checkpoint = None if job.checkpoint_at is None else age_seconds(milliseconds(job.checkpoint_at))
    started = age_seconds(milliseconds(job.started_at))
    return JobHealth(job.name, job.state, checkpoint, started, _behind(settings, log, job.name))


def _behind(settings: Settings, log: Log | None, name: str) -> int | None:
    if log is None or not settings.with_flink:
        return None
    topic = settings.kafka_accepted_topic
    try:
        return log.lag([topic], settings.flink_group(name)).get(topic, 0)
    except EngineUnavailable:
        return None
