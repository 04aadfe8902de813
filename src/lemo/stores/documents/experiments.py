"""Experiments of scenarios: every change is a document, numbered through the scenario, and the newest one holds.

A change of a number that somebody else has taken is refused, so that two starts never take the same units. Serving asks
for the newest number alone until it changes.
"""

from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel

from lemo.domain.errors import Conflict, NotFound
from lemo.domain.experiment import Experiment
from lemo.domain.reasons import did_you_mean, shortened
from lemo.domain.scope import Scope
from lemo.stores.documents import EXPERIMENT_CHANGES, Documents
from lemo.stores.documents.bodies import body_of

MOST_CHANGES = 100_000
Action = Literal["create", "edit", "start", "stop-arm", "stop", "ship", "take-back"]


class ExperimentChange(BaseModel):
    """What somebody did with an experiment, and the experiment afterwards."""

    number: int
    """Counted through all experiments of the scenario, from 1."""
    name: str
    action: Action
    changed_at: datetime
    changed_by: str
    why: str = ""
    experiment: Experiment


class Experiments:
    """Reads and changes experiments. Every call raises EngineUnavailable when the documents do not answer."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def number(self, scope: Scope) -> int:
        """The number of the scenario's newest change; 0 without one."""
        return next((change.number for change in self.changes(scope, limit=1)), 0)

    def running(self, scope: Scope) -> list[Experiment]:
        """Those that run, the one that started first at first: it has the first say on whose arm a unit is in."""
        found = [each for each in self.list(scope) if each.state == "running" and each.started_at is not None]
        return sorted(found, key=lambda each: (each.started_at, each.name))

    def get(self, scope: Scope, name: str) -> Experiment:
        """The experiment of a name; raises NotFound, which names similar ones."""
        changes = self.changes(scope, name, 1)
        if not changes:
            near = did_you_mean(name, {each.name for each in self.list(scope)})
            raise NotFound(
                f"There is no experiment {shortened(name)} in {scope.scenario_id!r}.",
                f"{near}`lemo experiments list` shows those there are.",
            )
        return changes[0].experiment

    def changes(self, scope: Scope, name: str | None = None, limit: int = MOST_CHANGES) -> list[ExperimentChange]:
        """The changes, newest first."""
        where = None if name is None else {"name": name}
        found = self._documents.find(EXPERIMENT_CHANGES, scope, where, order="-number", limit=limit)
        return [ExperimentChange.model_validate(body) for _, body in found]

    def put(
        self, scope: Scope, experiment: Experiment, action: Action, by: str, after: int, why: str = ""
    ) -> ExperimentChange:
        """Records a change that was decided when `after` was the newest number; raises Conflict where it is not."""
        change = ExperimentChange(
            number=after + 1,
            name=experiment.name,
            action=action,
            changed_at=datetime.now(UTC),
            changed_by=by,
            why=why,
            experiment=experiment,
        )
        if not self._documents.put_new(EXPERIMENT_CHANGES, scope, f"{change.number:010d}", body_of(change)):
            raise Conflict(
                f"Somebody else has changed an experiment of {scope.scenario_id!r} at the same moment.",
                "Look at it, and do it again: `lemo experiments list`.",
            )
        return change

    def list(self, scope: Scope) -> list[Experiment]:
        """The experiments, the newest first."""
        newest: dict[str, Experiment] = {}
        for change in self.changes(scope):
            newest.setdefault(change.name, change.experiment)
        return sorted(newest.values(), key=lambda each: each.created_at, reverse=True)
