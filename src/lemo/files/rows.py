"""Raw rows of text files, each with its line number: dictionaries where the row could be read, else the reason."""

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pydantic_core import from_json

from lemo.domain.errors import InvalidInput
from lemo.files.containers import DAMAGE, open_bytes
from lemo.files.decoding import as_utf8
from lemo.files.dialect import Dialect
from lemo.files.loose_json import MARK, is_python, python_object, untyped

LONGEST_LINE = 1_048_576
"""Bytes of a line that are kept; the rest of a longer one is skipped, so that any file fits into memory."""
_SHORT = 100_000
"""Characters of a line below `csv.field_size_limit`."""
_KEPT = 200
"""Characters of an unreadable row that are shown with it."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A row that is no row: why, and how it begins."""

    reason: str
    text: str


Row = tuple[int, dict[str, Any] | Unreadable]
"""Line (or row) number from 1, and what stands there."""
Tell = Callable[[int], None]
"""Called now and then with the bytes (rows, for Parquet) read so far."""

_TOO_LONG = f"the line is longer than {LONGEST_LINE:,} bytes"
NUL = "holds a NUL byte; remove it"


def _lines(path: Path, stream: IO[bytes], tell: Tell, encoding: str = "utf-8") -> Iterator[tuple[str, str]]:
    """The lines of a file with their line ends, each with the reason why it cannot be used (mostly empty)."""
    raw = getattr(stream, "fileobj", None) or stream  # below gzip: progress counts compressed bytes
    first = True
    count = 0
    try:
        while line := stream.readline(LONGEST_LINE):
            count += 1
            if count % 4096 == 0:
                tell(raw.tell())
            fault = ""
            if len(line) == LONGEST_LINE and not line.endswith(b"\n"):
                fault = _TOO_LONG
                while (rest := stream.readline(LONGEST_LINE)) and not rest.endswith(b"\n"):
                    pass
            if first:
                line, first = line.removeprefix(b"\xef\xbb\xbf"), False
            try:
                text = line.decode()
            except UnicodeDecodeError as error:
                told = "UTF-8" if encoding == "utf-8" else encoding
                fault = fault or f"is not {told}: byte 0x{line[error.start]:02x}; convert the file with iconv"
                text = line.decode(errors="replace")
            if not fault and "\x00" in text:
                fault = NUL
            yield text, fault
    except DAMAGE as error:
        raise InvalidInput(
            f"{path} breaks off after line {count:,}: {error}.", "Get the file again; what came before was read."
        ) from error


def jsonl_rows(path: Path, tell: Tell, encoding: str = "utf-8") -> Iterator[Row]:
    """One JSON object a line; blank lines are skipped."""
    with open_bytes(path) as stream:
        for number, (text, fault) in enumerate(_lines(path, as_utf8(stream, encoding), tell, encoding), start=1):
            if fault:
                yield number, Unreadable(fault, text[:_KEPT])
                continue
            if text.isspace():
                continue
            try:
                value = from_json(text, allow_inf_nan=False)
            except ValueError as error:
                value = python_object(text) if is_python(text) else None
                if value is None:
                    yield number, Unreadable(f"is not JSON: {error}", text[:_KEPT])
                    continue
            if MARK in text:
                value = untyped(value)
            if not isinstance(value, dict):
                yield number, Unreadable(f"is a JSON {json_name(value)}, not an object", text[:_KEPT])
            elif "\\u0000" in text and holds_nul(value):  # a backslash before u0000 may be a text's own
                yield number, Unreadable(NUL, text[:_KEPT])
            else:
                yield number, value


def holds_nul(value: Any) -> bool:
    """Whether a text anywhere in a JSON value holds a NUL."""
    if isinstance(value, dict):
        return any(holds_nul(name) or holds_nul(inner) for name, inner in value.items())
    if isinstance(value, list):
        return any(map(holds_nul, value))
    return isinstance(value, str) and "\x00" in value


