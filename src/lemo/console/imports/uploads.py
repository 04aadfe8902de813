"""Files dropped on the console, each in a folder of its own below the home folder, beside what is known of it.

The file goes away when it was imported or discarded, or after a day; what came of it is kept for a week.
"""

import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import RLock
from typing import IO, Any, Literal

import structlog
from pydantic import BaseModel, Field, ValidationError

from lemo.domain.errors import InvalidInput, LemoError, NotFound, TooLarge
from lemo.files.rejects import rejects_path
from lemo.settings import Settings

State = Literal["receiving", "waiting", "queued", "running", "done", "failed", "stopped", "broken"]
"""`waiting`: for somebody to say how it is read. `broken`: the console ended while it was imported."""
AT_WORK: frozenset[State] = frozenset({"receiving", "queued", "running"})
ASKING: frozenset[State] = frozenset({"waiting", "failed", "stopped", "broken"})
"""The file is there and may be imported."""
FREE_BYTES = 500_000_000
"""What stays free on the disk: the engines write there as well."""
MOST_WAITING = 20
"""Files of a tenant that may lie here."""
TOGETHER = 5
"""Times the limit of one file that all files of the installation may have together."""
FILE_KEPT, RESULT_KEPT = timedelta(days=1), timedelta(days=7)
_UNFIT = re.compile(r"[\x00-\x1f\x7f/\\]")
_RECORD = "upload.json"

log = structlog.get_logger()


class Upload(BaseModel):
    """One file and what became of it."""

    id: str
    tenant_id: str
    by: str
    name: str
    size: int = 0
    state: State = "receiving"
    created_at: datetime
    finished_at: datetime | None = None
    scenario_id: str = ""
    kind: Literal["items", "events"] | None = None
    error: str = ""
    hint: str = ""
    result: dict[str, Any] = Field(default_factory=dict)
    """What came of the import, as `lemo import --format json` has it, with `examples` of unknown items."""


