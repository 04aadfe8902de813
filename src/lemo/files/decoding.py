"""Text in any encoding and with any line ends, as UTF-8 with line feeds."""

import codecs
import io
from typing import IO, Any, cast

_CHUNK = 1 << 16


class _Transcoded(io.RawIOBase):
    """Bytes of UTF-8 out of bytes of another encoding.

    What is no character of that encoding stays the byte it is, which is no UTF-8: the reader refuses that line alone.
    """

    def __init__(self, stream: IO[bytes], encoding: str, returns: bool) -> None:
        self._stream = stream
        # UTF-16 has no bytes that could stay what they are.
        errors = "replace" if encoding.startswith(("utf-16", "utf-32")) else "surrogateescape"
        self._decoder = codecs.getincrementaldecoder(encoding)(errors)
        self._returns = returns
        self._waiting = b""
        self._ended = False
        self.fileobj: Any = getattr(stream, "fileobj", None) or stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._waiting and not self._ended:
            chunk = self._stream.read(_CHUNK)
            self._ended = not chunk
            text = self._decoder.decode(chunk, final=self._ended)
            if self._returns:
                text = text.replace("\r", "\n")
            self._waiting = text.encode("utf-8", errors="surrogateescape")
        count = min(len(buffer), len(self._waiting))
        buffer[:count], self._waiting = self._waiting[:count], self._waiting[count:]
        return count

    def close(self) -> None:
        self._stream.close()
        super().close()


class _Reader(io.BufferedReader):
    fileobj: IO[bytes]


def as_utf8(stream: IO[bytes], encoding: str, returns: bool = False) -> IO[bytes]:
    """The stream as UTF-8; with `returns`, a carriage return alone ends a line (old Excel for Mac)."""
    if encoding == "utf-8" and not returns:
        return stream
    raw = _Transcoded(stream, encoding, returns)
    reader = _Reader(raw, _CHUNK)
    reader.fileobj = raw.fileobj
    return cast(IO[bytes], reader)
