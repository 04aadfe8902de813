"""What the similarity job keeps from one run to the next, so that it costs what changed and not what there is."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import structlog

from lemo.domain.errors import NotFound
from lemo.domain.scope import Scope
from lemo.recommenders.data.increments import LatestInteractions
from lemo.stores.connect import Stores

log = structlog.get_logger()

Array = np.ndarray[Any, Any]

KIND = "similarity-state"
LONGEST_SECONDS = 24 * 3600
"""After so long all is read again: what no run by changes sees (deleted events, ids sent again with other content)."""


@dataclass(frozen=True, eq=False)
class State:
    """One run's knowledge, for the next."""

    acts: LatestInteractions
    answerable: Array
    """bool (items,): which items may be recommended."""
    content: Array
    """float32 (items, d): the vectors of the first items, zeros where one has none; the others have to be asked for."""
    until_ms: int
    """The moment of the event store's clock from which the next run has to read."""
    since: float
    """Unix seconds of the last run that read all."""
    basis: Mapping[str, Any]
    """What all of it rests on; where that differs, nothing of it holds."""

    def same(self, acts: LatestInteractions, answerable: Array, content: Array) -> bool:
        """Whether these say what this state says, so that all that follows from it holds."""
        arrays = {**acts.to_arrays(), "answerable": answerable, "content": content}
        ours = self.to_arrays()
        return all(np.array_equal(array, ours[name]) for name, array in arrays.items())

    def to_arrays(self) -> dict[str, Array]:
        """What it holds as named arrays."""
        return {**self.acts.to_arrays(), "answerable": self.answerable, "content": self.content}


def kept(stores: Stores, scope: Scope, basis: Mapping[str, Any]) -> State | None:
    """What the last run kept; None where there is nothing, where it rests on something else or is too old."""
    version = stores.snapshots.current(scope, KIND)
    if version is None:
        return None
    try:
        snapshot = stores.snapshots.open(scope, KIND, version)
    except NotFound as error:  # lost or damaged: all events are read again
        log.warning("similarity starts over", scope=str(scope), error=error.message)
        return None
    about = snapshot.manifest
    if about["basis"] != basis or time.time() - about["since"] > LONGEST_SECONDS:
        return None
    acts = LatestInteractions.from_arrays(snapshot.arrays)
    arrays = snapshot.arrays
    return State(acts, arrays["answerable"], arrays["content"], about["until_ms"], about["since"], about["basis"])


def publish(stores: Stores, scope: Scope, version: str, state: State) -> None:
    """Writes a state; `switch` puts it in use."""
    about = {"until_ms": state.until_ms, "since": state.since, "basis": dict(state.basis)}
    stores.snapshots.publish(scope, KIND, version, state.to_arrays(), about)


def switch(stores: Stores, scope: Scope, version: str, fence: int) -> None:
    """Puts a state in use, and deletes all others: one is enough, and they are large."""
    stores.snapshots.point(scope, KIND, version, fence)
    others = {*stores.snapshots.versions(scope, KIND), *stores.snapshots.unfinished(scope, KIND)} - {version}
    for other in sorted(others):
        stores.snapshots.delete(scope, KIND, other)
