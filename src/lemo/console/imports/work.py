"""Imports of dropped files, in threads of the console: pages look at them, and may be closed meanwhile."""

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from threading import Lock, Semaphore
from typing import Any, Literal

import structlog

from lemo.console.imports.rejected import MOST_BYTES
from lemo.console.imports.uploads import Upload, Uploads, without_folder
from lemo.diagnostics.log_probes import consumer_is_there
from lemo.domain.errors import EngineUnavailable, InvalidInput, LemoError
from lemo.domain.file_mapping import replacing
from lemo.domain.scenario import Scenario
from lemo.domain.scope import Scope
from lemo.files.kept_mapping import mapping_of
from lemo.files.plan import Wishes
from lemo.files.reading import Reading
from lemo.files.rejects import Rejects
from lemo.intake.file_import import FileImport
from lemo.intake.import_counts import Change, Kind, held
from lemo.intake.import_outcome import Outcome
from lemo.intake.preview import Preview
from lemo.scheduling.scenario_changes import change_scenario
from lemo.settings import Settings
from lemo.stores.connect import Stores
from lemo.streams import Message
from lemo.threads import run_in_thread

AT_ONCE = 2
"""Files that are imported at the same time: each takes a processor, and the pages need one."""
EXAMPLES = 10

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an import is."""

    stage: Literal["queued", "sending", "consumer"] = "queued"
    done: int = 0
    total: int = 1
    """Bytes of the file, or rows of Parquet and Excel; messages while the consumer takes them."""
    rows: int = 0
    rejected: int = 0
    seconds: float = 0.0

    @property
    def share(self) -> float:
        """The part that is done, from 0 to 1."""
        return min(self.done / max(self.total, 1), 1.0)

    @property
    def seconds_left(self) -> float | None:
        """About how long it still takes; None where that cannot be told yet."""
        return self.seconds / self.share * (1 - self.share) if self.share > 0.01 and self.seconds > 1 else None


@dataclass(frozen=True, slots=True)
class Look:
    """How a file would be read by what was said, or why it cannot be."""

    scenario: Scenario
    columns: list[str]
    preview: Preview | None
    error: LemoError | None = None


class _Stopped(Exception):
    """Somebody stopped the import."""


class Imports:
    """Looks at dropped files, and imports them. Safe for threads."""

    def __init__(self, settings: Settings, uploads: Uploads) -> None:
        self._settings = settings
        self._uploads = uploads
        self._turns = Semaphore(AT_ONCE)
        self._lock = Lock()
        self._progress: dict[str, Progress] = {}
        self._stopped: set[str] = set()

    def look(
        self, stores: Stores, scope: Scope, upload: Upload, kind: Kind, wishes: Wishes, leave_out: Sequence[str]
    ) -> "Look":
        """How the file would be read, as `lemo import --dry-run` tells; raises EngineUnavailable."""
        path = self._uploads.path(upload)
        scenario = stores.scenarios.get(scope)
        work = FileImport(stores, scope, scenario, kind, wishes, leave_out)
        columns: list[str] = []
        try:
            columns = work.columns(path)
            return Look(scenario, columns, work.look(path))
        except EngineUnavailable:
            raise
        except LemoError as error:
            return Look(scenario, columns, None, without_folder(error, path))

    def keep_mapping(
        self,
        stores: Stores,
        scope: Scope,
        upload: Upload,
        kind: Kind,
        wishes: Wishes,
        leave_out: Sequence[str],
        name: str,
        by: str,
    ) -> None:
        """Keeps in the scenario how the file is read; raises LemoError."""
        path = self._uploads.path(upload)
        try:
            known = stores.scenarios.get(scope)
            plan = (
                FileImport(stores, scope, known, kind, wishes, leave_out).open(path, Rejects(path, written=False)).plan
            )
            mapping = replacing(known.mappings.get(name), mapping_of(kind, plan, wishes, leave_out))
            change_scenario(stores, scope, {"mappings": {name: mapping}}, by)
        except LemoError as error:
            raise without_folder(error, path) from error

    def start(
        self, scope: Scope, upload: Upload, kind: Kind, wishes: Wishes, leave_out: Sequence[str], by: str
    ) -> Upload:
        """Begins an import, which goes on by itself; raises InvalidInput where the file is imported already."""
        self._uploads.hold(upload)
        begun = upload.model_copy(
            update={
                "state": "queued",
                "scenario_id": scope.scenario_id,
                "kind": kind,
                "by": by,
                "error": "",
                "hint": "",
                "result": {},
                "finished_at": None,
            }
        )
        self._uploads.save(begun)
        with self._lock:
            self._progress[upload.id] = Progress()
            self._stopped.discard(upload.id)
        run_in_thread(lambda: self._run(scope, begun, kind, wishes, list(leave_out)), f"import-{upload.id}")
        return begun

    def progress(self, upload: Upload) -> Progress | None:
        """How far the import of a file is; None where this process does not work on it."""
        with self._lock:
            return self._progress.get(upload.id)

    def stop(self, upload: Upload) -> None:
        """Ends an import before its next batch; what was sent stays."""
        with self._lock:
            if upload.id not in self._progress:
                raise InvalidInput(f"{upload.name} is not being imported.", "Load the page again.")
            self._stopped.add(upload.id)

    def _run(self, scope: Scope, upload: Upload, kind: Kind, wishes: Wishes, leave_out: list[str]) -> None:
        path = self._uploads.path(upload)
        failed: dict[str, Any] = {}
        try:
            with self._turns, closing(Stores(self._settings)) as stores:
                self._check(upload)
                running = upload.model_copy(update={"state": "running"})
                self._uploads.save(running)
                with stores.audit.noting(scope, upload.by, f"import.{kind}", upload.name, bytes=upload.size) as line:
                    try:
                        work = FileImport(stores, scope, stores.scenarios.get(scope), kind, wishes, leave_out)
                        result = self._import(work, running)
                        line.detail |= {name: result[name] for name in ("read", "published", "rejected")}
                    except (LemoError, _Stopped) as error:
                        # The line stays: a part of the file may be in the log.
                        line.detail |= {"ended": "stopped" if isinstance(error, _Stopped) else str(error)[:300]}
                        raise
            bad = result["rejected"] > result["published"]
            # The file stays, to be read in another way: rows that were taken count once.
            self._uploads.finish(running, "failed" if bad else "done", result=result)
            return
        except _Stopped:
            self._uploads.finish(upload, "stopped")
            return
        except LemoError as error:
            told = without_folder(error, path)
            failed = {"error": told.message, "hint": told.hint}
        except Exception as error:
            log.exception("an import failed", upload=upload.id)
            failed = {
                "error": f"The import failed: {type(error).__name__}.",
                "hint": "The console's log has its cause.",
            }
        finally:
            with self._lock:
                self._progress.pop(upload.id, None)
        self._uploads.finish(upload, "failed", **failed)

    def _check(self, upload: Upload) -> None:
        with self._lock:
            if upload.id in self._stopped:
                raise _Stopped

    def _tell(self, upload: Upload, progress: Progress) -> None:
        with self._lock:
            self._progress[upload.id] = progress

    def _import(self, work: FileImport, upload: Upload) -> dict[str, Any]:
        """Sends the file, waits for the consumer, and tells what came of it."""
        path = self._uploads.path(upload)
        started = time.monotonic()
        before = held(self._settings, work.scope, work.kind)
        self._uploads.rejects(upload).unlink(missing_ok=True)
        reading: Reading[Message] = work.open(path, Rejects(path, most_bytes=MOST_BYTES))
        now = Progress("sending", 0, reading.total)
        self._tell(upload, now)

        def tell() -> None:
            nonlocal now
            seconds = time.monotonic() - started
            now = replace(now, done=reading.done, rows=reading.read, rejected=reading.rejects.count, seconds=seconds)
            self._tell(upload, now)
            self._check(upload)

        def tell_left(left: int, most: int) -> None:
            self._tell(upload, replace(now, stage="consumer", done=most - left, total=most))
            self._check(upload)

        work.send(reading, tell)
        left = work.wait(tell_left, lambda: consumer_is_there(self._settings)) if reading.good else None
        unknown = work.unknown()
        after = held(self._settings, work.scope, work.kind) if before is not None and left == 0 else None
        change = Change(work.kind, before, after) if before is not None and after is not None else None
        outcome = Outcome([reading], left, time.monotonic() - started, unknown, work.tally, change)
        result = outcome.as_json() | {"left": left, "examples": unknown[:EXAMPLES], "named": len(work.named)}
        if after is not None:
            result["held"] = after.rows
        result["problems"] = [each.replace(str(path), path.name) for each in outcome.problems]
        return result
