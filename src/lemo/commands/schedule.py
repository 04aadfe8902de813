"""`lemo schedule`: when the jobs run."""

from typing import Annotated

import typer

from lemo.commands import jobs
from lemo.commands.output import Format, FormatOption, show

app = typer.Typer(no_args_is_help=True, help="When the jobs run; times are UTC.")


@app.command("list")
def list_entries(format: FormatOption = Format.table) -> None:
    """List the scheduled jobs with their crontab, last start and next start."""
    from dataclasses import asdict

    from lemo.settings import Settings
    from lemo.tasks.schedule import entries

    show([asdict(entry) for entry in entries(Settings())], format, "Schedule (UTC)")


@app.command("run")
def run_entry(
    entry: Annotated[str, typer.Argument(help="Name of the entry, as in `lemo schedule list`.")],
    scenario: Annotated[str, typer.Option("--scenario", "-s", help="Only this scenario; all without it.")] = "",
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it has ended, and fail if it failed.")] = False,
    format: FormatOption = Format.table,
) -> None:
    """Start an entry now, without touching its times: the same as `lemo jobs run`."""
    jobs.run(entry, scenario, wait, format)
