"""What a process keeps of each scope that was asked for lately: one slot a scope, the longest unasked dropped."""

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

from lemo.domain.scope import Scope

_Slot = TypeVar("_Slot")


class Slots(Generic[_Slot]):
    """At most `capacity` slots, each made by `make` when its scope is first asked for. Safe for threads."""

    def __init__(self, make: Callable[[], _Slot], capacity: int) -> None:
        self._make = make
        self._capacity = capacity
        self._slots: OrderedDict[Scope, _Slot] = OrderedDict()
        self._lock = Lock()

    def of(self, scope: Scope) -> tuple[_Slot, bool]:
        """The slot of a scope, and whether it was made now."""
        with self._lock:
            slot = self._slots.get(scope)
            made = slot is None
            if slot is None:
                slot = self._slots[scope] = self._make()
                if len(self._slots) > self._capacity:
                    self._slots.popitem(last=False)
            self._slots.move_to_end(scope)
            return slot, made

    def known(self, scope: Scope) -> _Slot | None:
        """The slot of a scope that was asked for before; never waits, and is not counted as asking."""
        return self._slots.get(scope)

    def all(self) -> list[tuple[Scope, _Slot]]:
        """All slots."""
        with self._lock:
            return list(self._slots.items())
