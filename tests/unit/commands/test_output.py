"""What commands print: tables that show data as it is, JSON that programs can read."""

import io
import json
from datetime import UTC, datetime

import pytest
from rich.console import Console

from lemo.cli import output
from lemo.cli.output import Format, show, show_json, show_one
from lemo.cli.runs import columns, rows
from lemo.domain.run import Run


def test_json_is_one_unwrapped_line(capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[dict[str, object]] = [{"title": "长" * 500, "n": 1}, {"title": "[red]x", "n": None}]
    show(rows, Format.json, "ignored", ["n"])
    assert json.loads(capsys.readouterr().out) == rows
    show_json({"a": 1})
    assert capsys.readouterr().out == '{"a": 1}\n'


def test_tables_show_markup_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    show([{"title": "[red]x[/]", "n": 1234567, "ok": True, "none": None}], Format.table, "[b]T")
    printed = capsys.readouterr().out
    for part in ("[red]x[/]", "1,234,567", "yes", "[b]T"):
        assert part in printed
    assert "None" not in printed


def test_tables_of_chosen_columns_and_of_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    show([{"a": 1, "hidden": 2}], Format.table, columns=["a"])
    show([], Format.table, "Nothing", ["a"])
    show_one({"run_id": "r1"}, Format.table)
    printed = capsys.readouterr().out
    assert "hidden" not in printed
    assert "run id" in printed


RUN = Run(
    run_id="20261127T030000123-1a2b3c",
    entry="precompute-recommendations-4hours",
    scenario_id="my-shop",
    trigger="manual",
    outcome="ok",
    queued_at=datetime(2026, 11, 27, 3, tzinfo=UTC),
    detail={"why": "There are no events yet."},
)


def printed_on(monkeypatch: pytest.MonkeyPatch, width: int, terminal: bool) -> str:
    """What a table of runs looks like there."""
    file = io.StringIO()
    monkeypatch.setattr(output, "console", Console(file=file, width=width, force_terminal=terminal, color_system=None))
    show(rows([RUN, RUN]), Format.table, "Runs", columns([RUN]))
    return file.getvalue()


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_no_word_of_a_table_is_broken_and_no_line_is_longer_than_the_terminal(
    monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    printed = printed_on(monkeypatch, width, terminal=True)
    for word in (RUN.run_id, RUN.entry, "my-shop", "2026-11-27", "03:00:00", "events"):
        assert printed.count(word) == 2
    assert max(map(len, printed.splitlines())) <= width


def test_a_table_that_is_piped_has_a_line_for_each_row(monkeypatch: pytest.MonkeyPatch) -> None:
    printed = printed_on(monkeypatch, 80, terminal=False)
    whole = [line for line in printed.splitlines() if RUN.run_id in line]
    assert len(whole) == 2
    for word in (RUN.entry, "my-shop", "2026-11-27 03:00:00", "There are no events yet."):
        assert all(word in line for line in whole)


def test_a_run_that_had_nothing_to_do_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "There are no events yet." in printed_on(monkeypatch, 200, terminal=True)
