"""What was found damaged below the home folder: set aside, never deleted, told until somebody has looked at it."""

import json
import os
import shutil
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import structlog
from pydantic import BaseModel, ValidationError

log = structlog.get_logger()

FOLDER = "damaged"
_ABOUT = "about.json"


class Damage(BaseModel):
    """One thing that was damaged."""

    what: str
    found_at: datetime
    why: str
    done: str
    """What Lemo did about it."""
    kept: str
    """The folder that holds the damaged bytes."""


def keep_bytes(home: Path, what: str, name: str, data: bytes | memoryview, why: str, done: str) -> Damage:
    """Writes bytes that are to be cut off below `home/damaged`, durably, and tells of it there and in the log."""
    folder = _new_folder(home, what)
    with (folder / name).open("wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    return _tell(folder, what, why, done)


def set_aside(home: Path, what: str, paths: Iterable[Path], why: str, done: str) -> Damage:
    """Moves files and folders below `home/damaged`, and tells of it there and in the log."""
    folder = _new_folder(home, what)
    for path in paths:
        shutil.move(path, folder / path.name)
    return _tell(folder, what, why, done)


def damages(home: Path) -> list[Damage]:
    """What was found damaged and is still kept, oldest first."""
    found = []
    for about in sorted((home / FOLDER).glob(f"*/{_ABOUT}")):
        try:
            found.append(Damage.model_validate_json(about.read_bytes()))
        except (OSError, ValidationError):  # deleted meanwhile, or somebody's hand
            continue
    return found


def _new_folder(home: Path, what: str) -> Path:
    number = 0
    while True:
        folder = home / FOLDER / f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{what}{f'-{number}' if number else ''}"
        try:
            folder.mkdir(mode=0o700, parents=True)
        except FileExistsError:
            number += 1
        else:
            return folder


def _tell(folder: Path, what: str, why: str, done: str) -> Damage:
    damage = Damage(what=what, found_at=datetime.now(UTC), why=why, done=done, kept=str(folder))
    (folder / _ABOUT).write_text(json.dumps(damage.model_dump(mode="json"), indent=1))
    log.error("damaged data was set aside", what=what, why=why, done=done, kept=str(folder))
    return damage
