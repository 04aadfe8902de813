"""The model in service as a training run meets it: can it be read, what are its parameters, is it out of date."""

from dataclasses import dataclass

from pydantic import ValidationError

from lemo.domain.errors import NotFound, Outdated
from lemo.domain.scenario import Scenario
from lemo.domain.scope import Scope
from lemo.domain.time import from_milliseconds
from lemo.recommenders.data.interactions import Interactions
from lemo.recommenders.hybrid.hybrid import HybridConfig, HybridRecommender
from lemo.serving.state import read_model
from lemo.stores.connect import Stores
from lemo.stores.documents.models import KIND


@dataclass(frozen=True, slots=True)
class Champion:
    """The version in service."""

    version: str
    readable: bool
    """Whether this version of Lemo can serve it."""
    config: HybridConfig | None
    """Its parameters; None where this version of Lemo cannot read them."""
    refresh_of: str
    """The version whose parameters to fit again, as its events or rules are old; else empty."""


def champion_of(stores: Stores, scope: Scope, scenario: Scenario, interactions: Interactions) -> Champion | None:
    """The model in service beside the events of now; None where none is."""
    version = stores.snapshots.current(scope, KIND)
    if version is None:
        return None
    try:
        model = read_model(scope, stores.snapshots, version)
    except (NotFound, Outdated):
        return Champion(version, False, config_of(stores, scope, version), version)
    refresh_of = _outdated(stores, scope, scenario, version, model, interactions)
    return Champion(version, True, config_of(stores, scope, version), refresh_of)


def config_of(stores: Stores, scope: Scope, version: str) -> HybridConfig | None:
    """The configuration of a version, from its snapshot or its record; None where this Lemo cannot read it."""
    try:
        try:
            stored = stores.snapshots.open(scope, KIND, version).manifest["config"]
        except NotFound:
            stored = stores.models.get(scope, version).config
        return HybridConfig.model_validate(stored)
    except (NotFound, KeyError, ValidationError):
        return None


def judged_of(stores: Stores, scope: Scope, version: str) -> HybridConfig | None:
    """The configuration to compare a version by: the one that was judged, which has not seen the test."""
    try:
        judged = stores.models.get(scope, version).judged
        return config_of(stores, scope, version) if judged is None else HybridConfig.model_validate(judged)
    except (NotFound, ValidationError):
        return config_of(stores, scope, version)


def _outdated(
    stores: Stores, scope: Scope, scenario: Scenario, version: str, model: HybridRecommender, interactions: Interactions
) -> str:
    """The version whose parameters to fit again, where a model's events or rules are old; else empty."""
    try:
        record = stores.models.get(scope, version)
    except NotFound:
        return version
    same_events = (record.events, record.last_event_at) == (len(interactions), from_milliseconds(interactions.newest))
    same_rules = (model.rules, model.newness) == (scenario.actions, scenario.newness)
    return "" if same_events and same_rules else record.refresh_of or version
