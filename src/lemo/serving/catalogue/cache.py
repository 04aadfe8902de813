"""The columns of each scope's catalogue: read at the first request that needs them, then kept current by the feed."""

import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event, Lock, Thread
from types import MappingProxyType

import structlog

from lemo.domain.errors import EngineUnavailable
from lemo.domain.scenario import AttributeType
from lemo.domain.scope import Scope
from lemo.serving.catalogue.columns import Columns, columns_of
from lemo.serving.renewals import Renewals, is_old, renewals_of
from lemo.serving.slots import Slots
from lemo.stores.documents.catalogue import Items
from lemo.stores.redis.item_feed import ItemFeed

log = structlog.get_logger()

FOLLOW_SECONDS = 0.25
"""How often the feed is read: a change counts within a second in every process."""
FIRST_READ_SECONDS = 20.0
"""How long a request waits for a catalogue that is read for the first time; a million items take longer."""
AttributeTypes = Mapping[str, AttributeType]
NO_TYPES: AttributeTypes = MappingProxyType({})
_GROUP = 5_000
"""Changed items that are read from the documents at once."""


@dataclass(frozen=True, slots=True)
class _Read:
    """Columns as they were read, and the position in the feed from which they are to be followed."""

    columns: Columns
    types: AttributeTypes
    position: str


class _Slot:
    def __init__(self) -> None:
        self.read: _Read | None = None
        self.reading: Future[_Read] | None = None
        self.followed_at = time.monotonic()
        self.fault = ""
        self.lock = Lock()


class CatalogueCache:
    """A bounded cache of columns. Safe for threads; a background thread follows the feeds until `close`."""

    def __init__(self, items: Items, feed: ItemFeed, capacity: int = 64) -> None:
        self._items = items
        self._feed = feed
        self._slots = Slots(_Slot, capacity)
        self._lock = Lock()
        self._stop = Event()
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="read-catalogue")
        self._follower: Thread | None = None

    def columns(self, scope: Scope, types: AttributeTypes) -> Columns:
        """The columns of a scope, whose attributes in `types` have these types.

        Raises EngineUnavailable where the catalogue is not read yet and cannot be, or takes too long.
        """
        slot = self._slot(scope)
        read = slot.read
        if read is not None and read.types == types:
            return read.columns
        reading = self._begin(scope, slot, types)
        if read is not None:
            return read.columns  # the attributes have other types from the next requests on
        try:
            return reading.result(FIRST_READ_SECONDS).columns
        except TimeoutError as error:
            raise EngineUnavailable(
                f"The catalogue of {scope.scenario_id!r} is still being read.", "Ask again in some seconds."
            ) from error

    def known(self, scope: Scope, types: AttributeTypes) -> Columns | None:
        """The columns, where they are read and current; never waits."""
        slot = self._slots.known(scope)
        read = None if slot is None else slot.read
        if slot is None or read is None or read.types != types or is_old(slot.followed_at):
            return None
        return read.columns

    def is_stale(self, scope: Scope) -> bool:
        """Whether the columns could not follow the feed for `STALE_SECONDS`."""
        return is_old(self._slot(scope).followed_at)

    def renewals(self) -> Renewals:
        """The age of the columns of all scopes, and why one cannot follow its feed."""
        slots = [slot for _, slot in self._slots.all() if slot.read is not None]
        return renewals_of([(slot.followed_at, slot.fault.partition("(")[0]) for slot in slots])

    def _slot(self, scope: Scope) -> _Slot:
        with self._lock:
            if self._follower is None:
                self._follower = Thread(target=self._follow_all, name="follow-items", daemon=True)
                self._follower.start()
        return self._slots.of(scope)[0]

    def _begin(self, scope: Scope, slot: _Slot, types: AttributeTypes) -> "Future[_Read]":
        """The read that is under way, or a new one."""
        with slot.lock:
            if slot.reading is None or slot.reading.done():
                slot.reading = self._pool.submit(self._read, scope, slot, dict(types))
            return slot.reading

    def _read(self, scope: Scope, slot: _Slot, types: AttributeTypes) -> _Read:
        started = time.monotonic()
        # The position first: what is written while the documents are read is read again.
        position = self._feed.position(scope)
        columns = columns_of(self._items.scan(scope), fixed=types)
        read = slot.read = _Read(columns, types, position)
        slot.followed_at = started
        seconds = round(time.monotonic() - started, 3)
        log.info("read the catalogue", scope=str(scope), items=len(columns), seconds=seconds)
        return read

    def _follow_all(self) -> None:
        while not self._stop.wait(FOLLOW_SECONDS):
            for scope, slot in self._slots.all():
                try:
                    self._follow(scope, slot)
                    slot.fault = ""
                except Exception as error:  # noqa: BLE001 - the columns stay as they were, and their age is told
                    if repr(error) != slot.fault:
                        log.warning("cannot follow the catalogue", scope=str(scope), error=str(error))
                    slot.fault = repr(error)

    def _follow(self, scope: Scope, slot: _Slot) -> None:
        read, started = slot.read, time.monotonic()
        if read is None:
            return
        found = self._feed.since(scope, read.position)
        if found is None:
            self._begin(scope, slot, read.types)
            return
        position, changed = found
        for start in range(0, len(changed), _GROUP):
            items = self._items.get_many(scope, changed[start : start + _GROUP])
            read.columns.update(list(items.values()))
        if slot.read is read:
            slot.read = _Read(read.columns, read.types, position)
            slot.followed_at = started

    def close(self) -> None:
        """Stops following."""
        self._stop.set()
        if self._follower is not None:
            self._follower.join()
        self._pool.shutdown(wait=True, cancel_futures=True)
