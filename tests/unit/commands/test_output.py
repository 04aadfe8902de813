"""What commands print: tables that show data as it is, JSON that programs can read."""

import json

import pytest

from lemo.commands.output import Format, show, show_json, show_one


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
