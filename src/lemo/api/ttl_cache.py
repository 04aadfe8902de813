"""A memory for what rarely changes: requests neither ask the document store each time nor fail while it is away."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from threading import Lock
from typing import Generic, TypeVar

from lemo.domain.errors import EngineUnavailable

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")

RETRY_SECONDS = 5.0
"""While the store is away, or one caller asks it, the old value serves this long before the next caller asks."""


@dataclass
class _Entry(Generic[_Value]):
    value: _Value
    until: float


class TtlCache(Generic[_Key, _Value]):
    """Values by key for `seconds`, at most `capacity` of them. Safe for threads.

    What is not there (None) is not cached, so that a key or scenario made a moment ago is found. Past its time a
    value is asked for anew by one caller, and stays while the store cannot say.
    """

    def __init__(self, seconds: float, capacity: int = 10_000) -> None:
        self._seconds = seconds
        self._capacity = capacity
        self._entries: OrderedDict[_Key, _Entry[_Value]] = OrderedDict()
        self._lock = Lock()

    def known(self, key: _Key) -> _Value | None:
        """The value of the key, if it is held and not past its time; asks nobody."""
        entry = self._entries.get(key)
        return entry.value if entry is not None and time.monotonic() < entry.until else None

    def get(self, key: _Key, ask: Callable[[], _Value | None]) -> _Value | None:
        """The value of the key, which `ask` finds; its EngineUnavailable is passed on when no value is known."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None:
                self._entries.move_to_end(key)
                if time.monotonic() < entry.until:
                    return entry.value
                entry.until = time.monotonic() + RETRY_SECONDS
        try:
            value = ask()
        except EngineUnavailable:
            if entry is None:
                raise
            return entry.value
        with self._lock:
            if value is None:
                self._entries.pop(key, None)
            else:
                self._entries[key] = _Entry(value, time.monotonic() + self._seconds)
                if len(self._entries) > self._capacity:
                    self._entries.popitem(last=False)
        return value
