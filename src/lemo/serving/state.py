"""The serving state of a scope: mapped snapshots and availability of items. Immutable, replaced as a whole."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar, get_args

import structlog

from lemo.domain.availability import Availability
from lemo.domain.errors import EngineUnavailable, LemoError, NotFound, Outdated
from lemo.domain.newness import Arrival
from lemo.domain.scenario import TEMPLATES, ActionRule
from lemo.domain.scope import Scope
from lemo.recommenders.hybrid.hybrid import HybridRecommender
from lemo.recommenders.registry import MissingSource
from lemo.recommenders.similar_items import SimilarItems
from lemo.stores.objects.snapshots import Snapshots
from lemo.stores.redis.availability import AvailabilitySets

log = structlog.get_logger()

Part = Literal["model", "similar items", "newest items"]
"""Parts of a state, which are loaded independently."""
PARTS: tuple[Part, ...] = get_args(Part)
LAST_ANSWERS = "Until then users get the last answers that were computed for them, and the newest items."
_ANY_RULES = {action: rule for rules in TEMPLATES.values() for action, rule in rules.items()}
_Part = TypeVar("_Part")


class Incomplete(EngineUnavailable):
    """Redis was emptied, and the availability of items is not rebuilt yet."""

    def __init__(self) -> None:
        super().__init__(
            "Redis was emptied, and which items may be shown is not read from the documents again yet.",
            "A worker does that within seconds: `lemo doctor` shows whether one runs.",
        )


@dataclass(frozen=True, slots=True, eq=False)
class Mapped:
    """A model and similar items, with the versions of their snapshots.

    Compare the versions: two instances are never equal (`eq=False`), because their arrays are large.
    """

    model: HybridRecommender | None = None
    model_version: str | None = None
    similar: SimilarItems | None = None
    similar_version: str | None = None

    @property
    def versions(self) -> tuple[str | None, str | None]:
        """The versions of the snapshots of model and similar items."""
        return self.model_version, self.similar_version


@dataclass(frozen=True, slots=True, eq=False)
class ServingState:
    """Everything that an answer depends on, besides the state of the user."""

    mapped: Mapped = field(default_factory=Mapped)
    availability: Availability = field(default_factory=Availability)
    """The availability of items, and the newest items."""
    new: tuple[str, ...] = ()
    """New items (domain/newness.py); some of them may be unavailable."""
    complete: bool = False
    """Whether the last load read every part. Otherwise parts are older, or missing."""
    faults: Mapping[Part, Exception] = field(default_factory=dict)
    """The errors of the parts that could not be read."""
    read_at: Mapping[Part, float] = field(default_factory=dict)
    """When each part was last read (monotonic seconds). A part that was never read is absent."""

    def as_of(self, *parts: Part) -> float:
        """When the oldest of the parts was read (monotonic seconds); minus infinity where one was never read."""
        return min(self.read_at.get(part, -math.inf) for part in parts)

    @property
    def latest(self) -> tuple[str, ...]:
        """The newest items, newest first; some of them may be unavailable."""
        return self.availability.newest

    @property
    def unavailable(self) -> frozenset[str]:
        """Items that must not be recommended now."""
        return self.availability.unavailable()

    @property
    def exploration(self) -> float:
        """Share of the positions of a non-personal answer that go to new items."""
        return self.mapped.model.newness.share if self.mapped.model is not None else 0.0

    @property
    def rules(self) -> Mapping[str, ActionRule]:
        """The rules of actions: those of the model, or of the templates before the first model."""
        return self.mapped.model.rules if self.mapped.model is not None else _ANY_RULES


def load_state(
    scope: Scope, snapshots: Snapshots, sets: AvailabilitySets, before: ServingState, snapshot_seconds: float = 0.0
) -> ServingState:
    """Loads the newest state. A part that cannot be read now is taken from `before`.

    Pointers to snapshots, which may stand in S3, are not read again within `snapshot_seconds`.
    """
    faults: dict[Part, Exception] = {}
    read_at = dict(before.read_at)

    def read(part: Part, load: Callable[[], _Part], fallback: _Part) -> _Part:
        started = time.monotonic()
        recent = started - read_at.get(part, -math.inf) < snapshot_seconds
        if part != "newest items" and recent and part not in before.faults:
            return fallback
        try:
            loaded = load()
        except (LemoError, OSError, ValueError, KeyError) as error:
            faults[part] = error
            if str(error) != str(before.faults.get(part)):  # it is loaded again all the time
                log.warning("keeping what was loaded before", scope=str(scope), part=part, error=str(error))
            return fallback
        read_at[part] = started
        return loaded

    previous = before.mapped
    model = previous.model, previous.model_version
    model = read("model", lambda: _current(scope, snapshots, "model", model, read_model), model)
    similar = previous.similar, previous.similar_version
    similar = read("similar items", lambda: _current(scope, snapshots, "similar", similar, _read_similar), similar)
    availability = read("newest items", lambda: sets.read(scope, before.availability), before.availability)
    if not availability.whole and "newest items" not in faults:
        faults["newest items"] = Incomplete()
        read_at.pop("newest items", None)
        if before.availability.whole:
            availability = before.availability
            read_at["newest items"] = before.read_at["newest items"]
    mapped = Mapped(*model, *similar)
    if mapped.versions != previous.versions:
        log.info("mapped snapshots", scope=str(scope), model=mapped.model_version, similar=mapped.similar_version)
    new = _new_items(mapped, availability.arrivals)
    return ServingState(mapped, availability, new, complete=not faults, faults=faults, read_at=read_at)


def with_model(state: ServingState, model: HybridRecommender, version: str) -> ServingState:
    """The state as if another model were in service."""
    mapped = replace(state.mapped, model=model, model_version=version)
    return replace(state, mapped=mapped, new=_new_items(mapped, state.availability.arrivals))


def _new_items(mapped: Mapped, arrivals: Sequence[Arrival]) -> tuple[str, ...]:
    """The items that are new at the end of the model's activity. Time without activity makes no item older."""
    if mapped.model is None:
        return ()
    compared = len(mapped.similar.item_ids) if mapped.similar is not None else 0
    catalogue = max(len(arrivals), len(mapped.model.item_ids), compared)
    return mapped.model.newness.new_items(arrivals, catalogue, mapped.model.timeline.now)


