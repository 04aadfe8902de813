"""Data sets: a scenario with its items and events, from a folder of files or from the simulator."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from lemo.domain.event import Event
from lemo.domain.experiment import ExperimentDraft
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
    arm: str = ""
    """The arm of the data set's experiment that made the list; empty outside of it."""


@dataclass(frozen=True, slots=True)
class PastExperiment:
    """An experiment that has begun before its data set is taken in."""

    draft: ExperimentDraft
    started_at: datetime


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
    experiment: PastExperiment | None = None
    """The experiment that the arms of `shown` belong to."""
    rejected: Callable[[], int] = _none
    """How many rows were refused so far."""
