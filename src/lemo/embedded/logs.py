"""The logs of supervised processes: a file each, and one view of all of them for a terminal."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

_NAME_WIDTH = 10
_POLL_SECONDS = 0.2


def named(name: str, line: str) -> str:
    """A line of the common view: `api        | the line`."""
    return f"{name:<{_NAME_WIDTH}} | {line}"


def sizes(folder: Path) -> dict[str, int]:
    """How long each process's log is, in bytes."""
    return {file.stem: file.stat().st_size for file in folder.glob("*.log")}


def lines_since(folder: Path, name: str, offset: int) -> list[str]:
    """The lines of one process from an offset in its log on; all of the file where it was rotated since."""
    try:
        with (folder / f"{name}.log").open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(offset if offset <= size else 0)
            return file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return []


class _Followed:
    """One file, from a place in it on, across its rotation."""

    def __init__(self, path: Path, offset: int) -> None:
        self._path = path
        self._file: BinaryIO = path.open("rb")
        self._file.seek(offset)
        self._rest = b""

    def lines(self) -> Iterator[str]:
        """What was written since the last call."""
        while True:
            while chunk := self._file.read(65_536):
                *lines, self._rest = (self._rest + chunk).split(b"\n")
                for line in lines:
                    yield line.decode(errors="replace")
            try:
                if self._path.stat().st_ino == os.fstat(self._file.fileno()).st_ino:
                    return
                self._file.close()
                self._file = self._path.open("rb")
            except FileNotFoundError:  # between the two steps of a rotation
                return

    def close(self) -> None:
        self._file.close()


def follow(folder: Path, alive: Callable[[], bool]) -> Iterator[str]:
    """The lines that come to all logs from now on, each with its process's name, until nothing runs any more."""
    begun = sizes(folder)
    followed: dict[str, _Followed] = {}
    try:
        while True:
            still = alive()
            for path in sorted(folder.glob("*.log")):
                name = path.stem
                if name not in followed:
                    followed[name] = _Followed(path, begun.get(name, 0))
                for line in followed[name].lines():
                    yield named(name, line)
            if not still:
                return
            time.sleep(_POLL_SECONDS)
    finally:
        for each in followed.values():
            each.close()
