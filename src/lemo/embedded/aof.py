"""Repairs the end of Valkey's append-only file, which after a power cut may hold NUL bytes or other unwritten blocks.

Valkey itself cuts off a last command that is not whole. Of bytes that are no command it only says to use
`valkey-check-aof`, which its wheel lacks, and ends. What stands behind the last whole command was never acknowledged:
`appendfsync always` answers when the command is on the disk.
"""

import mmap
import os
import re
import shlex
from pathlib import Path

from lemo.domain.errors import EngineUnavailable
from lemo.stores.damage import keep_bytes

FOLDER = "appendonlydir"
_MANIFEST = "appendonly.aof.manifest"
_STARTED = "started-with"
"""The file that was there at the last start, and its size."""
_COMMAND = re.compile(rb"\*\d+\r\n\$(\d+)\r\n[A-Za-z]{2,20}\r\n\$\d+\r\n")
"""How one that writes begins, wherever it stands."""
_LONGEST_NUMBER, _LONGEST_LINE = 32, 4096
"""Bytes of the lines that hold a number, and of an annotation."""


def repair(path: Path, home: Path) -> bool:
    """Cuts off what stands behind the last whole command; keeps it below `home/damaged`. True if something was.

    Raises EngineUnavailable where whole commands follow: to lose them is for a person to decide.
    Only for a server that does not run. A file that ends as a command ends is read through only if nothing was written
    since the start before: Valkey may have refused it, and leaves it as it was.
    """
    file = _last_increment(path / FOLDER)
    if file is None or file.stat().st_size == 0:
        return False
    started, now = path / _STARTED, f"{file.name} {file.stat().st_size}"
    again = started.exists() and started.read_text("utf-8") == now
    started.write_text(now, "utf-8")
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data[-2:] == b"\r\n" and not again:
            return False
        good, torn = whole_commands(data)
        if torn or good == len(data):  # what a kill leaves: Valkey cuts it off itself
            return False
        rest = data[good:]
    if _COMMAND.search(rest, 1):
        raise EngineUnavailable(
            f"{file} is damaged at byte {good:,}, and commands follow: they were acknowledged.",
            "Restore a backup; or, to start without what follows, keep a copy of the file, then: "
            f"truncate -s {good} {file}",
        )
    why = f"{file.name} holds {len(rest):,} bytes behind its last whole command, at {good:,}, that are none."
    done = "They were cut off: nothing that was acknowledged was in them. Redis starts with all the rest."
    keep_bytes(home, "redis", f"{file.name}.from-{good}", rest, why, done)
    os.truncate(file, good)
    return True


class _NoCommandError(Exception):
    """These bytes are not how a command begins."""


def whole_commands(data: mmap.mmap) -> tuple[int, bool]:
    """Where the last whole command ends, and whether the file ends in the middle of another one."""
    at = 0
    try:
        while at < len(data):
            end = _command_end(data, at)
            if end is None:
                return at, True
            at = end
    except _NoCommandError:
        pass
    return at, False


def _command_end(data: mmap.mmap, at: int) -> int | None:
    """Where the command that begins at `at` ends; None where the file ends first."""
    if data[at : at + 1] == b"#":  # an annotation, such as a time stamp
        line = data.find(b"\r\n", at, at + _LONGEST_LINE)
        if line < 0 and len(data) - at >= _LONGEST_LINE:
            raise _NoCommandError
        return line + 2 if line >= 0 else None
    head = _number(data, b"*", at)
    if head is None:
        return None
    count, at = head
    for _ in range(count):
        head = _number(data, b"$", at)
        if head is None:
            return None
        at = head[1] + head[0] + 2
        if at > len(data):
            return None
        if data[at - 2 : at] != b"\r\n":
            raise _NoCommandError
    return at


def _number(data: mmap.mmap, mark: bytes, at: int) -> tuple[int, int] | None:
    """The number in the line at `at`, and where the next line begins; None where the file ends first."""
    line = data.find(b"\r\n", at, at + _LONGEST_NUMBER)
    text = data[at:line] if line >= 0 else data[at : at + _LONGEST_NUMBER].removesuffix(b"\r")
    if text and (text[:1] != mark or not (text[1:].isdigit() or (line < 0 and text == mark))):
        raise _NoCommandError
    if line < 0 and len(data) - at >= _LONGEST_NUMBER:
        raise _NoCommandError
    return (int(text[1:]), line + 2) if line >= 0 else None


def _last_increment(folder: Path) -> Path | None:
    """The file that the server appends to, by its manifest."""
    try:
        lines = (folder / _MANIFEST).read_text("utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return None
    words = [shlex.split(line) for line in lines if line and not line.startswith("#")]
    names = [line[1] for line in words if len(line) >= 6 and line[0] == "file" and line[5] == "i"]
    file = folder / names[-1] if names else None
    return file if file is not None and file.exists() else None