class Uploads:
    """The dropped files of an installation. Safe for threads."""

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.state / "uploads"
        self._most = settings.console_upload_mb * 1_000_000
        self._lock = RLock()
        self._held: dict[str, IO[bytes]] = {}

    @property
    def most_bytes(self) -> int:
        """The largest file that is taken; 0: none is."""
        return self._most

    def list(self, tenant_id: str) -> Sequence[Upload]:
        """The tenant's uploads, the newest first."""
        return [upload for upload in self._all() if upload.tenant_id == tenant_id]

    def get(self, tenant_id: str, id: str) -> Upload:
        """One of the tenant's uploads; raises NotFound."""
        found = next((upload for upload in self.list(tenant_id) if upload.id == id), None)
        if found is None:
            raise NotFound(
                f"There is no file {id[:40]!r}.",
                "Files go away when they were imported, or after a day. Drop it again.",
            )
        return found

    def path(self, upload: Upload) -> Path:
        """Where the file lies."""
        return self._folder / upload.id / upload.name

    def rejects(self, upload: Upload) -> Path:
        """Where the rejected rows of its import lie, if there are any; they stay as long as what came of it."""
        return rejects_path(self.path(upload))

    def begin(self, tenant_id: str, by: str, name: str, size: int | None) -> "Receiving":
        """Makes place for a file of `size` bytes; raises InvalidInput and TooLarge where it must not come."""
        self.recover()
        self._check(size or 0)
        if sum(upload.state in ASKING | AT_WORK for upload in self.list(tenant_id)) >= MOST_WAITING:
            raise InvalidInput(
                f"{MOST_WAITING} files wait already.", "Import or discard some of them, then drop this one again."
            )
        plain = _UNFIT.sub("_", name).strip(". ").encode()[-200:].decode(errors="ignore") or "file"
        upload = Upload(
            id=secrets.token_hex(8),
            tenant_id=tenant_id,
            by=by,
            name=f"_{plain}" if plain == _RECORD else plain,
            created_at=datetime.now(UTC),
        )
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self._folder / upload.id).mkdir(mode=0o700)
        self.hold(upload)
        self.save(upload)
        return Receiving(self, upload)

    def _check(self, size: int) -> None:
        """Raises TooLarge where a file of that size is beyond the limit, or the disk has no room for it."""
        if not self._most:
            raise TooLarge("This console takes no files.", "LEMO_CONSOLE_UPLOAD_MB says so. `lemo import` takes any.")
        if size > self._most:
            raise TooLarge(
                f"The file has more than {self._most // 1_000_000:,} MB, the most that this console takes.",
                "Import it with `lemo import`, compress it (.gz, .zst), or raise LEMO_CONSOLE_UPLOAD_MB.",
            )
        lying = sum(_size(file) for file in self._folder.glob("*/*"))
        if lying + size > TOGETHER * self._most:
            raise TooLarge(
                f"Files of {lying // 1_000_000:,} MB wait already; there is no room for more.",
                "Import or discard some of them. Those of other tenants count, too, and go away after a day.",
            )
        there = next(path for path in (self._folder, *self._folder.parents) if path.exists())
        free = shutil.disk_usage(there).free
        if free - size < FREE_BYTES:
            raise TooLarge(
                f"Only {free // 1_000_000:,} MB are free on the disk of LEMO_HOME, of which"
                f" {FREE_BYTES // 1_000_000} MB must stay so.",
                "Make room there, or import with `lemo import` from where the file is.",
            )

    def check_growth(self, size: int) -> None:
        """Raises TooLarge where what came of a file is beyond the limit, or the disk is nearly full."""
        self._check(size if size > self._most else 0)

    def save(self, upload: Upload) -> None:
        """Keeps what is known of a file; nothing where it was discarded meanwhile."""
        with self._lock:
            folder = self._folder / upload.id
            if folder.is_dir():
                new = folder / f"{_RECORD}.new"
                new.write_text(upload.model_dump_json(), encoding="utf-8")
                new.replace(folder / _RECORD)

    def finish(self, upload: Upload, state: State, **changes: Any) -> Upload:
        """An import came to its end: the file of one that is done goes away."""
        ended = upload.model_copy(update={"state": state, "finished_at": datetime.now(UTC), **changes})
        self.save(ended)
        if state == "done":
            self.path(upload).unlink(missing_ok=True)
        self.release(upload)
        return ended

    def discard(self, upload: Upload) -> None:
        """Removes a file and what is known of it; raises InvalidInput while it is imported."""
        with self._lock:
            if upload.id in self._held:
                raise InvalidInput(f"{upload.name} is being imported.", "Stop it first.")
            shutil.rmtree(self._folder / upload.id, ignore_errors=True)

    def hold(self, upload: Upload) -> None:
        """Marks a file as one that this process works on; raises InvalidInput where one works on it already."""
        with self._lock:
            file = (self._folder / upload.id / ".lock").open("ab")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                file.close()
                raise InvalidInput(f"{upload.name} is being imported already.", "Follow it on its page.") from None
            self._held[upload.id] = file

    def release(self, upload: Upload) -> None:
        """Ends `hold`."""
        with self._lock:
            if (file := self._held.pop(upload.id, None)) is not None:
                file.close()

    def recover(self) -> None:
        """Takes up what a process left that has ended, and removes what is too old."""
        now = datetime.now(UTC)
        for upload in self._all():
            try:
                self.hold(upload)
            except InvalidInput:
                continue  # another process is at work on it
            if upload.state in ("queued", "running"):
                upload = upload.model_copy(update={"state": "broken", "finished_at": now})
                self.save(upload)
            age = now - (upload.finished_at or upload.created_at)
            self.release(upload)
            if upload.state == "receiving" or age > (RESULT_KEPT if upload.state == "done" else FILE_KEPT):
                self.discard(upload)

    def _all(self) -> Sequence[Upload]:
        found = []
        for record in self._folder.glob(f"*/{_RECORD}"):
            try:
                found.append(Upload.model_validate_json(record.read_bytes()))
            except FileNotFoundError:
                continue  # discarded meanwhile
            except ValidationError:
                log.warning("a record of an upload cannot be read; it is removed", path=str(record))
                shutil.rmtree(record.parent, ignore_errors=True)
        return sorted(found, key=lambda upload: upload.created_at, reverse=True)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0  # discarded meanwhile


class Receiving:
    """A file that is coming in."""

    def __init__(self, uploads: Uploads, upload: Upload) -> None:
        self._uploads = uploads
        self._upload = upload
        self._path = uploads.path(upload)
        self._file = self._path.open("wb")
        self._size = 0

    def write(self, part: bytes) -> None:
        """Takes a part of it; raises TooLarge beyond the limit, or where the disk is nearly full."""
        self._size += len(part)
        self._uploads.check_growth(self._size)
        try:
            self._file.write(part)
        except OSError as error:
            raise TooLarge(
                f"The file could not be written: {error.strerror}.", "Make room where LEMO_HOME lies."
            ) from error

    def whole(self, modified_ms: int | None) -> Upload:
        """All of it is there. `modified_ms`: when it was written, which is the time of events that have none."""
        self._file.close()
        if modified_ms is not None:
            os.utime(self._path, (modified_ms / 1000, modified_ms / 1000))
        upload = self._upload.model_copy(update={"state": "waiting", "size": self._size})
        self._uploads.save(upload)
        self._uploads.release(upload)
        return upload

    def give_up(self) -> None:
        """It did not come whole: nothing of it stays."""
        self._file.close()
        self._uploads.release(self._upload)
        self._uploads.discard(self._upload)


def without_folder(error: LemoError, path: Path) -> LemoError:
    """The error with the file's name in place of the path that the console gave it."""
    return LemoError(error.message.replace(str(path), path.name), error.hint.replace(str(path), path.name))
