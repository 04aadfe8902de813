"""`lemo settings`: every knob, its value, default and meaning."""

from enum import StrEnum
from typing import Annotated

import typer

from lemo.cli.output import Format, console, show


class SettingsFormat(StrEnum):
    """How the settings are printed."""

    table = "table"
    json = "json"
    markdown = "markdown"


def settings(
    format: Annotated[
        SettingsFormat,
        typer.Option("--format", help="A table, JSON for programs, or the reference page (no values) as Markdown."),
    ] = SettingsFormat.table,
) -> None:
    """Print each setting: variable, value (secrets masked), default and meaning."""
    from lemo.diagnostics.settings_table import as_markdown, setting_rows
    from lemo.settings import Settings

    if format is SettingsFormat.markdown:
        console.out(as_markdown(), highlight=False, end="")
        return
    rows = [row.model_dump() for row in setting_rows(Settings())]
    columns = ("variable", "value", "default", "meaning")
    show(rows, Format(format.value), "Settings", columns)
