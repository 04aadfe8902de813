"""`lemo runs`: what the jobs did."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from lemo.cli.output import Format, FormatOption, Row, show, show_one
from lemo.domain.run import Outcome, Run
from lemo.domain.scope import Scope

if TYPE_CHECKING:
    from lemo.stores.connect import Stores

app = typer.Typer(no_args_is_help=True, help="What the jobs did: when, how long, how much, and why one failed.")

COLUMNS = ("run_id", "entry", "scenario_id", "outcome", "queued_at", "seconds", "rows_written")


def rows(runs: Sequence[Run]) -> list[Row]:
    """The runs as rows to show, with what follows from their times, and a note: the error, or why little was done."""
    return [
        run.model_dump() | {"seconds": run.seconds, "note": run.error or str(run.detail.get("why", ""))} for run in runs
    ]


def columns(runs: Sequence[Run]) -> tuple[str, ...]:
    """The columns of a table of runs: notes have one only where there are some."""
    return (*COLUMNS, "note") if any(row["note"] for row in rows(runs)) else COLUMNS


@app.command("list")
def list_runs(
    entry: Annotated[str, typer.Option(help="Only runs of this job.")] = "",
    scenario: Annotated[str, typer.Option("--scenario", "-s", help="Only runs for this scenario.")] = "",
    outcome: Annotated[Outcome | None, typer.Option(help="Only runs that ended so, or have not ended.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, newest first.")] = 20,
    format: FormatOption = Format.table,
) -> None:
    """List runs, newest first."""
    stores, tenant_id = _open()
    if scenario:
        stores.scenarios.get(Scope(tenant_id, scenario))
    found = stores.runs.list(tenant_id, entry=entry or None, scenario_id=scenario or None, outcome=outcome, limit=limit)
    show(rows(found), format, "Runs", columns(found))


@app.command("show")
def show_run(
    run_id: Annotated[str, typer.Argument(metavar="ID", help="As in `lemo runs list`.")],
    format: FormatOption = Format.table,
) -> None:
    """Show one run whole."""
    stores, tenant_id = _open()
    run = stores.runs.get(tenant_id, run_id)
    row = rows([run])[0]
    if format is Format.table:
        row["log"] = "\n".join(f"{line.at:%H:%M:%S} {line.text}" for line in run.log)
    show_one(row, format, "Run")


@app.command("watch")
def watch_runs(
    run_ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="As in `lemo runs list`; without: all under way now.")
    ] = None,
    format: FormatOption = Format.table,
) -> None:
    """Follow runs with their progress until they have ended; exit code 1 if one failed."""
    from lemo.cli.waiting import wait_for_runs

    stores, tenant_id = _open()
    if run_ids:
        runs = [stores.runs.get(tenant_id, run_id) for run_id in dict.fromkeys(run_ids)]
    else:
        under_way: tuple[Outcome, ...] = ("running", "queued")
        runs = [run for outcome in under_way for run in stores.runs.list(tenant_id, outcome=outcome, limit=100)]
    ended = wait_for_runs(stores, tenant_id, runs)
    show(rows(ended), format, "Runs", columns(ended))
    if any(run.outcome == "failed" for run in ended):
        raise typer.Exit(1)


def _open() -> "tuple[Stores, str]":
    from lemo.cli.session import connected

    return connected()
