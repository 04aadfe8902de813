"""While a beat leads, RedBeat's entries follow the documents: in a thread, so that slow documents delay no run."""

import threading
from collections.abc import Callable

import structlog
from celery import Celery
from redis.exceptions import RedisError

from lemo.domain.errors import LemoError
from lemo.stores.connect import Stores
from lemo.stores.identity import claim
from lemo.tasks.celery_app import settings
from lemo.tasks.reconcile import write_entries

log = structlog.get_logger()

EVERY_SECONDS = 10.0


class EntrySync:
    """Writes the entries when told to follow, then every 10 s until told to rest."""

    def __init__(self, app: Celery, on_trouble: Callable[[str], None]) -> None:
        self._app = app
        self._on_trouble = on_trouble
        self._stores = Stores(settings)
        self._following = threading.Event()
        self._written = threading.Event()
        self._wake = threading.Event()
        self._stopped = False
        self._thread: threading.Thread | None = None

    def follow(self, patience: float) -> None:
        """Starts at once, and waits up to `patience` seconds for the first try, so that nothing paused is started."""
        self._written.clear()
        self._following.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="follower", daemon=True)
            self._thread.start()
        self._wake.set()
        if not self._written.wait(patience):
            log.warning("the documents are slow; entries are started as Redis holds them")

    def rest(self) -> None:
        """Another beat leads, and writes them."""
        self._following.clear()

    def stop(self) -> None:
        """Ends the thread after what it is doing, for which nobody waits."""
        self._stopped = True
        self._wake.set()

    def _work(self) -> None:
        while not self._stopped:
            self._wake.clear()
            if self._following.is_set():
                self._write()
                self._written.set()
            self._wake.wait(EVERY_SECONDS)
        self._stores.close()

    def _write(self) -> None:
        try:
            claim(self._stores)  # Redis may have been emptied: whoever comes next must find whose it is
            write_entries(self._stores, self._app)
        except (LemoError, RedisError, OSError) as error:
            self._on_trouble(str(error)[:300])
        except Exception:  # a bad document must not end what keeps all others in step
            log.exception("the schedule could not be written")
