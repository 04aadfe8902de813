"""Waiting for runs with a progress bar for each."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kombu.exceptions import OperationalError
from redis.exceptions import RedisError
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column

from lemo.cli.output import messages
from lemo.domain.errors import EngineUnavailable, LemoError
from lemo.domain.run import Progress as Step
from lemo.domain.run import Run
from lemo.intake.doubt import LOOK_SECONDS, QUIET_SECONDS, Doubt

if TYPE_CHECKING:
    from lemo.jobs.report import Report
    from lemo.settings import Settings
    from lemo.stores.connect import Stores


def worker_is_there(settings: "Settings") -> bool:
    """Whether a worker answers or has runs at work, or a supervisor of this machine starts one."""
    from lemo.cli.session import is_kept
    from lemo.diagnostics.worker_probe import runs_at_work, worker_states

    if is_kept(settings, "worker"):
        return True
    try:
        return bool(worker_states(settings) or runs_at_work(settings))
    except (RedisError, OperationalError, OSError):
        return False


def wait_for_runs(stores: "Stores", tenant_id: str, runs: Sequence[Run]) -> list[Run]:
    """Shows the runs until all have ended; returns them as they ended. An engine that is away is waited for."""
    ended: dict[str, Run] = {}
    seen: dict[str, tuple[object, ...]] = {}
    doubt = Doubt(lambda: worker_is_there(stores.settings))
    with _bars() as bars:
        tasks = {
            run.run_id: bars.add_task(f"{run.entry} [dim]{run.scenario_id}[/]", total=None, stage="queued")
            for run in runs
        }
        while len(ended) < len(runs):
            away: EngineUnavailable | None = None
            for run in runs:
                if run.run_id in ended:
                    continue
                try:
                    now = stores.runs.get(tenant_id, run.run_id)
                except EngineUnavailable as error:
                    away = error
                    break
                seen[run.run_id] = (now.outcome, now.attempts, now.progress)
                _draw(bars, tasks[run.run_id], now)
                if now.finished:
                    ended[run.run_id] = now
            if len(ended) == len(runs):
                break
            open_runs = [run for run in runs if run.run_id not in ended]
            if doubt.nobody(dict(seen)):
                raise LemoError(
                    f"No worker runs: {_counted(open_runs)} wait for one, and go on by themselves when it starts.",
                    "Start it: `lemo up --detach` (or `lemo worker`); then follow them: `lemo runs watch`.",
                )
            if doubt.quiet and away is not None:
                raise away
            if doubt.quiet and all(seen[run.run_id][0] == "queued" for run in open_runs):
                raise LemoError(
                    f"No run has started for {QUIET_SECONDS} seconds; they stay queued.",
                    "The worker is busy or broken: `lemo status` and `lemo doctor --service worker` tell.",
                )
            time.sleep(LOOK_SECONDS)
    return [ended[run.run_id] for run in runs]


def _counted(runs: Sequence[Run]) -> str:
    return f"{len(runs)} run{'' if len(runs) == 1 else 's'}"


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
