"""Data sets: a scenario with its items and events, from a folder of files or from the simulator."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lemo.domain.event import Event
from lemo.domain.item import Item
from lemo.domain.scenario import Scenario


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
    rejected: Callable[[], int] = _none
    """How many rows were refused so far."""
