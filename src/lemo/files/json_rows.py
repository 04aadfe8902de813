"""Rows of JSON that is no JSON lines: one array, an object around one, or objects over several lines."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from lemo.domain.errors import InvalidInput
from lemo.files.containers import DAMAGE, open_bytes
from lemo.files.decoding import as_utf8
from lemo.files.loose_json import untyped
from lemo.files.rows import LONGEST_LINE, NUL, Row, Tell, Unreadable, holds_nul, json_name

_CHUNK = 1 << 18
_BETWEEN = re.compile(r"[\s,]*")
_START = re.compile(r'\s*(?:\{\s*"[a-z]+"\s*:\s*)?\[')
"""The beginning of an array, or of an object whose first field is one."""


def json_rows(path: Path, tell: Tell, encoding: str = "utf-8") -> Iterator[Row]:
    """The objects of a file one by one, numbered from 1; raises InvalidInput where the JSON itself breaks off."""
    with open_bytes(path) as opened:
        stream = as_utf8(opened, encoding)
        raw = getattr(stream, "fileobj", None) or stream
        number = 0
        for number, value in enumerate(_values(path, stream), start=1):
            if number % 4096 == 0:
                tell(raw.tell())
            if not isinstance(value, dict):
                yield number, Unreadable(f"is a JSON {json_name(value)}, not an object", str(value)[:200])
            elif holds_nul(value):
                yield number, Unreadable(NUL, "")
            else:
                yield number, untyped(value)


def _values(path: Path, stream: IO[bytes]) -> Iterator[object]:
    import codecs

    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    scan = json.JSONDecoder(parse_constant=_refuse).raw_decode
    text, ended, number = "", False, 0
    opened = array = False

    def broken(why: object) -> InvalidInput:
        return InvalidInput(
            f"{path} is no JSON after row {number:,}: {why}.", "Write it again; what came before was read."
        )

    while True:
        if not ended:
            try:
                chunk = stream.read(_CHUNK)
                text += decoder.decode(chunk, final=not chunk)
            except (*DAMAGE, UnicodeDecodeError) as error:
                raise broken(error) from error
            ended = not chunk
        at = 0
        if not opened:
            start = _START.match(text)
            array, at, opened = start is not None, start.end() if start else 0, True
        while True:
            between = _BETWEEN.match(text, at)
            at = between.end() if between else at
            if at < len(text) and text[at] == "]" and array:
                return
            try:
                value, end = scan(text, at)
            except (ValueError, RecursionError) as error:
                if ended:
                    if at < len(text) or array:
                        raise broken(error) from error
                    return
                if len(text) - at > LONGEST_LINE:
                    raise broken(f"it is longer than {LONGEST_LINE:,} characters, or damaged: {error}") from error
                break
            if end == len(text) and not ended:
                break  # a number may go on
            number += 1
            yield value
            at = end
        text = text[at:]


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is no JSON")
