"""What serves a scope right now: mapped snapshots, newest items, items to hide. Immutable, replaced whole."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import structlog

from lemo.domain.errors import LemoError
from lemo.domain.scenario import TEMPLATES, ActionRule
from lemo.domain.scope import Scope
from lemo.recommenders.blend import BlendModel
from lemo.recommenders.similar import SimilarItems
from lemo.stores.fresh import Fresh
from lemo.stores.snapshots import Snapshots

log = structlog.get_logger()

LATEST = 1000
"""Newest items that a scope keeps at hand."""
_ANY_RULES = {action: rule for rules in TEMPLATES.values() for action, rule in rules.items()}
_Part = TypeVar("_Part")


@dataclass(frozen=True, slots=True)
class Mapped:
    """A model and its similar items, with the versions of the snapshots they are mapped from."""

    model: BlendModel | None = None
    model_version: str | None = None
    similar: SimilarItems | None = None
    similar_version: str | None = None


@dataclass(frozen=True, slots=True)
class ServingState:
    """Everything that an answer is made of, besides what Redis knows of the user."""

    mapped: Mapped = field(default_factory=Mapped)
    latest: tuple[str, ...] = ()
    """Newest items first."""
    hidden: frozenset[str] = frozenset()
    """Items that are not to be recommended."""
    complete: bool = False
    """Whether every part could be read when last asked; else parts are older, or missing."""

    @property
    def rules(self) -> Mapping[str, ActionRule]:
        """What actions mean: the model's rules, before there is a model those of the templates."""
        return self.mapped.model.rules if self.mapped.model is not None else _ANY_RULES


def load_state(scope: Scope, snapshots: Snapshots, fresh: Fresh, before: ServingState) -> ServingState:
    """The newest state; a part that cannot be read now stays as it was `before`."""
    mapped, mapped_well = _read(scope, "snapshots", lambda: load_mapped(scope, snapshots, before.mapped), before.mapped)
    items, read_well = _read(
        scope,
        "newest items",
        lambda: (tuple(fresh.latest(scope, LATEST)), frozenset(fresh.inactive(scope))),
        (before.latest, before.hidden),
    )
    return ServingState(mapped, items[0], items[1], complete=mapped_well and read_well)


def load_mapped(scope: Scope, snapshots: Snapshots, before: Mapped) -> Mapped:
    """The snapshots that the pointers name; one that `before` has mapped already is not opened again."""
    model, model_version = before.model, snapshots.current(scope, "model")
    if model_version != before.model_version or model is None:
        model = None
        if model_version is not None:
            opened = snapshots.open(scope, "model", model_version)
            model = BlendModel.from_arrays(opened.arrays, opened.manifest)
    similar, similar_version = before.similar, snapshots.current(scope, "similar")
    if similar_version != before.similar_version or similar is None:
        similar = None
        if similar_version is not None:
            opened = snapshots.open(scope, "similar", similar_version)
            similar = SimilarItems.from_arrays(opened.arrays, opened.manifest)
    if model is before.model and similar is before.similar:
        return before
    log.info("mapped snapshots", scope=str(scope), model=model_version, similar=similar_version)
    return Mapped(model, model_version, similar, similar_version)


def _read(scope: Scope, what: str, read: Callable[[], _Part], otherwise: _Part) -> tuple[_Part, bool]:
    try:
        return read(), True
    except (LemoError, OSError, ValueError, KeyError) as error:
        # Also a snapshot that cannot be read: what was mapped before goes on serving.
        log.warning("keeping what was loaded before", scope=str(scope), part=what, error=str(error))
        return otherwise, False