def json_name(value: Any) -> str:
    """What JSON calls a value."""
    names = {list: "array", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number")


def csv_rows(path: Path, dialect: Dialect, tell: Tell) -> Iterator[Row]:
    """The rows of a text table in its dialect; empty cells are left out.

    A quoted cell may hold line ends; the number of its row is the line where the row begins. Where a quote is never
    closed, only the line with the quote is lost: the lines after it are read again as rows of their own.
    """
    with open_bytes(path) as stream:
        source = _Source(_lines(path, as_utf8(stream, dialect.encoding, dialect.returns), tell, dialect.encoding))
        for _ in range(dialect.skip + dialect.header):
            while not next(iter(source), "end").strip():
                pass
        # Unnamed columns (a data frame's index) are left out.
        keep = [(index, name) for index, name in enumerate(dialect.names) if name]
        if not dialect.quoted or len(dialect.delimiter) > 1:
            yield from _split_rows(source, dialect, keep)
            return
        names, delimiter = dialect.names, dialect.delimiter
        width = len(names)
        while True:
            # Strict, so that two stray quotes do not pass for one cell over all lines between them.
            reader = csv.reader(source, delimiter=delimiter, strict=True)
            again = False
            while not again:
                begin = source.begin_row()
                fault = ""
                if (cells := source.plain_cells(delimiter)) is not None:
                    if len(cells) > width and not any(cells[width:]):
                        del cells[width:]
                    if len(cells) == width:
                        yield begin, {name: cells[index] for index, name in keep if cells[index] != ""}
                        continue
                    source.put_back_row()
                cells = []
                try:
                    cells = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    fault = f"is not CSV: {error}"
                lines = source.taken
                if len(lines) == 1:
                    if not cells and not fault and not source.fault:
                        continue  # a blank line
                    if source.ended:
                        fault = "a quote is opened and never closed"
                    elif fault:
                        cells, fault = _leniently(lines[0], delimiter)
                    fault = source.fault or fault
                elif source.ended or fault or len(cells) != width:
                    # A row over several lines that is no row: most likely a stray quote swallowed good rows.
                    fault = source.first_fault or (
                        f"a quote is opened here and not closed where the row should end, "
                        f"or the cell is longer than {csv.field_size_limit():,} characters"
                    )
                    source.put_back()
                    again = True
                else:
                    fault = source.fault
                if not fault and len(cells) != width:
                    fault = f"has {len(cells)} columns; the header has {width}"
                if fault:
                    yield begin, Unreadable(fault, lines[0].rstrip("\r\n")[:_KEPT])
                else:
                    yield begin, {name: cells[index] for index, name in keep if cells[index] != ""}


def _split_rows(source: "_Source", dialect: Dialect, keep: Sequence[tuple[int, str]]) -> Iterator[Row]:
    """The rows of a table without quotes: each line is one."""
    width = len(dialect.names)
    while True:
        begin = source.begin_row()
        line = next(iter(source), None)
        if line is None:
            return
        line = line.rstrip("\r\n")
        cells = line.split(dialect.delimiter)
        if len(cells) > width and not any(cells[width:]):
            del cells[width:]
        fault = source.fault or ("" if len(cells) == width else f"has {len(cells)} columns; the others have {width}")
        if fault and (line.strip() or source.fault):
            yield begin, Unreadable(fault, line[:_KEPT])
        elif not fault:
            yield begin, {name: cells[index] for index, name in keep if cells[index] != ""}


def _leniently(line: str, delimiter: str) -> tuple[list[str], str]:
    """The cells of one line in which text may follow a closing quote, as in `"Big" and small`; else what is wrong."""
    try:
        return next(csv.reader([line], delimiter=delimiter)), ""
    except csv.Error as error:
        return [], f"is not CSV: {error}"


class _Source:
    """Feeds lines to `csv.reader`, keeps those of the current row, and can hand them out again."""

    def __init__(self, lines: Iterator[tuple[str, str]]) -> None:
        self._lines = lines
        self._waiting: list[tuple[str, str]] = []
        self._number = 0
        self._entries: list[tuple[str, str]] = []
        self.ended = False
        """Whether the file ended while the current row was read."""

    def __iter__(self) -> "_Source":
        return self

    def __next__(self) -> str:
        if self._waiting:
            entry = self._waiting.pop()
        else:
            try:
                entry = next(self._lines)
            except StopIteration:
                self.ended = True
                raise
        self._number += 1
        self._entries.append(entry)
        return entry[0]

    def begin_row(self) -> int:
        """Forgets the row before; returns the line number at which the next one begins."""
        self._entries = []
        self.ended = False
        return self._number + 1

    def plain_cells(self, delimiter: str) -> list[str] | None:
        """The cells of the next line where it has no quotes, blanks alone or faults; else None, and it stays.

        Splitting is quicker than `csv.reader`, which sees one line after the other through an iterator of Python's.
        """
        if self._waiting:
            return None
        entry = next(self._lines, None)
        if entry is None:
            return None
        text, fault = entry
        line = text[:-1] if text.endswith("\n") else text
        line = line[:-1] if line.endswith("\r") else line
        if fault or not line or '"' in line or "\r" in line or len(line) > _SHORT:
            self._waiting.append(entry)
            return None
        self._number += 1
        self._entries.append(entry)
        return line.split(delimiter)

    def put_back_row(self) -> None:
        """Hands all lines of the current row out again."""
        self._waiting.extend(reversed(self._entries))
        self._number -= len(self._entries)
        self._entries = []

    @property
    def taken(self) -> list[str]:
        """The lines of the current row."""
        return [text for text, _ in self._entries]

    @property
    def fault(self) -> str:
        """Why a line of the current row cannot be used, if one cannot."""
        return next((fault for _, fault in self._entries if fault), "")

    @property
    def first_fault(self) -> str:
        """Why the first line of the current row cannot be used, if so."""
        return self._entries[0][1] if self._entries else ""

    def put_back(self) -> None:
        """Hands all lines of the current row but its first out again."""
        self._waiting.extend(reversed(self._entries[1:]))
        self._number -= len(self._entries) - 1


def check_columns(path: Path, names: Sequence[str], required: Sequence[str]) -> None:
    """Raises InvalidInput where a required column is missing or a name stands twice."""
    missing = [name for name in required if name not in names]
    if missing:
        shown = ", ".join(name[:40] for name in names[:12]) + (", ..." if len(names) > 12 else "")
        raise InvalidInput(f"{path} has no column {', '.join(missing)}; it has: {shown}.", _wanted(required))
    twice = sorted({name for name in names if name and list(names).count(name) > 1})
    if twice:
        raise InvalidInput(f"{path} has the column {', '.join(twice)} more than once.", "Rename or remove one of them.")


def _wanted(required: Sequence[str]) -> str:
    return f"Needed are {', '.join(required)}; `--map FIELD=COLUMN` says where they are."
