"""How a text table is written: its encoding, delimiter and quotes, and whether its first line names the columns."""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lemo.domain.errors import InvalidInput
from lemo.files.form import SAMPLE, encoding_of, read_sample
from lemo.files.guesses import is_column_name
from lemo.files.layouts import published_encoding

_LINES = 300
"""Lines that decide."""
_DOCUMENTED = (",", ";", "\t")
_DELIMITERS = (",", ";", "\t", "|", "::", "\x01")
_NUMBER_OR_DATE = re.compile(r"-?\d+([.,]\d+)?$|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}(?!\d)|$")
_SEPARATOR = re.compile(r'"?sep=(.)"?$')
"""The first line by which Excel is told the delimiter."""
_RECBOLE = re.compile(r"(.+):(token|float|token_seq|float_seq)$")
"""Names of RecBole's atomic files, which say the type of a column."""
_NO_NAME = re.compile(r"[\[{]|https?://")
"""How cells begin that name no column."""
_ENOUGH = 0.9
"""Part of the lines that have the same number of cells where a delimiter is the right one."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How to read a text table."""

    names: tuple[str, ...]
    """The columns; `column_1`, `column_2`, ... where the file names none."""
    delimiter: str = ","
    header: bool = True
    quoted: bool = True
    """Whether a cell that begins with `"` ends at the next one, and may hold delimiters and line ends."""
    encoding: str = "utf-8"
    returns: bool = False
    """Whether lines end with CR alone."""
    skip: int = 0
    """Lines before the header, or before the first row: `sep=;` of Excel, and comments."""
    typed: bool = False
    """Whether the header says types, as that of RecBole's atomic files."""
    sequences: frozenset[str] = frozenset()
    """Columns whose cells are lists with spaces between their parts (RecBole's `token_seq`)."""

    @property
    def text(self) -> str:
        """The dialect in words."""
        shown = {" ": "spaces", ",": "commas", ";": "semicolons", "\t": "tabs", "\x01": "Ctrl-A"}.get(
            self.delimiter, self.delimiter
        )
        head = "a header" if self.header else "no header"
        return f"{shown}, {head}, {self.encoding}{'' if self.quoted else ', no quotes'}"


def sniffed(path: Path, required: Sequence[str], encoding: str = "", delimiter: str = "") -> Dialect:
    """The dialect of a text table; `encoding` and `delimiter` are told where they are not to be found out.

    A header with the `required` columns decides alone. Raises InvalidInput where the encoding is not certain or the
    header is none.
    """
    sample = read_sample(path)
    try:
        encoding = encoding_of(path, sample, encoding)
    except InvalidInput:
        if encoding or not (encoding := published_encoding(sample)):
            raise
    text = sample.decode(encoding, errors="replace").removeprefix("\ufeff")
    returns = "\n" not in text and text.count("\r") > 1
    lines = (text.replace("\r", "\n") if returns else text).split("\n")
    if len(sample) >= SAMPLE and len(lines) > 1:
        lines.pop()
    lines = [line.rstrip("\r") for line in lines if line.strip()][:_LINES]
    skip = 0
    if found_separator := _SEPARATOR.match(lines[0]):
        delimiter, skip = delimiter or found_separator[1], 1
    skip += _comments(lines[skip:])
    lines = lines[skip:]
    if not lines:
        raise InvalidInput(f"{path} holds no rows.", "Its lines are comments.")
    base = Dialect((), encoding=encoding, returns=returns, skip=skip)
    for each in (delimiter,) if delimiter else _DOCUMENTED:
        names = _cells(path, lines[0], each)
        if all(name in names for name in required):
            return replace(base, names=tuple(names), delimiter=each)
    found = delimiter or _delimiter(lines)
    quoted = len(found) == 1 and _is_quoted(lines, found)
    first = _cells(path, lines[0], found, quoted)
    rest = [_split(line, found, quoted) for line in lines[1:]]
    header = _is_header(first, rest)
    names = first if header else [f"column_{number}" for number in range(1, len(first) + 1)]
    sequences: list[str] = []
    typed = all(_RECBOLE.match(name) for name in names)
    if typed:
        parts = [name.rpartition(":") for name in names]
        names = [name for name, _, _ in parts]
        sequences = [name for name, _, kind in parts if kind == "token_seq"]
    dialect = replace(base, names=tuple(names), delimiter=found, quoted=quoted, header=header)
    return replace(dialect, typed=typed, sequences=frozenset(sequences))


def _comments(lines: Sequence[str]) -> int:
    """How many lines at the beginning are comments; a header may begin with # too, and looks like the rows then."""
    count = next((at for at, line in enumerate(lines) if not line.startswith("#")), len(lines))
    if count and count < len(lines):
        row = lines[count]
        marks = [mark for mark in _DELIMITERS if mark in row]
        if any(lines[count - 1].count(mark) == row.count(mark) for mark in marks):
            count -= 1
    return count


def _cells(path: Path, line: str, delimiter: str, quoted: bool = True) -> list[str]:
    try:
        names = [name.strip() for name in _split(line, delimiter, quoted)]
        return [names[0].removeprefix("#").strip(), *names[1:]]
    except csv.Error as error:
        raise InvalidInput(f"{path}: the first line is no CSV header: {error}.", "It names the columns.") from error


def _split(line: str, delimiter: str, quoted: bool) -> list[str]:
    if not quoted or len(delimiter) > 1:
        return line.split(delimiter)
    return next(csv.reader([line], delimiter=delimiter), [])


def _delimiter(lines: Sequence[str]) -> str:
    """The delimiter that most lines agree on; among several, the one that makes most cells."""
    best, found = (False, 0.0), ","
    for delimiter in _DELIMITERS:
        try:
            widths = Counter(len(_split(line, delimiter, quoted=len(delimiter) == 1)) for line in lines)
        except csv.Error:
            continue
        width, count = max(widths.items(), key=lambda each: (each[1], each[0]))
        share = count / len(lines)
        score = (share >= _ENOUGH, width * share)
        if width > 1 and score > best:
            best, found = score, delimiter
    spaces = {line.count(" ") for line in lines}
    if not best[0] and len(lines) > 1 and len(spaces) == 1 and max(spaces) > 1:
        return " "
    return found


def _is_quoted(lines: Sequence[str], delimiter: str) -> bool:
    """Whether quotes delimit cells. In tables with tabs or bars they are often letters like others."""
    if delimiter in ",;":
        return True
    cells = [line.split(delimiter) for line in lines]
    loose = any(cell.startswith('"') and not (len(cell) > 1 and cell.endswith('"')) for row in cells for cell in row)
    if not loose:
        return True
    try:
        read = list(csv.reader((f"{line}\n" for line in lines), delimiter=delimiter))
    except csv.Error:
        return False
    return _evenness(read) > _evenness(cells)


def _evenness(rows: Sequence[Sequence[str]]) -> float:
    return max(Counter(map(len, rows)).values()) / len(rows)


def _is_header(first: Sequence[str], rest: Sequence[Sequence[str]]) -> bool:
    """Whether the first line names the columns."""
    if any(is_column_name(cell) for cell in first):
        return True
    if any(_NUMBER_OR_DATE.match(cell) or _NO_NAME.match(cell) for cell in first):
        return False
    if not rest:
        return True
    width = len(first)
    for index in range(width):
        cells = [row[index] for row in rest if len(row) == width]
        if cells and sum(bool(_NUMBER_OR_DATE.match(cell)) for cell in cells) >= _ENOUGH * len(cells):
            return True
    return len(set(first)) == width and all(cell and len(cell) <= 60 for cell in first)
