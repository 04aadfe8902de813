"""Keeps RedBeat's entries equal to the schedules while a beat leads, in a thread: slow documents delay no run."""

import threading
from collections.abc import Callable

import structlog
from celery import Celery
from redis.exceptions import RedisError

from lemo.domain.errors import LemoError
from lemo.scheduling.broker import settings
from lemo.scheduling.redbeat_entries import write_entries
from lemo.stores.connect import Stores
from lemo.stores.installation import claim

log = structlog.get_logger()

SYNC_SECONDS = 10.0


class EntrySync:
    """Writes the entries when resumed, then every 10 s until paused."""

    def __init__(self, app: Celery, on_error: Callable[[str], None]) -> None:
        self._app = app
        self._on_error = on_error
        self._stores = Stores(settings)
        self._active = threading.Event()
        self._written = threading.Event()
        self._wake = threading.Event()
        self._stopped = False
        self._thread: threading.Thread | None = None

    def resume(self, seconds: float) -> None:
        """Writes the entries now, and waits up to `seconds` for that, so that no paused entry is sent."""
        self._written.clear()
        self._active.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="entry-sync", daemon=True)
            self._thread.start()
        self._wake.set()
        if not self._written.wait(seconds):
            log.warning("the documents are slow; entries are sent as Redis holds them")

    def pause(self) -> None:
        """Stops writing: another beat leads, and writes the entries."""
        self._active.clear()

    def stop(self) -> None:
        """Ends the thread after its current write, without waiting for it."""
        self._stopped = True
        self._wake.set()

    def _run(self) -> None:
        while not self._stopped:
            self._wake.clear()
            if self._active.is_set():
                self._write()
                self._written.set()
            self._wake.wait(SYNC_SECONDS)
        self._stores.close()

    def _write(self) -> None:
        try:
            claim(self._stores)  # Redis may have been emptied: the next process must find whose it is
            write_entries(self._stores, self._app)
        except (LemoError, RedisError, OSError) as error:
            self._on_error(str(error)[:300])
        except Exception:  # a bad document must not end the thread that writes all others
            log.exception("the schedule could not be written")
