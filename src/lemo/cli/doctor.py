"""`lemo doctor`: what is missing, what stops without it, and how to fix it."""

from enum import StrEnum
from typing import Annotated

import typer

from lemo.cli.output import console, messages, show_json


class ReportFormat(StrEnum):
    """How the report is printed."""

    table = "table"
    markdown = "markdown"
    json = "json"


class ServiceName(StrEnum):
    """A service whose dependencies are asked for."""

    api = "api"
    worker = "worker"
    beat = "beat"
    consumer = "consumer"
    console = "console"
    flink = "flink"


def doctor(
    service: Annotated[
        ServiceName | None,
        typer.Option("--service", help="Only what this service needs; whether it runs itself does not count then."),
    ] = None,
    format: Annotated[
        ReportFormat, typer.Option("--format", help="A table, Markdown for an issue, or JSON for programs.")
    ] = ReportFormat.table,
    watch: Annotated[
        bool, typer.Option("--watch", help="Examine again and again until Ctrl-C; JSON comes as one line a time.")
    ] = False,
    interval: Annotated[float, typer.Option(min=1, max=3600, help="Seconds between two reports of --watch.")] = 5,
    strict: Annotated[bool, typer.Option("--strict", help="Exit code 3 when something deserves a look.")] = False,
) -> None:
    """Examine every service's dependencies: reachable or not, version, what stops without it, how to fix it.

    A report takes five seconds at most. Exit code 0 when everything required is there (warnings do not count), 1 when
    something required is missing, 2 for wrong use or a wrong setting; with --strict 3 when there are warnings only.
    """
    import time

    from lemo.diagnostics.dependencies import Service
    from lemo.diagnostics.doctor import examine
    from lemo.diagnostics.report import as_json, as_markdown, as_table
    from lemo.settings import Settings

    settings = Settings()
    wanted = Service[service.name] if service else None
    code = 0
    try:
        while True:
            with messages.status("Examining ..."):
                report = examine(settings, wanted)
            code = report.exit_code_if(strict)
            if watch and format is ReportFormat.table:
                console.clear()
            match format:
                case ReportFormat.table:
                    console.print(as_table(report))
                case ReportFormat.markdown:
                    console.out(as_markdown(report), highlight=False, end="")
                case ReportFormat.json:
                    show_json(as_json(report))
            if not watch:
                break
            time.sleep(max(0.0, interval - report.seconds))
    except KeyboardInterrupt:
        if not watch:
            raise
    raise typer.Exit(code)
