"""Damaged definitions of chDB's tables, any of which keeps the whole engine from starting: repaired from copies.

The engine keeps a copy of each definition beside its data, from its last good start and each change of a table on.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from lemo.domain.errors import EngineUnavailable
from lemo.stores.damage import keep_bytes

DATA, COPIES = "data", "definitions"
_DEFINITIONS = ("metadata/*.sql", "store/*/*/*.sql")
_RECORDS = "store/*/*/mutation_*.txt"
_SET_ASIDE = "It was set aside. Should events be there that were deleted: delete them again."
_VERSIONS = "store/*/*/format_version.txt"
_VERSION = b"1"
"""What ClickHouse writes into each table's `format_version.txt`."""


def mend_definitions(folder: Path, home: Path) -> None:
    """Puts what is torn right before chDB opens `folder/data`; what was there is kept below `home/damaged`.

    Raises EngineUnavailable for a torn definition without a copy.
    """
    for file, copy in _files(folder):
        found = file.read_bytes()
        good = copy.read_bytes() if copy.exists() else b""
        if _whole(found) and not (len(found) < len(good) and good.startswith(found)):
            continue
        if not _whole(good):
            raise EngineUnavailable(
                f"{file}, the definition of a table, is damaged, and there is no copy of it.",
                f"Restore a backup of {folder}. Without one: keep a copy of that folder, remove it, and import again.",
            )
        _replace(home, file, found, good)
    for file in (folder / DATA).glob(_VERSIONS):
        found = file.read_bytes()
        if not found.strip().isdigit():
            _replace(home, file, found, _VERSION)
    for file in (folder / DATA).glob(_RECORDS):
        found = file.read_bytes()
        if not re.fullmatch(rb"format version: 1\n[^\0]*\n", found):
            why = f"{file.name}, the record of a deletion, is damaged."
            keep_bytes(home, "clickhouse", file.name, found, why, _SET_ASIDE)
            file.unlink()


def restore_definitions(folder: Path, home: Path) -> bool:
    """After chDB could not open: puts the copies where a definition differs; True if there was one."""
    differing = [
        (file, file.read_bytes(), copy.read_bytes())
        for file, copy in _files(folder)
        if copy.exists() and copy.read_bytes() != file.read_bytes()
    ]
    for file, found, good in differing:
        _replace(home, file, found, good)
    return bool(differing)


def keep_definitions(folder: Path) -> None:
    """Makes the copies what the definitions are now; those of tables that are gone go too."""
    kept = set()
    for file, copy in _files(folder):
        try:
            found = file.read_bytes()
        except FileNotFoundError:  # dropped at this moment
            continue
        kept.add(copy)
        if not copy.exists() or copy.read_bytes() != found:
            _write(copy, found)
    for copy in (folder / COPIES).rglob("*.sql"):
        if copy not in kept:
            copy.unlink(missing_ok=True)


def _files(folder: Path) -> Iterator[tuple[Path, Path]]:
    """Each definition, and where its copy is."""
    data = folder / DATA
    for pattern in _DEFINITIONS:
        for file in sorted(data.glob(pattern)):
            yield file, folder / COPIES / file.relative_to(data)


def _whole(text: bytes) -> bool:
    return text.startswith(b"ATTACH ") and text.endswith(b"\n") and b"\0" not in text


def _replace(home: Path, file: Path, found: bytes, good: bytes) -> None:
    why = f"{file}, which chDB needs to open its data, was damaged."
    keep_bytes(home, "clickhouse", file.name, found, why, "It was replaced by what it held before; no event is lost.")
    _write(file, good)


def _write(file: Path, text: bytes) -> None:
    """All of it or nothing, on the disk."""
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f"{file.name}.{os.getpid()}.tmp")
    with new.open("wb") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    new.replace(file)
