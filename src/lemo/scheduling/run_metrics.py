"""Counts and durations of runs for Prometheus, kept by each process that executes runs."""

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
    """The metrics. Labels are few by design: tenants and scenarios are in the history of runs."""

    runs: "Counter"
    seconds: "Histogram"


@cache
def run_metrics() -> RunMetrics:
    """The metrics of this process.

    prometheus_client is imported here, because it decides at import whether it shares its values with other processes,
    and the worker sets that when it starts.
    """
    from prometheus_client import Counter, Histogram

    return RunMetrics(
        Counter("lemo_runs", "Task runs that ended.", ("entry", "outcome"), registry=None),
        Histogram("lemo_run_seconds", "How long runs took.", ("entry",), registry=None, buckets=BUCKETS),
    )


def create_series() -> None:
    """Creates every time series with 0. Prometheus sees no increase in a series that begins with 1."""
    for entry in JOBS:
        run_metrics().seconds.labels(entry)
        for outcome in OUTCOMES:
            run_metrics().runs.labels(entry, outcome)


def ended(run: Run) -> None:
    """Counts a run that has just ended."""
    run_metrics().runs.labels(run.entry, run.outcome).inc()
    if run.outcome != "skipped" and run.seconds is not None:
        run_metrics().seconds.labels(run.entry).observe(max(0.0, run.seconds))
