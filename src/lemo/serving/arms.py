"""The arms of the running experiments of a scenario, with all that they need mapped before anybody gets one."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import NamedTuple

import structlog

from lemo.domain.errors import NotFound, Outdated
from lemo.domain.experiment import AnswerKind, Assigner, Experiment, ExperimentArm
from lemo.domain.pipeline import PipelineVersion
from lemo.domain.scope import Scope
from lemo.recommenders.hybrid.hybrid import HybridRecommender
from lemo.serving.state import ServingState, read_model, with_model
from lemo.stores.documents.experiments import Experiments
from lemo.stores.documents.pipelines import Pipelines
from lemo.stores.objects.snapshots import Snapshots

log = structlog.get_logger()


class ServingArm:
    """An arm whose units are answered: its names, and what it has in place of what is in service. Safe for threads."""

    def __init__(
        self,
        experiment: str,
        arm: str,
        pipeline: PipelineVersion | None,
        model: HybridRecommender | None,
        model_version: str | None,
        against: "ServingArm | None" = None,
    ) -> None:
        self.experiment = experiment
        self.arm = arm
        self.pipeline = pipeline
        self.model = model
        self.model_version = model_version
        self.against = against
        """Of the control of an interleaving the other arm, whose list is mixed in; None elsewhere."""
        self._made: tuple[ServingState, ServingState] | None = None

    @property
    def named(self) -> str | None:
        """What an answer names as its arm; None for one of both arms of an interleaving."""
        return self.arm if self.against is None else None

    def state(self, serving: ServingState) -> ServingState:
        """What is in service with the arm's model in place of the champion."""
        if self.model is None or self.model_version is None:
            return serving
        made = self._made
        if made is None or made[0] is not serving:
            made = self._made = serving, with_model(serving, self.model, self.model_version)
        return made[1]


class _Running(NamedTuple):
    """An experiment with its arms by name; those that were stopped are absent."""

    assign: Assigner
    arms: dict[str, ServingArm]
    answers: tuple[AnswerKind, ...]


class RunningExperiments:
    """The experiments of a scenario that run. Immutable, replaced as a whole."""

    def __init__(
        self,
        read: tuple[int, datetime] | None = None,
        running: tuple[_Running, ...] = (),
        models: Mapping[str, HybridRecommender] | None = None,
    ) -> None:
        self.read = read
        """Number and time of the newest change when they were read; None without one."""
        self.models = models or {}
        """The mapped models of arms by version."""
        self._running = running

    def arm_of(self, answer: AnswerKind, user_id: str | None, session_id: str | None) -> ServingArm | None:
        """The arm of a request: that of the experiment that started first, of those that have the unit.

        Of an interleaving it is the control, which names the other arm.
        """
        for running in self._running:
            if answer not in running.answers:
                continue
            name = running.assign(user_id, session_id)
            if name is not None:
                return running.arms.get(name)
        return None

    def __bool__(self) -> bool:
        return bool(self._running)


NO_EXPERIMENTS = RunningExperiments()


class ArmLoader:
    """Reads the running experiments of scenarios with the pipelines and models of their arms."""

    def __init__(self, experiments: Experiments, pipelines: Pipelines, snapshots: Callable[[], Snapshots]) -> None:
        self._experiments = experiments
        self._pipelines = pipelines
        self._snapshots = snapshots

    def load(self, scope: Scope, before: RunningExperiments) -> RunningExperiments:
        """The experiments that run now; `before` itself where nothing has changed since.

        An experiment of which an arm cannot be served is left out and told: all of its units get what is in service,
        so that no arm loses units that others keep. Raises EngineUnavailable.
        """
        newest = next(iter(self._experiments.changes(scope, limit=1)), None)
        read = (newest.number, newest.changed_at) if newest is not None else None
        if read == before.read:
            return before
        models: dict[str, HybridRecommender] = {}
        running = []
        for experiment in self._experiments.running(scope) if newest is not None else ():
            try:
                arms = self._arms(scope, experiment, before, models)
            except (NotFound, Outdated) as error:
                log.error("an experiment is not served", scope=str(scope), experiment=experiment.name, error=str(error))
                continue
            running.append(_Running(Assigner(experiment), arms, experiment.answers))
        return RunningExperiments(read, tuple(running), models)

    def _arms(
        self,
        scope: Scope,
        experiment: Experiment,
        before: RunningExperiments,
        models: dict[str, HybridRecommender],
    ) -> dict[str, ServingArm]:
        """The arms that answer, by name; of an interleaving both names stand for the control with the other arm."""
        arms = {arm.name: self._arm(scope, experiment.name, arm, before, models) for arm in experiment.active}
        if experiment.kind == "interleaving":
            control, other = arms.values()
            control.against = other
            return dict.fromkeys(arms, control)
        return arms

    def _arm(
        self,
        scope: Scope,
        experiment: str,
        arm: ExperimentArm,
        before: RunningExperiments,
        models: dict[str, HybridRecommender],
    ) -> ServingArm:
        pipeline = None if arm.pipeline_version is None else self._pipelines.get(scope, arm.pipeline_version)
        version, model = arm.model_version, None
        if version is not None:
            model = models.get(version) or before.models.get(version) or read_model(scope, self._snapshots(), version)
            models[version] = model
        return ServingArm(experiment, arm.name, pipeline, model, version)
