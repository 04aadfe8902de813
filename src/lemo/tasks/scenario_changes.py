"""Changing a scenario's rules: stored, and the runs asked for by which what is derived from them follows."""

from typing import Any

from lemo.domain.errors import EngineUnavailable
from lemo.domain.scenario import Scenario
from lemo.domain.scope import Scope
from lemo.scheduling.jobs import JOBS
from lemo.stores.connect import Stores
from lemo.stores.documents.models import KIND
from lemo.tasks.dispatch import dispatch

TAKEN_UP_SECONDS = 10
"""Within this time API and consumer have taken up changed rules: they remember a scenario for five seconds."""
FOLLOWING = ("train-model-daily", "compute-item-similarity-hourly", "update-user-profiles-2hours")
"""Jobs whose results rest on what actions say."""


def change_scenario(stores: Stores, scope: Scope, changes: Any) -> tuple[Scenario, list[str]]:
    """Merges changes into a scenario; returns it, and in sentences when which part of it takes effect.

    Answers go on from the model's own rules, so that a model is asked as it was fitted. Where one serves, the runs that
    bring the new rules to it are sent here. Raises NotFound and InvalidInput.
    """
    before, after = stores.scenarios.edit(scope, changes)
    effects = []
    if before.actions != after.actions:
        effects.append(f"Events are taken in by the new rules within {TAKEN_UP_SECONDS} seconds.")
        effects.append(_follow(stores, scope))
    if before.active_days != after.active_days:
        effects.append("active_days holds from the next update-user-profiles and precompute-recommendations run on.")
    if before.catalogue != after.catalogue:
        stores.availability.ask_rebuild(scope)
        effects.append("catalogue holds as soon as a worker has looked, which is within seconds.")
    return after, effects or ["This was so before; nothing has changed."]


def _follow(stores: Stores, scope: Scope) -> str:
    if stores.snapshots.current(scope, KIND) is None:
        return "Answers follow with the first training."
    try:
        for entry in FOLLOWING:
            # One that waits already will read the new rules.
            if not stores.runs.list(scope.tenant_id, entry, scope.scenario_id, "queued", limit=1):
                dispatch(stores, JOBS[entry], scope, "manual")
    except EngineUnavailable:
        return (
            "Answers follow with the next training: the broker does not answer, so it waits for its schedule,"
            f" or for `lemo jobs run train-model-daily --scenario {scope.scenario_id}`."
        )
    return "Answers follow when training has ended; it and what goes with it is queued: `lemo runs list` shows it."