def read_model(scope: Scope, snapshots: Snapshots, version: str) -> HybridRecommender:
    """Maps the model of a snapshot; raises NotFound, and Outdated where this installation cannot read it."""
    opened = snapshots.open(scope, "model", version)
    try:
        return HybridRecommender.from_arrays(opened.arrays, opened.manifest)
    except MissingSource as error:
        raise Outdated(
            f"The model {version} of {scope} cannot be used: {error.message}",
            "Install the package that brings the source and start Lemo again, or train a model without it:"
            f" `lemo jobs run train-model-daily`. {LAST_ANSWERS}",
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise Outdated(
            f"The model {version} of {scope} was written by a version of Lemo that this one cannot read"
            f" ({type(error).__name__}: {str(error).splitlines()[0]}).",
            f"Train a new one: `lemo jobs run train-model-daily`. {LAST_ANSWERS}",
        ) from error


def _read_similar(scope: Scope, snapshots: Snapshots, version: str) -> SimilarItems:
    opened = snapshots.open(scope, "similar", version)
    return SimilarItems.from_arrays(opened.arrays, opened.manifest)


def _current(
    scope: Scope,
    snapshots: Snapshots,
    kind: str,
    before: tuple[_Part | None, str | None],
    read: Callable[[Scope, Snapshots, str], _Part],
) -> tuple[_Part | None, str | None]:
    """The snapshot that the pointer names, and its version. A snapshot that is mapped already is not opened again."""
    version = snapshots.current(scope, kind)
    if version is None or (before[0] is not None and version == before[1]):
        return before if version is not None else (None, None)
    try:
        return read(scope, snapshots, version), version
    except NotFound as error:  # lost or damaged
        if before[0] is not None:
            raise
        for former in reversed([each for each in snapshots.versions(scope, kind) if each < version]):
            with suppress(NotFound, Outdated):
                found = read(scope, snapshots, former)
                log.warning("an older snapshot serves", scope=str(scope), kind=kind, version=former, error=str(error))
                return found, former
        raise
