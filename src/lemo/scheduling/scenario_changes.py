"""Changes a scenario's rules, and starts the runs that apply them to what is derived from the rules."""

from typing import Any

from lemo.domain.counting import counting_rules
from lemo.domain.errors import EngineUnavailable
from lemo.domain.scenario import Scenario, edited
from lemo.domain.scope import Scope
from lemo.recommenders.registry import require_sources
from lemo.scheduling.dispatch import dispatch
from lemo.scheduling.jobs import JOBS
from lemo.stores.connect import Stores
from lemo.stores.documents.models import KIND

APPLIED_SECONDS = 10
"""Longest time until the API and the consumer apply changed rules. They cache a scenario for five seconds."""
DEPENDENT_JOBS = ("train-model-daily", "compute-item-similarity-hourly", "update-user-profiles-2hours")
"""Jobs whose results depend on the rules of actions."""
AFTER_TRAINING = ("new_days", "exploration", "sources")
"""Fields that training reads, and whose change starts none."""


def change_scenario(stores: Stores, scope: Scope, changes: Any, by: str) -> tuple[Scenario, list[str]]:
    """Merges changes into a scenario. Returns it, and sentences that say when each change takes effect.

    A model in service keeps the rules that it was fitted with. The runs that fit a new one are sent here. Raises
    NotFound and InvalidInput. `by` is who changes it, for the audit log.
    """
    known = stores.scenarios.get(scope)
    # A source whose package was removed since stays as it is when something else is changed.
    require_sources(name for name in edited(known, changes).sources if name not in known.sources)
    with stores.audit.noting(scope, by, "scenario.edit", scope.scenario_id, changes=changes):
        before, after = stores.scenarios.edit(scope, changes)
    effects = []
    if before.actions != after.actions:
        effects.append(f"Events are taken in by the new rules within {APPLIED_SECONDS} seconds.")
        effects.append(_start_dependent_jobs(stores, scope))
    if counting_rules(before) != counting_rules(after):
        effects.append(_count_anew(stores, scope))
    if before.active_days != after.active_days:
        effects.append("active_days holds from the next update-user-profiles and precompute-recommendations run on.")
    if before.catalogue != after.catalogue:
        stores.availability.ask_rebuild(scope)
        effects.append("catalogue holds as soon as a worker has looked, which is within seconds.")
    if before.attribute_types != after.attribute_types:
        effects.append("attribute_types hold for filters within seconds.")
    if before.mappings != after.mappings:
        effects.append("mappings hold from the next `lemo import --mapping NAME` on.")
    after_training = [name for name in AFTER_TRAINING if getattr(before, name) != getattr(after, name)]
    if after_training:
        names, hold = " and ".join(after_training), "holds" if len(after_training) == 1 else "hold"
        now = f"now: `lemo jobs run train-model-daily --scenario {scope.scenario_id}`"
        effects.append(f"{names} {hold} from the next training on; {now}.")
    return after, effects or ["This was so before; nothing has changed."]


def _count_anew(stores: Stores, scope: Scope) -> str:
    try:
        stores.events.migrate()  # where no consumer ever ran, there are no tables
        stores.aggregates.recount(scope)
    except EngineUnavailable:
        return "Analytics hold the new rules at once, and are slow until the next cleanup: ClickHouse does not answer."
    return "Analytics hold the new rules at once, and are slower for minutes, until a consumer has counted by them."


def _start_dependent_jobs(stores: Stores, scope: Scope) -> str:
    if stores.snapshots.current(scope, KIND) is None:
        return "Answers follow with the first training."
    try:
        for entry in DEPENDENT_JOBS:
            # A run that is queued already will read the new rules.
            if not stores.runs.list(scope.tenant_id, entry, scope.scenario_id, "queued", limit=1):
                dispatch(stores, JOBS[entry], scope, "manual")
    except EngineUnavailable:
        return (
            "Answers follow with the next training: the broker does not answer, so it waits for its schedule,"
            f" or for `lemo jobs run train-model-daily --scenario {scope.scenario_id}`."
        )
    return "Answers follow when training has ended; it and what goes with it is queued: `lemo runs list` shows it."
