"""What was imported before is imported the same way now."""

import json
from pathlib import Path

import files_as_before


def test_files_with_the_documented_columns_are_read_as_before(tmp_path: Path) -> None:
    assert files_as_before.outcome(tmp_path) == json.loads(Path(__file__).with_name("as_before.json").read_text())
