"""State of the similarity job, kept from one run to the next: a run costs by the changes, not by all events."""

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
from lemo.stores.objects.snapshots import SIMILARITY_STATE

log = structlog.get_logger()

Array = np.ndarray[Any, Any]

KIND = SIMILARITY_STATE
FULL_RUN_SECONDS = 24 * 3600
"""All is read again after this time. Incremental runs miss deleted events, and ids sent again with other content."""


@dataclass(frozen=True, eq=False)
class State:
    """The state that a run leaves for the next."""

    interactions: LatestInteractions
    recommendable: Array
    """bool (items,): which items may be recommended."""
    content: Array
    """float32 (items, d): vectors of the first items, zeros where one has none. The other vectors are not read yet."""
    until_ms: int
    """Time of the event store from which the next run must read."""
    since: float
    """Unix seconds of the last full run."""
    cache_key: Mapping[str, Any]
    """Everything that the state depends on. With another key, the state is not used."""

    def same(self, interactions: LatestInteractions, recommendable: Array, content: Array) -> bool:
        """Whether the inputs equal this state's, so that its results are current."""
        arrays = {**interactions.to_arrays(), "answerable": recommendable, "content": content}
        ours = self.to_arrays()
        return all(np.array_equal(array, ours[name]) for name, array in arrays.items())

    def to_arrays(self) -> dict[str, Array]:
        """The state as named arrays."""
        return {**self.interactions.to_arrays(), "answerable": self.recommendable, "content": self.content}


def load_state(stores: Stores, scope: Scope, cache_key: Mapping[str, Any]) -> State | None:
    """The state of the last run; None where there is none, or it has another key or is too old."""
    version = stores.snapshots.current(scope, KIND)
    if version is None:
        return None
    try:
        snapshot = stores.snapshots.open(scope, KIND, version)
    except NotFound as error:  # lost or damaged
        log.warning("similarity starts over", scope=str(scope), error=error.message)
        return None
    about = snapshot.manifest
    if about["basis"] != cache_key or time.time() - about["since"] > FULL_RUN_SECONDS:
        return None
    interactions = LatestInteractions.from_arrays(snapshot.arrays)
    arrays = snapshot.arrays
    return State(
        interactions, arrays["answerable"], arrays["content"], about["until_ms"], about["since"], about["basis"]
    )


def publish_state(stores: Stores, scope: Scope, version: str, state: State) -> None:
    """Publishes a state. `activate_state` makes the next run use it."""
    about = {"until_ms": state.until_ms, "since": state.since, "basis": dict(state.cache_key)}
    stores.snapshots.publish(scope, KIND, version, state.to_arrays(), about)


def activate_state(stores: Stores, scope: Scope, version: str, fence: int) -> None:
    """Makes the next run use a state, and deletes all others, which are large."""
    stores.snapshots.point(scope, KIND, version, fence)
    others = {*stores.snapshots.versions(scope, KIND), *stores.snapshots.unfinished(scope, KIND)} - {version}
    for other in sorted(others):
        stores.snapshots.delete(scope, KIND, other)
