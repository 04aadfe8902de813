"""`lemo jobs`: start a job now."""

from typing import Annotated

import typer

from lemo.cli.output import Format, FormatOption, show
from lemo.cli.runs import columns, rows

app = typer.Typer(no_args_is_help=True, help="Start jobs by hand.")


@app.callback()
def jobs() -> None:
    """Start jobs by hand."""


@app.command()
def run(
    entry: Annotated[str, typer.Argument(help="Name of the job, as in `lemo schedule list`; or embed-items.")],
    scenario: Annotated[str, typer.Option("--scenario", "-s", help="Only this scenario; all without it.")] = "",
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it has ended, and fail if it failed.")] = False,
    full: Annotated[
        bool, typer.Option("--full", help="Start from nothing, where the job goes by what changed since its last run.")
    ] = False,
    format: FormatOption = Format.table,
) -> None:
    """Queue a job for one scenario or all, e.g. `lemo jobs run train-model-daily --scenario shop --wait`."""
    from lemo.cli.operator import operator
    from lemo.cli.session import connected
    from lemo.cli.waiting import wait_for_runs
    from lemo.scheduling.jobs import job_of
    from lemo.scheduling.service import run_now
    from lemo.telemetry.tracing import start_traces

    job_of(entry)
    stores, tenant_id = connected()
    start_traces("cli", stores.settings)
    runs = run_now(stores, tenant_id, entry, scenario, operator(tenant_id), full)
    if wait:
        runs = wait_for_runs(stores, tenant_id, runs)
    show(rows(runs), format, "Runs", columns(runs))
    if any(one.outcome == "failed" for one in runs):
        raise typer.Exit(1)
