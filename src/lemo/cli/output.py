"""What commands print: a table for people, JSON for programs."""

import json
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table

console = Console()
"""Standard output: what was asked for."""
messages = Console(stderr=True)
"""Standard error: progress bars, notes and errors, so that output can be piped."""

Row = dict[str, Any]

_EDGES = 3
"""What a column takes besides its text: a line and two spaces."""
_LONGEST_WORD = 40
"""Longer words may be broken."""
_ENDLESS = 100_000
"""The width of what is no terminal."""


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
    heads = [name.replace("_", " ") for name in names]
    lines = [[_cell(row.get(name)) for name in names] for row in rows]
    words = [max(map(_longest_word, cells)) for cells in zip(heads, *lines, strict=True)]
    if console.is_terminal and lines and sum(words) + _EDGES * len(words) + 1 > console.width:
        _show_records(title, heads, lines)
        return
    table = Table(title=escape(title) if title else None, title_justify="left")
    for name, head, word in zip(names, heads, words, strict=True):
        numeric = bool(rows) and all(isinstance(row.get(name), int | float | None) for row in rows)
        table.add_column(escape(head), justify="right" if numeric else "left", overflow="fold", min_width=word)
    for line in lines:
        table.add_row(*map(escape, line))
    _print(table)


def _print(table: Table) -> None:
    """Prints a table. What is no terminal has no width: then every row is one line, for grep and cut."""
    wide = console if console.is_terminal else Console(file=console.file, width=_ENDLESS)
    wide.print(table)


def _show_records(title: str, heads: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """Prints rows below each other, for a terminal that is too narrow for a table whose words stay whole."""
    if title:
        console.print(title, style="italic", markup=False, highlight=False)
    width = max(map(cell_len, heads))
    for line in lines:
        record = Table(show_header=False, width=console.width)
        record.add_column(width=width)
        record.add_column(overflow="fold", ratio=1)
        for head, text in zip(heads, line, strict=True):
            if text:
                record.add_row(escape(head), escape(text))
        console.print(record)


def _longest_word(text: str) -> int:
    """Columns of the terminal that the longest word takes; of words that no line holds, such as URLs, a part."""
    return min(max(map(cell_len, text.split()), default=0), _LONGEST_WORD)


def show_one(row: Row, format: Format, title: str = "") -> None:
    """Prints one record as a table of two columns, or as one JSON object."""
    if format is Format.json:
        show_json(row)
        return
    table = Table(title=escape(title) if title else None, title_justify="left", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in row.items():
        table.add_row(escape(name.replace("_", " ")), escape(_cell(value)))
    _print(table)
