"""The rejects file: every bad row of an import with its line and the reason."""

import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pydantic_core import to_json

from lemo.domain.reasons import shortened

FIRST = 10
"""Rejects kept for the summary."""
_KINDS = 50
"""Reasons that are counted apart."""
_VALUE = re.compile(r" \(got .*?\)(?=;|$)| '[^']*'|0x[0-9a-f]{2}")
_LONGEST_CELL = 1_000
"""Characters of a cell that the rejects file repeats; longer ones are cut, as the original still has them."""


@dataclass(frozen=True, slots=True)
class Reject:
    """A bad row: its line (CSV, JSONL) or row (Parquet) number from 1, and why."""

    line: int
    reason: str


class Rejects:
    """Counts bad rows and writes them to `FILE.rejects.jsonl`, beside the file or else in the current folder.

    The file appears with the first reject and replaces that of an earlier import. Where it cannot be written, rows are
    still counted and `problem` says why. Those that are not to be `written`, or come when it has `most_bytes`, are only
    counted.
    """

    def __init__(self, source: Path, written: bool = True, most_bytes: float = float("inf")) -> None:
        self._source = source
        self._written = written
        self._room = most_bytes
        self._file: IO[bytes] | None = None
        self.count = 0
        self.first: list[Reject] = []
        self.reasons: Counter[str] = Counter()
        """How many rows each reason rejected, without the values that differ from row to row."""
        self.path: Path | None = None
        self.problem = ""

    def add(self, line: int, reason: str, row: Any) -> None:
        """Takes one bad row."""
        self.count += 1
        if len(self.first) < FIRST:
            self.first.append(Reject(line, reason))
        kind = _VALUE.sub("", reason)
        self.reasons[kind if kind in self.reasons or len(self.reasons) < _KINDS else "other reasons"] += 1
        if self.problem or not self._written:
            return
        try:
            if self._file is None:
                self._file = self._open()
            body = {"line": line, "reason": reason, "row": _cut(row)}
            told = to_json(body, inf_nan_mode="strings", bytes_mode="base64", fallback=shortened) + b"\n"
            self._room -= len(told)
            if self._room >= 0:
                self._file.write(told)
        except (OSError, ValueError) as error:
            self.problem = f"The rejects file could not be written: {error}."

    def close(self) -> None:
        """Finishes the file."""
        if self._file is not None:
            try:
                self._file.close()
            except OSError as error:
                self.problem = f"The rejects file could not be written: {error}."
            self._file = None

    def _open(self) -> IO[bytes]:
        beside = rejects_path(self._source)
        name = beside.name
        self.path = beside if os.access(self._source.parent, os.W_OK) else Path(name)
        try:
            return self.path.open("wb")
        except OSError:
            self.path = Path(name)
            return self.path.open("wb")


def rejects_path(source: Path) -> Path:
    """The rejects file of a file, beside it."""
    return source.with_name(f"{source.name}.rejects.jsonl")


def _cut(row: Any) -> Any:
    if isinstance(row, str):
        return row if len(row) <= _LONGEST_CELL else row[:_LONGEST_CELL] + "..."
    if isinstance(row, Mapping):
        return {str(key)[:_LONGEST_CELL]: _cut(cell) for key, cell in list(row.items())[:500]}
    if isinstance(row, list):
        return [_cut(cell) for cell in row[:500]]
    return shortened(row) if isinstance(row, int) and row.bit_length() > 64 else row
