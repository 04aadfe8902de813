"""Data sets: a scenario with its items and events, from a folder of files or from the simulator."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from lemo.domain.event import Event
from lemo.domain.item import Item
from lemo.domain.scenario import Scenario


@dataclass(frozen=True, slots=True)
class ShownList:
    """A list of items that a user was shown, best first; the events that followed carry its request id."""

    request_id: str
    user_id: str
    at_ms: int
    """Unix milliseconds."""
    item_ids: list[str]
    placement: str
    took_us: int
    """Microseconds that it took to make the list."""


def _none() -> int:
    return 0


@dataclass(frozen=True, slots=True)
class Dataset:
    """Items and events of one scenario; both can be iterated once, and are read as they are asked for."""

    name: str
    """What the data is, for people."""
    scenario: Scenario
    items: Iterator[Item]
    events: Iterator[Event]
    shown: Iterator[ShownList] = field(default_factory=lambda: iter(()))
    """The lists that the users of a simulated world were shown; files hold none."""
    rejected: Callable[[], int] = _none
    """How many rows were refused so far."""
