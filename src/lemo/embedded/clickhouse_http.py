"""ClickHouse's HTTP interface as text: where an INSERT's data begins, body encodings, error codes and headers."""

import json
import re
import sys
import zlib
from collections.abc import Callable
from typing import Protocol

# https://clickhouse.com/docs/interfaces/http: parameters of the transport; every other one is a setting.
# Each request stands alone here, so sessions (and their temporary tables) are not among what is offered.
TRANSPORT_PARAMETERS = frozenset(
    {"query", "database", "query_id", "user", "password", "quota_key", "role", "default_format"}
    | {"session_id", "session_timeout", "session_check", "close_session", "client_protocol_version"}
    | {"buffer_size", "wait_end_of_query", "compress", "decompress", "stacktrace"}
)

# ClickHouse's exceptionCodeToHTTPStatus, the codes that a client meets; all others are 500.
_NOT_FOUND = frozenset({46, 47, 50, 56, 60, 73, 81, 115, 152, 63})
_BAD_REQUEST = frozenset({6, 26, 27, 38, 41, 53, 62, 72, 117, 130, 167, 168, 306, 372, 456, 457})

_TOKEN = re.compile(
    rb"""\s+ | --[^\n]* | \#[!\s][^\n]* | /\*.*?\*/ | '(?:\\.|''|[^'\\])*' | `(?:\\.|``|[^`\\])*` | "(?:\\.|""|[^"\\])*"
    | (?P<word>\w+) | (?P<open>[([{]) | (?P<close>[)\]}]) | .""",
    re.X | re.S,
)
_DATA_FORMAT = re.compile(rb"\s+(\w+)")
_DATA_START = re.compile(rb"[ \t\f]*\r?\n?")  # as ClickHouse's parser: blanks and one line end belong to the query
_OUTPUT_FORMAT = re.compile(r"\bFORMAT\s+(\w+)\s*(?:;\s*)*(?:SETTINGS\b[^()']*)?$", re.I)
_FIRST_WORD = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/|\()*(\w+)", re.S)
_ANSWERS_ROWS = frozenset(["SELECT", "WITH", "SHOW", "DESC", "DESCRIBE", "EXPLAIN", "EXISTS", "CHECK"])
_DEFINING = frozenset(["CREATE", "ALTER", "DROP", "RENAME", "EXCHANGE", "ATTACH", "DETACH", "UNDROP"])
_STREAMED_STATEMENTS = frozenset({"SELECT", "WITH"})
# chDB writes each piece on its own, so only formats without a beginning and an end of the whole can be put together.
_STREAMED_FORMATS = frozenset(
    ["native", "tabseparated", "tsv", "csv", "jsoneachrow", "jsonlines", "ndjson", "jsoncompacteachrow", "rowbinary"]
)
_CODE = re.compile(r"Code: (\d+)\. ")


def is_insert(head: bytes) -> bool:
    """Whether the statement begins with the word INSERT, comments aside."""
    for token in _TOKEN.finditer(head):
        if token["word"]:
            return token["word"].upper() == b"INSERT"
        if not token[0].isspace() and not token[0].startswith((b"--", b"/*", b"#")):
            return False
    return False


def split_insert(head: bytes) -> tuple[str, str, int] | None:
    """`INSERT INTO t (a) FORMAT F` and data: (statement without the format, F, offset of the data).

    None when no such head is there: another statement, INSERT ... SELECT, or VALUES, which carry no data apart.
    """
    if not is_insert(head):
        return None
    depth = 0
    for token in _TOKEN.finditer(head):
        if token["open"]:
            depth += 1
        elif token["close"]:
            depth -= 1
        elif token["word"] and depth == 0:
            word = token["word"].upper()
            if word in (b"SELECT", b"WITH", b"VALUES", b"FROM"):
                return None
            name = _DATA_FORMAT.match(head, token.end()) if word == b"FORMAT" else None
            if name:
                start = _DATA_START.match(head, name.end())
                return head[: token.start()].decode(), name[1].decode(), start.end() if start else name.end()
    return None


