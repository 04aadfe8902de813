"""A NUL in a text refuses its row, however deep it stands; the six characters of its escape do not."""

import json
from pathlib import Path

import pytest

from lemo.files.reading import read_items

ROWS = [
    {"item_id": "a", "note": "\\u0000"},
    {"item_id": "b", "note": "x\x00y"},
    {"item_id": "c", "deep": {"list": ["x", {"y": "\x00"}]}},
    {"item_id": "d"},
]


@pytest.mark.parametrize("form", ["jsonl", "json"])
def test_a_nul_refuses_its_row_and_its_escape_does_not(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"items.{form}"
    path.write_text("\n".join(map(json.dumps, ROWS)) if form == "jsonl" else json.dumps(ROWS))
    reading = read_items(path)
    assert [item.item_id for item in reading] == ["a", "d"]
