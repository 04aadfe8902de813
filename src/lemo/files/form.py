"""The format of a file: taken from its name, checked against its first bytes."""

import codecs
import gzip
import zlib
from enum import StrEnum
from pathlib import Path
from typing import IO, cast

from lemo.domain.errors import InvalidInput, NotFound

SAMPLE = 65_536
"""Bytes that are looked at before a file is read."""

FORMS_TEXT = "Files are .csv, .jsonl or .parquet; CSV and JSONL may be compressed as .csv.gz and .jsonl.gz."

_MAGIC = (
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive (Excel files are such archives; export the sheet as CSV UTF-8)"),
    (b"\xd0\xcf\x11\xe0", "an old Excel or Word document (export the sheet as CSV UTF-8)"),
    (b"\x1f\x8b", "gzip-compressed data (name it .csv.gz or .jsonl.gz)"),
    (b"BZh", "bzip2-compressed data (decompress it first)"),
    (b"\x28\xb5\x2f\xfd", "Zstandard-compressed data (decompress it first)"),
    (b"SQLite format 3", "an SQLite database"),
    (b"PAR1", "Parquet data"),
    (b"ORC", "ORC data"),
    (b"Obj\x01", "Avro data"),
)


class Form(StrEnum):
    """The forms that can be read."""

    csv = "CSV"
    jsonl = "JSONL"
    parquet = "Parquet"


_SUFFIXES = {
    ".csv": Form.csv,
    ".jsonl": Form.jsonl,
    ".ndjson": Form.jsonl,
    ".json": Form.jsonl,
    ".parquet": Form.parquet,
    ".pq": Form.parquet,
}


def form_of(path: Path) -> Form | None:
    """The form that a file's name promises, or None."""
    compressed = path.suffix.lower() == ".gz"
    form = _SUFFIXES.get((path.with_suffix("") if compressed else path).suffix.lower())
    return None if compressed and form is Form.parquet else form


def open_bytes(path: Path) -> IO[bytes]:
    """Opens a file for reading, decompressing `.gz`; raises NotFound or InvalidInput with the reason."""
    if path.is_dir():
        raise InvalidInput(f"{path} is a folder.", f"Name the files in it. {FORMS_TEXT}")
    try:
        return cast(IO[bytes], gzip.open(path, "rb")) if path.suffix.lower() == ".gz" else path.open("rb")
    except FileNotFoundError:
        raise NotFound(f"There is no file {path}.", "Check the path; it is read from the current folder.") from None
    except OSError as error:
        raise InvalidInput(f"{path} cannot be opened: {error.strerror}.", "Check its permissions.") from error


def checked_form(path: Path) -> Form:
    """The form of a file whose name and first bytes agree.

    Raises NotFound for no file, and InvalidInput for a folder, an empty file, an unknown name, foreign contents or text
    that is not UTF-8.
    """
    with open_bytes(path) as stream:
        form = form_of(path)
        if form is None:
            raise InvalidInput(f"{path}: the name does not say what form the file has.", FORMS_TEXT)
        try:
            sample = stream.read(SAMPLE)
        except (OSError, EOFError, zlib.error) as error:
            raise InvalidInput(f"{path} cannot be read: {error}.", "Check the file, or compress it again.") from error
    if not sample.strip():
        raise InvalidInput(f"{path} is empty.", f"It should hold {form} rows.")
    found = _foreign(sample, form)
    if found:
        raise InvalidInput(f"{path}: the name says {form}, but it holds {found}.", FORMS_TEXT)
    if form is not Form.parquet:
        _check_text(path, sample)
    return form


def _foreign(sample: bytes, form: Form) -> str:
    """What a sample holds that is certainly not `form`, or nothing."""
    for magic, what in _MAGIC:
        if sample.startswith(magic) and not (form is Form.parquet and magic == b"PAR1"):
            return what
    start = sample.removeprefix(codecs.BOM_UTF8).lstrip()[:100].lower()
    if start.startswith((b"<!doctype", b"<html", b"<head", b"<body")):
        return "an HTML page (a login or error page that was saved, perhaps)"
    if start.startswith(b"<?xml"):
        return "XML"
    if form is Form.parquet and not sample.startswith(b"PAR1"):
        return "something else (Parquet starts with the bytes PAR1)"
    if form is Form.jsonl:
        if start.startswith(b"["):
            return "one JSON array; JSONL has one object a line (jq -c '.[]' FILE > FILE.jsonl rewrites it)"
        if sample.removeprefix(codecs.BOM_UTF8).split(b"\n", 1)[0].strip() == b"{":
            return "JSON spread over several lines; JSONL has one object a line (jq -c . FILE > FILE.jsonl rewrites it)"
    if form is Form.csv and start.startswith((b"{", b"[{")):
        return "JSON"
    return ""


def _check_text(path: Path, sample: bytes) -> None:
    how = "Save it as UTF-8; `iconv -f {} -t UTF-8 FILE > NEW` does that."
    if sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InvalidInput(f"{path} is UTF-16 text.", how.format("UTF-16"))
    if sample.count(0) > len(sample) // 10:
        raise InvalidInput(f"{path} holds binary data or UTF-16 text.", how.format("UTF-16"))
    try:
        # The sample may end inside a character, which `final=False` allows.
        codecs.getincrementaldecoder("utf-8")().decode(sample, final=False)
    except UnicodeDecodeError as error:
        line = sample.count(b"\n", 0, error.start) + 1
        raise InvalidInput(
            f"{path} is not UTF-8 text: line {line} holds the byte 0x{sample[error.start]:02x}.",
            how.format("GB18030") + " Put WINDOWS-1252 for Western European text.",
        ) from error
    if b"\n" not in sample and sample.count(b"\r") > 1:
        raise InvalidInput(f"{path} ends its lines with CR alone.", "`tr '\\r' '\\n' < FILE > NEW` converts it.")
