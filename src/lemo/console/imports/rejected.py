"""The rejected rows of an import, as a table to correct: the rejects file that `lemo import` writes too, as CSV."""

import csv
import io
from pathlib import Path
from typing import Any

from pydantic_core import from_json, to_json

MOST_BYTES = 5_000_000
"""Bytes of the rejects file that the console keeps of an import; a page hands all of it out at once."""
_FIRST = ("line", "reason")


def rejected_csv(path: Path) -> bytes:
    """The rows with line and reason in front, as CSV in UTF-8 with a mark at its start, which Excel needs.

    What could not be read as a row stands in the column `row`. Raises FileNotFoundError where the file is gone.
    """
    rejects = [from_json(line) for line in path.read_bytes().splitlines()]
    rows = [each["row"] if isinstance(each["row"], dict) else {"row": each["row"]} for each in rejects]
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_FIRST, *names])
    for reject, row in zip(rejects, rows, strict=True):
        writer.writerow([*(reject[name] for name in _FIRST), *(_cell(row.get(name)) for name in names)])
    return text.getvalue().encode("utf-8-sig")


def _cell(value: Any) -> Any:
    if isinstance(value, list | dict):
        return to_json(value).decode()
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else value
