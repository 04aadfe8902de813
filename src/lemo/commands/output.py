"""What commands print: a table for people, JSON for programs."""

import json
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

console = Console()
"""Standard output: what was asked for."""
messages = Console(stderr=True)
"""Standard error: progress bars, notes and errors, so that output can be piped."""

Row = dict[str, Any]


class Format(StrEnum):
    """How data is printed."""

    table = "table"
    json = "json"


FormatOption = Annotated[Format, typer.Option("--format", help="A table for people, or JSON for programs.")]
ScenarioOption = Annotated[str, typer.Option("--scenario", "-s", help="Name of the scenario.", show_default=False)]


def show_json(value: Any) -> None:
    """Prints one JSON document to standard output, unwrapped and uncoloured."""
    console.out(json.dumps(value, ensure_ascii=False, default=_plain), highlight=False)


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, list | tuple):
        return ", ".join(str(part) for part in value)
    return str(value)


def show(rows: Sequence[Row], format: Format, title: str = "", columns: Sequence[str] | None = None) -> None:
    """Prints rows as a table of `columns` (default: those of the first row), or whole as a JSON list."""
    if format is Format.json:
        show_json(list(rows))
        return
    names = list(columns if columns is not None else (rows[0] if rows else ()))
    table = Table(title=escape(title) if title else None, title_justify="left")
    for name in names:
        numeric = bool(rows) and all(isinstance(row.get(name), int | float | None) for row in rows)
        table.add_column(escape(name.replace("_", " ")), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(_cell(row.get(name))) for name in names))
    console.print(table)


def show_one(row: Row, format: Format, title: str = "") -> None:
    """Prints one record as a table of two columns, or as one JSON object."""
    if format is Format.json:
        show_json(row)
        return
    table = Table(title=escape(title) if title else None, title_justify="left", show_header=False)
    for name, value in row.items():
        table.add_row(escape(name.replace("_", " ")), escape(_cell(value)))
    console.print(table)
