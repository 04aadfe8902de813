"""Files as bytes, out of what they are compressed or archived in; the first bytes decide, not the name."""

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from lemo.domain.errors import InvalidInput, NotFound

ZIP = b"PK\x03\x04"
DAMAGE = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
"""What reading a damaged file raises."""
_GZIP, _BZIP2, _XZ, _ZSTANDARD = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"
_WORKBOOK = ("xl/workbook.xml", "xl/workbook.bin", "content.xml")
"""Members that make an archive a workbook: .xlsx, .xlsb, .ods."""


class _Inner(io.BufferedReader):
    """A decompressed stream that knows the file below it, so that progress counts the file's own bytes."""

    fileobj: IO[bytes]

    def close(self) -> None:
        super().close()
        self.fileobj.close()


def open_bytes(path: Path) -> IO[bytes]:
    """Opens a file for reading, decompressed: gzip, bzip2, xz, Zstandard, or a ZIP archive with one file in it.

    Raises NotFound or InvalidInput with the reason.
    """
    if path.is_dir():
        raise InvalidInput(f"{path} is a folder.", "Name the files in it.")
    with _told(path):
        file = path.open("rb")
    try:
        with _told(path):
            return _decompressed(path, file)
    except BaseException:
        file.close()
        raise


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise NotFound(f"There is no file {path}.", "Check the path; it is read from the current folder.") from None
    except zipfile.BadZipFile as error:
        raise InvalidInput(f"{path} is a damaged ZIP archive: {error}.", "Get the file again.") from error
    except OSError as error:
        raise InvalidInput(f"{path} cannot be opened: {error.strerror or error}.", "Check its permissions.") from error


def _decompressed(path: Path, file: IO[bytes]) -> IO[bytes]:
    magic = file.read(6)
    file.seek(0)
    if magic.startswith(_GZIP):
        return _above(file, gzip.GzipFile(fileobj=file))
    if magic.startswith(_ZSTANDARD):
        import pyarrow as pa

        return _above(file, pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd"))
    if magic.startswith(_BZIP2):
        return _above(file, bz2.BZ2File(file))
    if magic.startswith(_XZ):
        return _above(file, lzma.LZMAFile(file))
    if magic.startswith(ZIP) and not is_workbook(file):
        return _above(file, _member(path, file))
    return file


def _above(file: IO[bytes], stream: Any) -> IO[bytes]:
    reader = _Inner(stream, 1 << 16)
    reader.fileobj = file
    return cast(IO[bytes], reader)


def is_workbook(file: IO[bytes]) -> bool:
    """Whether a ZIP archive is a workbook of Excel or LibreOffice; the file stands at its beginning afterwards."""
    names = zipfile.ZipFile(file).namelist()
    file.seek(0)
    return any(name in names for name in _WORKBOOK)


def _member(path: Path, file: IO[bytes]) -> IO[bytes]:
    archive = zipfile.ZipFile(file)
    inside = [
        member
        for member in archive.infolist()
        if not member.is_dir() and not member.filename.startswith("__MACOSX/") and "/." not in f"/{member.filename}"
    ]
    if len(inside) != 1:
        shown = ", ".join(member.filename for member in inside[:5]) + (", ..." if len(inside) > 5 else "")
        raise InvalidInput(
            f"{path} is an archive of {len(inside)} files{': ' + shown if shown else ''}.",
            "Unpack it (`unzip FILE`) and name the file that you mean.",
        )
    try:
        return archive.open(inside[0])
    except (RuntimeError, NotImplementedError) as error:  # encrypted, or a method that zipfile does not know
        raise InvalidInput(f"{path} cannot be unpacked: {error}.", "Unpack it and name the file in it.") from error
