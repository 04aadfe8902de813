"""What a file holds, by its contents: the form, and the encoding of text."""

import codecs
import re
from enum import StrEnum
from pathlib import Path
from typing import Any, NoReturn

from pydantic_core import from_json

from lemo.domain.errors import InvalidInput
from lemo.files.containers import DAMAGE, ZIP, open_bytes
from lemo.files.loose_json import is_python, python_object

_CERTAIN = 65_536
"""Bytes in which text must be UTF-8 to pass for it."""
SAMPLE = 262_144
"""Bytes that are looked at before a file is read."""

FORMS_TEXT = (
    "Files are CSV (any delimiter), JSON, JSON lines, Parquet or Excel; text may be .gz, .zst, .bz2, .xz or .zip."
)

_MAGIC = (
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"%PDF", "a PDF document"),
    (b"SQLite format 3", "an SQLite database"),
    (b"ORC", "ORC data"),
    (b"Obj\x01", "Avro data"),
)
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\x28\xb5\x2f\xfd", ZIP)
_OLD_OFFICE = b"\xd0\xcf\x11\xe0"


class Form(StrEnum):
    """The forms that can be read."""

    csv = "CSV"
    jsonl = "JSONL"
    json = "JSON"
    parquet = "Parquet"
    excel = "Excel"


_SUFFIXES = {
    ".csv": Form.csv,
    ".jsonl": Form.jsonl,
    ".ndjson": Form.jsonl,
    ".json": Form.jsonl,
    ".parquet": Form.parquet,
    ".pq": Form.parquet,
}
_WRAPPER = re.compile(rb'\s*\{\s*"(?:items|events|data|rows|results|records)"\s*:\s*\[\s*[{\]]')
"""An object around the one list that matters, as HTTP bodies and exports have it."""
_ARRAY = re.compile(rb"\s*\[\s*[{\]]")
_LIKELY = ("gb18030", "big5", "shift_jis", "euc_kr", "cp1251", "cp1252")


def form_of(path: Path) -> Form | None:
    """The form that a file's name promises, or None."""
    compressed = path.suffix.lower() == ".gz"
    form = _SUFFIXES.get((path.with_suffix("") if compressed else path).suffix.lower())
    return None if compressed and form is Form.parquet else form


def read_sample(path: Path) -> bytes:
    """The first bytes of a file, decompressed; raises InvalidInput where it is empty or damaged from the start."""
    sample = b""
    with open_bytes(path) as stream:
        try:
            while len(sample) < SAMPLE and (chunk := stream.read(1 << 14)):
                sample += chunk
        except DAMAGE as error:
            if not sample:  # damage further on is told when all is read, with its line
                hint = "Check the file, or compress it again."
                raise InvalidInput(f"{path} cannot be read: {error}.", hint) from error
    if not sample.strip():
        raise InvalidInput(f"{path} is empty.", f"It should hold rows. {FORMS_TEXT}")
    return sample


def checked_form(path: Path) -> Form:
    """The form of a file, by its contents; the name decides only where they leave it open.

    Raises NotFound for no file, and InvalidInput for a folder, an empty file or foreign contents.
    """
    sample = read_sample(path)
    if foreign := _foreign(sample):
        raise InvalidInput(f"{path} holds {foreign}.", FORMS_TEXT)
    named = form_of(path)
    with path.open("rb") as stream:
        whole = stream.read(16) == sample[:16]
    if sample.startswith((b"PAR1", ZIP, _OLD_OFFICE)):
        if not whole:
            raise InvalidInput(f"{path} holds compressed Parquet or Excel.", "Decompress it first.")
        return Form.parquet if sample.startswith(b"PAR1") else Form.excel
    if named is Form.parquet:
        raise InvalidInput(
            f"{path}: the name says Parquet, but it holds something else (Parquet starts with the bytes PAR1).",
            "Write it again, or name it after what it holds.",
        )
    return _text_form(sample, named)


def _text_form(sample: bytes, named: Form | None) -> Form:
    text = sample.removeprefix(codecs.BOM_UTF8)
    if text.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = text.decode("utf-16", errors="ignore").encode()
    line, ended, _ = text.lstrip().partition(b"\n")
    if _ARRAY.match(text) or (_WRAPPER.match(text) and len(_object(line) or {"list": 1}) == 1):
        return Form.json
    if is_python(line[:3].decode(errors="replace")) and python_object(line.decode(errors="replace")) is not None:
        return Form.jsonl
    if line.startswith(b"{"):
        spread = ended and _object(line) is None and not (named is Form.jsonl and line.rstrip().endswith(b"}"))
        return Form.json if spread else Form.jsonl
    return Form.jsonl if named is Form.jsonl else Form.csv


def _object(line: bytes) -> dict[str, Any] | None:
    """The object that a line is; None where it is none, or not whole."""
    try:
        found = from_json(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _foreign(sample: bytes) -> str:
    """What a sample holds that is certainly none of the forms, or nothing."""
    for magic, what in _MAGIC:
        if sample.startswith(magic):
            return what
    start = sample.removeprefix(codecs.BOM_UTF8).lstrip()[:100].lower()
    if start.startswith((b"<!doctype", b"<html", b"<head", b"<body")):
        return "an HTML page (a login or error page that was saved, perhaps)"
    if start.startswith(b"<?xml"):
        return "XML"
    return "data that is compressed twice" if sample.startswith(_COMPRESSED[:3]) else ""


def encoding_of(path: Path, sample: bytes, given: str = "") -> str:
    """The encoding of text: the `given` one, or UTF-8 or UTF-16 where that is certain.

    Raises InvalidInput where it is not, with how the text reads in the likely ones.
    """
    if given:
        try:
            return codecs.lookup(given).name
        except LookupError:
            raise InvalidInput(f"{given[:40]!r} is no encoding that is known.", "Try utf-8, gb18030, cp1252.") from None
    if sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if even + odd > len(sample) // 10:
        for zeros, others, encoding in ((odd, even, "utf-16-le"), (even, odd, "utf-16-be")):
            if zeros > len(sample) // 5 and others * 20 < zeros:
                return encoding
        raise InvalidInput(f"{path} holds binary data.", FORMS_TEXT)
    try:
        # The sample may end inside a character, which `final=False` allows.
        # What is further on than this costs a row and not the file.
        codecs.getincrementaldecoder("utf-8")().decode(sample[:_CERTAIN], final=False)
    except UnicodeDecodeError as error:
        _ask(path, sample, error.start)
    return "utf-8"


def _ask(path: Path, sample: bytes, at: int) -> NoReturn:
    line = sample.count(b"\n", 0, at) + 1
    start = sample.rfind(b"\n", 0, at) + 1
    cut = sample[max(start, at - 20) : at + 20].split(b"\n")[0].rstrip(b"\r")
    readings = []
    for encoding in _LIKELY:
        text = cut.decode(encoding, errors="replace")
        if text.count("�") <= 1 and text.isprintable():
            readings.append(f"{text!r} in {encoding}")
    raise InvalidInput(
        f"{path} is not UTF-8 text: line {line} holds the byte 0x{sample[at]:02x}, and nothing in it says what it is.",
        f"Say it with `--encoding`. There it reads {'; '.join(readings) or 'as nothing common'}."
        " Or save the file as UTF-8.",
    )
