"""`lemo doctor`: what is missing, what stops without it, and how to mend it."""

from enum import StrEnum
from typing import Annotated

import typer

from lemo.commands.output import console, messages, show_json


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


def doctor(
    service: Annotated[
        ServiceName | None,
        typer.Option("--service", help="Only what this service needs; whether it runs itself does not count then."),
    ] = None,
    format: Annotated[
        ReportFormat, typer.Option("--format", help="A table, Markdown for an issue, or JSON for programs.")
    ] = ReportFormat.table,
) -> None:
    """Examine every service's dependencies: reachable or not, version, what stops without it, how to mend it.

    Exit code 0 when everything required is there, 1 when something required is missing.
    """
    from lemo.observability.dependencies import Service
    from lemo.observability.doctor import examine
    from lemo.observability.report import as_json, as_markdown, as_table
    from lemo.settings import Settings

    settings = Settings()
    with messages.status("Examining ..."):
        report = examine(settings, Service(service.value) if service else None)
    match format:
        case ReportFormat.table:
            console.print(as_table(report))
        case ReportFormat.markdown:
            console.out(as_markdown(report), highlight=False, end="")
        case ReportFormat.json:
            show_json(as_json(report))
    raise typer.Exit(report.exit_code)
