"""Waiting for runs with a progress bar for each."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column

from lemo.commands.output import messages
from lemo.domain.errors import EngineUnavailable, LemoError
from lemo.domain.run import Progress as Step
from lemo.domain.run import Run

if TYPE_CHECKING:
    from lemo.jobs.report import Report
    from lemo.stores.connect import Stores

LOOK_SECONDS = 0.2
QUIET_SECONDS = 60
"""When nothing has started for this long, the worker is probably not running, and the person should hear of it."""


def wait_for_runs(stores: "Stores", tenant_id: str, runs: Sequence[Run]) -> list[Run]:
    """Shows the runs until all have ended; returns them as they ended. An engine that is away is waited for."""
    ended: dict[str, Run] = {}
    with _bars() as bars:
        tasks = {
            run.run_id: bars.add_task(f"{run.entry} [dim]{run.scenario_id}[/]", total=None, stage="queued")
            for run in runs
        }
        moved = time.monotonic()
        while len(ended) < len(runs):
            for run in runs:
                if run.run_id in ended:
                    continue
                try:
                    now = stores.runs.get(tenant_id, run.run_id)
                except EngineUnavailable:
                    break
                if now.outcome != "queued":
                    moved = time.monotonic()
                _draw(bars, tasks[run.run_id], now)
                if now.finished:
                    ended[run.run_id] = now
            if time.monotonic() - moved > QUIET_SECONDS:
                raise LemoError(
                    f"No run has started for {QUIET_SECONDS} seconds; they stay queued.",
                    "Is a worker running? `lemo status` and `lemo doctor --service worker` tell.",
                )
            if len(ended) < len(runs):
                time.sleep(LOOK_SECONDS)
    return [ended[run.run_id] for run in runs]


@contextmanager
def progress_bar(description: str) -> "Iterator[Report]":
    """A report for a job that this process does itself, drawn as a progress bar."""
    from lemo.jobs.report import Report

    with _bars() as bars:
        task = bars.add_task(description, total=None, stage="")

        def show(step: Step) -> None:
            bars.update(task, total=step.total or None, completed=step.done, stage=step.stage)

        yield Report(show, check=lambda: None, fence=0)
        bars.update(task, total=1, completed=1, stage="done")


def _bars() -> Progress:
    return Progress(
        # One line for each run, however narrow the terminal: what does not fit is cut, not broken.
        TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis")),
        BarColumn(bar_width=10),
        TextColumn("{task.fields[stage]}", table_column=Column(no_wrap=True, overflow="ellipsis")),
        TimeElapsedColumn(),
        console=messages,
    )


def _draw(bars: Progress, task: TaskID, run: Run) -> None:
    if run.finished:
        bars.update(task, total=1, completed=1, stage=run.outcome)
        bars.stop_task(task)
    else:
        total = run.progress.total or None
        bars.update(task, total=total, completed=run.progress.done, stage=run.progress.stage or run.outcome)
