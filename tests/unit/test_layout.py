"""Modules have one subject, which shows in their length."""

from pathlib import Path

import pytest

import lemo

LONGEST = 300
SOURCES = sorted(Path(lemo.__file__).parent.rglob("*.py"))


@pytest.mark.parametrize("path", [path for path in SOURCES if len(path.read_text().splitlines()) > LONGEST], ids=str)
def test_a_long_module_says_why(path: Path) -> None:
    head = path.read_text().split('"""')[1]
    assert "It is long because" in head, f"more than {LONGEST} lines: part it by subject, or say why not"


def test_every_module_says_what_it_is() -> None:
    silent = [str(path) for path in SOURCES if path.read_text() and not path.read_text().startswith('"""')]
    assert silent == []
