"""Counts and durations of runs for Prometheus, kept by each process that ends runs."""

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from lemo.domain.run import Run
from lemo.scheduling.jobs import JOBS

if TYPE_CHECKING:
    from prometheus_client import Counter, Histogram

OUTCOMES = ("ok", "failed", "skipped")
BUCKETS = (0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 4 * 3600)
"""Upper limits of the histogram of durations, in seconds: from an empty scenario to the time limit of a task."""


@dataclass(frozen=True, slots=True)
class RunMetrics:
    """What is measured. Labels are few by design: tenants and scenarios are in the history of runs."""

    runs: "Counter"
    seconds: "Histogram"


@cache
def measures() -> RunMetrics:
    """The measures of this process.

    The library is imported here and not above: it decides at its import whether it shares its numbers with other
    processes, and the worker says so only when it starts.
    """
    from prometheus_client import Counter, Histogram

    return RunMetrics(
        Counter("lemo_runs", "Task runs that ended.", ("entry", "outcome"), registry=None),
        Histogram("lemo_run_seconds", "How long runs took.", ("entry",), registry=None, buckets=BUCKETS),
    )


def announce() -> None:
    """Sets every count to 0 where there is none yet: a count that is born with 1 looks to Prometheus like no change."""
    for entry in JOBS:
        measures().seconds.labels(entry)
        for outcome in OUTCOMES:
            measures().runs.labels(entry, outcome)


def ended(run: Run) -> None:
    """Counts a run that has just ended."""
    measures().runs.labels(run.entry, run.outcome).inc()
    if run.outcome != "skipped" and run.seconds is not None:
        measures().seconds.labels(run.entry).observe(max(0.0, run.seconds))