def insert_of_file(statement: str, data_format: str, file: str) -> str:
    """The INSERT of a statement's head and of data that lie in a file; a file is named before SETTINGS, data after."""
    depth, place = 0, len(statement.encode())
    for token in _TOKEN.finditer(statement.encode()):
        depth += bool(token["open"]) - bool(token["close"])
        if token["word"] and depth == 0 and token["word"].upper() == b"SETTINGS":
            place = token.start()
            break
    head, settings = statement.encode()[:place].decode(), statement.encode()[place:].decode()
    return f"{head.rstrip()} FROM INFILE {quoted(file)} {settings.strip()} FORMAT {data_format}"


def _first_word(query: str) -> str:
    found = _FIRST_WORD.match(query)
    return found[1].upper() if found else ""


def answers_rows(query: str) -> bool:
    """Whether the statement answers rows, be they none, and so has a format."""
    return _first_word(query) in _ANSWERS_ROWS


def defines(query: str) -> bool:
    """Whether the statement may change a table's definition."""
    return _first_word(query) in _DEFINING


def streams(query: str, data_format: str) -> bool:
    """Whether chDB can hand out the statement's result in pieces that together are one result."""
    return _first_word(query) in _STREAMED_STATEMENTS and data_format.lower() in _STREAMED_FORMATS


def output_format(query: str) -> str | None:
    """The FORMAT that the query ends with."""
    found = _OUTPUT_FORMAT.search(query)
    return found[1] if found else None


def quoted(text: str) -> str:
    """A ClickHouse string literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def identifier(name: str) -> str:
    """A quoted ClickHouse identifier."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def error_code(message: str) -> int:
    """ClickHouse's number of the error; 1002 (UNKNOWN_EXCEPTION) when the message has none."""
    found = _CODE.search(message)
    return int(found[1]) if found else 1002


def http_status(code: int) -> int:
    """The HTTP status that ClickHouse gives an error."""
    return 404 if code in _NOT_FOUND else 400 if code in _BAD_REQUEST else 500


def summary(**figures: int) -> str:
    """The value of `X-ClickHouse-Summary`: every figure as a string, absent ones 0."""
    names = "read_rows read_bytes written_rows written_bytes total_rows_to_read result_rows result_bytes elapsed_ns"
    return json.dumps({name: str(figures.get(name, 0)) for name in names.split()})


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes | None: ...
    def decompress(self, data: bytes, /) -> bytes: ...


def _lz4() -> _Decompressor:
    from lz4.frame import LZ4FrameDecompressor  # type: ignore[import-untyped]

    made: _Decompressor = LZ4FrameDecompressor()
    return made


def _zstd() -> _Decompressor:
    if sys.version_info >= (3, 14):
        from compression.zstd import ZstdDecompressor
    else:
        from backports.zstd import ZstdDecompressor
    made: _Decompressor = ZstdDecompressor()
    return made


_DECOMPRESSORS: dict[str, Callable[[], _Decompressor]] = {
    "gzip": lambda: zlib.decompressobj(wbits=31),
    "deflate": zlib.decompressobj,
    "lz4": _lz4,
    "zstd": _zstd,
}
ENCODINGS = frozenset(_DECOMPRESSORS) | {"", "identity"}


class Decoder:
    """Undoes a request's Content-Encoding, chunk by chunk; a body may consist of several frames."""

    def __init__(self, encoding: str) -> None:
        self._make = _DECOMPRESSORS.get(encoding)
        self._frame = self._make() if self._make else None

    def feed(self, chunk: bytes) -> bytes:
        """The decoded bytes that `chunk` completes; raises the codec's error on bytes that are not of that encoding."""
        if self._frame is None or self._make is None:
            return chunk
        parts = []
        while chunk:
            if self._frame.eof:
                self._frame = self._make()
            parts.append(self._frame.decompress(chunk))
            chunk = (self._frame.unused_data or b"") if self._frame.eof else b""
        return b"".join(parts)

    @property
    def complete(self) -> bool:
        """Whether the body ended at the end of a frame; False says it was cut off."""
        return self._frame is None or self._frame.eof
