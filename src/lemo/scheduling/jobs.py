"""The catalogue of jobs: the function that each schedule entry runs, when, and on which queue."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import cast

from lemo.domain.errors import NotFound
from lemo.domain.reasons import did_you_mean
from lemo.domain.schedule import DEFAULT_CRONS
from lemo.domain.scope import Scope
from lemo.jobs.report import Done, Report
from lemo.stores.connect import Stores

QUEUES = ("default", "model_training", "item_processing", "user_profile")
"""Queues of the broker. A worker reads all of them, or those that it is started for."""

Work = Callable[[Stores, Scope, Report], Done]


@dataclass(frozen=True, slots=True)
class Job:
    """One job. `cron` is its default schedule in UTC; None: it runs when items arrive."""

    entry: str
    title: str
    module: str
    function: str
    queue: str
    cron: str | None

    def work(self) -> Work:
        """The job's function, imported now: jobs import heavy libraries that other processes need not load."""
        return cast(Work, getattr(import_module(self.module), self.function))


JOBS = {
    job.entry: job
    for job in (
        Job(
            entry="train-model-daily",
            title="Train and evaluate the model",
            module="lemo.jobs.training",
            function="train",
            queue="model_training",
            cron=DEFAULT_CRONS["train-model-daily"],
        ),
        Job(
            entry="compute-item-similarity-hourly",
            title="Similar items",
            module="lemo.jobs.similarity",
            function="compute_similarity",
            queue="item_processing",
            cron=DEFAULT_CRONS["compute-item-similarity-hourly"],
        ),
        Job(
            entry="update-user-profiles-2hours",
            title="User profiles",
            module="lemo.jobs.profiles",
            function="profile",
            queue="user_profile",
            cron=DEFAULT_CRONS["update-user-profiles-2hours"],
        ),
        Job(
            entry="precompute-recommendations-4hours",
            title="Recommendations of active users",
            module="lemo.jobs.precompute",
            function="precompute",
            queue="default",
            cron=DEFAULT_CRONS["precompute-recommendations-4hours"],
        ),
        Job(
            entry="cleanup-expired-cache-daily",
            title="Drop what is stale",
            module="lemo.jobs.cleanup",
            function="clean",
            queue="default",
            cron=DEFAULT_CRONS["cleanup-expired-cache-daily"],
        ),
        Job(
            entry="check-experiments-hourly",
            title="Guardrails of experiments, and drift",
            module="lemo.experiments.guardrails",
            function="check",
            queue="default",
            cron=DEFAULT_CRONS["check-experiments-hourly"],
        ),
        Job(
            entry="aggregate-realtime-minutely",
            title="Sessions, metrics of minutes, hot scores",
            module="lemo.jobs.realtime",
            function="aggregate",
            queue="default",
            cron=DEFAULT_CRONS["aggregate-realtime-minutely"],
        ),
        Job(
            entry="embed-items",
            title="Content vectors of new items",
            module="lemo.jobs.embeddings",
            function="embed",
            queue="item_processing",
            cron=None,
        ),
    )
}
SCHEDULED = tuple(job for job in JOBS.values() if job.cron)


def job_of(entry: str) -> Job:
    """The job of the entry; raises NotFound, which names similar entries and lists all."""
    if entry in JOBS:
        return JOBS[entry]
    raise NotFound(
        f"There is no entry {entry[:80]!r}.", f"{did_you_mean(entry, JOBS)}The entries are: {', '.join(JOBS)}."
    )
