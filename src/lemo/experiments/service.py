"""What people and guardrails do with experiments: make, start, change, stop and ship them, and take back."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from pydantic import ValidationError

from lemo.domain.errors import Conflict, InvalidInput, NotFound
from lemo.domain.experiment import Experiment, ExperimentArm, ExperimentDraft, draft_of, free_slice
from lemo.domain.merge_patch import merged
from lemo.domain.pipeline import Pipeline, pipeline_of
from lemo.domain.reasons import reason
from lemo.domain.scope import Scope
from lemo.experiments.plan import plan_of
from lemo.models import promotion
from lemo.statistics.sequential import TIGHTEST_AT
from lemo.stores.connect import Stores
from lemo.stores.documents.experiments import Action

WHILE_IT_RUNS = ("why", "ramp", "guardrails")
"""What may be changed of an experiment that runs; anything else would move units, or make its intervals wrong."""

Check = Callable[[Pipeline], None]
"""Raises InvalidInput for a pipeline that does not fit the catalogue."""


def create(stores: Stores, scope: Scope, draft: ExperimentDraft, by: str, check: Check) -> Experiment:
    """Makes an experiment, which does not run yet. Pipelines that its arms hold become versions on trial.

    Raises Conflict for a name that is taken, NotFound for a version that there is not, and InvalidInput.
    """
    number = stores.experiments.number(scope)
    if any(each.name == draft.name for each in stores.experiments.list(scope)):
        raise Conflict(f"There is an experiment {draft.name!r} already.", "Choose another name.")
    pipelines = {arm.name: pipeline_of(arm.pipeline) for arm in draft.arms if arm.pipeline is not None}
    for pipeline in pipelines.values():
        check(pipeline)
    for arm in draft.arms:
        _check_versions(stores, scope, arm.pipeline_version, arm.model_version)
    arms = []
    for arm in draft.arms:
        version = arm.pipeline_version
        if arm.name in pipelines:
            why = f"on trial: arm {arm.name} of experiment {draft.name}"
            version = stores.pipelines.put_on_trial(scope, pipelines[arm.name], by, why).version
        arms.append(
            ExperimentArm(name=arm.name, weight=arm.weight, pipeline_version=version, model_version=arm.model_version)
        )
    experiment = Experiment(
        **draft.model_dump(exclude={"arms", "salt"}),
        arms=tuple(arms),
        salt=draft.salt or uuid4().hex,
        created_at=datetime.now(UTC),
        created_by=by,
    )
    return stores.experiments.put(scope, experiment, "create", by, number).experiment


def start(stores: Stores, scope: Scope, name: str, by: str, at: datetime | None = None) -> Experiment:
    """Lets an experiment run: it takes its part of the group, and its plan is made. It is served within a second.

    `at`: when it began, where its answers came into the log before the experiment did; now by default.
    Raises Conflict for one that is no draft, or where its group has no room; NotFound and EngineUnavailable.
    """
    number, experiment = _read(stores, scope, name)
    if experiment.state != "draft":
        raise Conflict(
            f"The experiment {name} is {experiment.state}, and starts only once.",
            "Make another one: `lemo experiments create`; its arms are independent of this one's.",
        )
    for arm in experiment.arms:
        _check_versions(stores, scope, arm.pipeline_version, arm.model_version)
    taken = {each.name: each.slice for each in stores.experiments.running(scope) if each.slice is not None}
    try:
        part = free_slice(experiment.group, experiment.share, taken)
    except InvalidInput as error:
        raise Conflict(error.message, error.hint) from error
    started = at or datetime.now(UTC)
    plan = plan_of(stores, scope, experiment, started)
    return _put(
        stores,
        scope,
        experiment,
        "start",
        by,
        number,
        state="running",
        slice=part,
        started_at=started,
        planned_units=plan.units if plan is not None else None,
        tightest_at=plan.units_of_two if plan is not None else TIGHTEST_AT,
    )


def edit(stores: Stores, scope: Scope, name: str, changes: Mapping[str, Any], by: str) -> Experiment:
    """Changes what an experiment says (RFC 7396): of a draft everything but its name and arms, of one that runs little.

    Raises InvalidInput, NotFound, and Conflict for what may not be changed any more.
    """
    number, experiment = _read(stores, scope, name)
    allowed = [each for each in ExperimentDraft.model_fields if each not in ("name", "arms", "salt")]
    if experiment.state == "running":
        allowed = list(WHILE_IT_RUNS)
    elif experiment.state != "draft":
        allowed = ["why"]
    strange = [each for each in changes if each not in allowed]
    if strange:
        raise (Conflict if strange[0] in ExperimentDraft.model_fields else InvalidInput)(
            f"{strange[0][:100]} cannot be changed of an experiment that is {experiment.state}.",
            f"What can be: {', '.join(allowed)}.",
        )
    try:
        changed = Experiment.model_validate(merged(experiment.model_dump(mode="json"), dict(changes)))
    except ValidationError as error:
        raise InvalidInput(f"{reason(error)}.", f"What can be changed: {', '.join(allowed)}.") from error
    if experiment.state == "running" and changed.ramp < experiment.ramp:
        raise Conflict(
            f"The ramp is {experiment.ramp:g}, and may only grow: units that leave their arm make the result wrong.",
            "Stop the experiment if it does harm.",
        )
    return stores.experiments.put(scope, changed, "edit", by, number, _in_words(changes)).experiment


def stop(stores: Stores, scope: Scope, name: str, by: str, why: str = "", arm: str | None = None) -> Experiment:
    """Stops an experiment, or one arm of it; who was in it gets what is in service, within a second.

    An experiment that has no other arm than the control then ends. Raises Conflict for one that has ended already,
    InvalidInput for an arm that there is not, and NotFound.
    """
    number, experiment = _read(stores, scope, name)
    now = datetime.now(UTC)
    if experiment.state not in ("draft", "running"):
        raise Conflict(f"The experiment {name} is {experiment.state} already.", "`lemo experiments show` tells more.")
    if arm is None:
        return _put(stores, scope, experiment, "stop", by, number, why, state="stopped", ended_at=now, ended_why=why)
    found = experiment.arm(arm)
    if found is experiment.control:
        raise InvalidInput(f"{arm} is the control, which the others are compared with.", "Stop the whole experiment.")
    if found.stopped_at is not None:
        raise Conflict(f"The arm {arm} is stopped already: {found.stopped_why}", "`lemo experiments show` tells more.")
    stopped = found.model_copy(update={"stopped_at": now, "stopped_why": why})
    arms = tuple(stopped if each is found else each for each in experiment.arms)
    words = f"arm {arm}: {why}" if why else f"arm {arm}"
    if all(each.stopped_at is not None for each in arms[1:]):
        ended = {"state": "stopped", "ended_at": now, "ended_why": words}
        return _put(stores, scope, experiment, "stop-arm", by, number, words, arms=arms, **ended)
    return _put(stores, scope, experiment, "stop-arm", by, number, words, arms=arms)


def ship(stores: Stores, scope: Scope, name: str, arm: str, by: str) -> Experiment:
    """Puts an arm's pipeline and model in service for everybody, and ends the experiment.

    Raises InvalidInput for an arm that has neither, Conflict for a draft or one that is shipped, and NotFound.
    """
    number, experiment = _read(stores, scope, name)
    if experiment.state not in ("running", "stopped"):
        raise Conflict(f"The experiment {name} is {experiment.state}.", "One that runs or was stopped can be shipped.")
    found = experiment.arm(arm)
    if found.pipeline_version is None and found.model_version is None:
        raise InvalidInput(
            f"The arm {arm} is what is in service already.", f"`lemo experiments stop {name}` ends the experiment."
        )
    _check_versions(stores, scope, found.pipeline_version, found.model_version)
    why = f"experiment {name}, arm {arm}"
    pipeline_version = model_version = None
    if found.pipeline_version is not None:
        serving = stores.pipelines.current(scope)
        pipeline = stores.pipelines.get(scope, found.pipeline_version).pipeline
        if pipeline != serving.pipeline:
            pipeline_version = stores.pipelines.put(scope, pipeline, by, why, after=serving.version).version
    if found.model_version is not None and promotion.promote(stores, scope, found.model_version, f"{by}, {why}"):
        model_version = found.model_version
    ended = {} if experiment.state == "stopped" else {"ended_at": datetime.now(UTC), "ended_why": f"shipped {arm}"}
    return _put(
        stores,
        scope,
        experiment,
        "ship",
        by,
        number,
        f"arm {arm}",
        state="shipped",
        shipped_arm=arm,
        shipped_pipeline_version=pipeline_version,
        shipped_model_version=model_version,
        **ended,
    )


def take_back(stores: Stores, scope: Scope, name: str, by: str) -> Experiment:
    """Puts back what was in service before an arm was shipped; the experiment is a stopped one again.

    Raises Conflict for one that is not shipped, or where something else was put in service since.
    """
    number, experiment = _read(stores, scope, name)
    if experiment.state != "shipped":
        raise Conflict(f"The experiment {name} is {experiment.state}.", "Only one that was shipped is taken back.")
    pipeline, model = experiment.shipped_pipeline_version, experiment.shipped_model_version
    if pipeline is not None and stores.pipelines.current(scope).version != pipeline:
        raise Conflict(
            "Another pipeline was put in service since.", "`lemo pipeline rollback --to VERSION` puts back any version."
        )
    if model is not None and stores.snapshots.current(scope, "model") != model:
        raise Conflict("Another model was put in service since.", "`lemo models promote VERSION` puts back any model.")
    if pipeline is not None:
        stores.pipelines.roll_back(scope, by)
    if model is not None:
        promotion.rollback(stores, scope, by)
    cleared: dict[str, Any] = {"shipped_arm": None, "shipped_pipeline_version": None, "shipped_model_version": None}
    return _put(stores, scope, experiment, "take-back", by, number, state="stopped", **cleared)


def draft(content: Any) -> ExperimentDraft:
    """An experiment from JSON values; raises InvalidInput, also for a pipeline within it."""
    found = draft_of(content)
    for arm in found.arms:
        if arm.pipeline is not None:
            pipeline_of(arm.pipeline)
    return found


def _read(stores: Stores, scope: Scope, name: str) -> tuple[int, Experiment]:
    # The number first: what changes between the two makes the change that follows a conflict.
    number = stores.experiments.number(scope)
    return number, stores.experiments.get(scope, name)


def _put(
    stores: Stores,
    scope: Scope,
    experiment: Experiment,
    action: Action,
    by: str,
    number: int,
    why: str = "",
    **changes: Any,
) -> Experiment:
    changed = experiment.model_copy(update=changes)
    return stores.experiments.put(scope, changed, action, by, number, why).experiment


def _check_versions(stores: Stores, scope: Scope, pipeline: int | None, model: str | None) -> None:
    if pipeline is not None:
        stores.pipelines.get(scope, pipeline)
    if model is not None and model not in stores.snapshots.versions(scope, "model"):
        raise NotFound(
            f"There is no model {model[:100]!r} of {scope.scenario_id!r}, or its snapshot was dropped.",
            "`lemo models list` shows those there are.",
        )


def _in_words(changes: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in changes.items())[:1_000]
