"""Experiments in both document stores: every change is kept, and of two at once one is told."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lemo.domain.errors import Conflict, NotFound
from lemo.domain.experiment import Experiment
from lemo.domain.pipeline import Pipeline
from lemo.domain.scope import Scope
from lemo.stores.documents import Documents
from lemo.stores.documents.experiments import Experiments
from lemo.stores.documents.pipelines import Pipelines

CREATED = datetime(2026, 3, 1, tzinfo=UTC)


def experiment(name: str, minute: int = 0, **fields: Any) -> Experiment:
    given = {"salt": name, "created_at": CREATED + timedelta(minutes=minute), "created_by": "ann"}
    return Experiment.model_validate({"name": name, "arms": [{"name": "control"}, {"name": "new"}], **given, **fields})


def test_the_newest_change_of_each_holds_and_all_are_kept(documents: Documents, scope: Scope) -> None:
    experiments = Experiments(documents)
    assert (experiments.number(scope), experiments.list(scope), experiments.running(scope)) == (0, [], [])
    with pytest.raises(NotFound, match="no experiment"):
        experiments.get(scope, "first")
    first, second = experiment("first"), experiment("second", 1)
    assert experiments.put(scope, first, "create", "ann", 0).number == 1
    assert experiments.put(scope, second, "create", "bob", 1).number == 2
    for number in range(2, 12):
        ramped = first.model_copy(update={"ramp": number / 20})
        experiments.put(scope, ramped, "edit", "ann", number, f"ramp {number / 20}")
    late = {"state": "running", "started_at": CREATED + timedelta(days=2)}
    early = {"state": "running", "started_at": CREATED + timedelta(days=1)}
    experiments.put(scope, second.model_copy(update=late), "start", "bob", 12)
    experiments.put(scope, ramped.model_copy(update=early), "start", "ann", 13)
    assert experiments.get(scope, "first").ramp == 11 / 20
    assert [each.name for each in experiments.list(scope)] == ["second", "first"], "the newest first"
    assert [each.name for each in experiments.running(scope)] == ["first", "second"], "what started first decides first"
    assert [each.number for each in experiments.changes(scope, "first", 3)] == [14, 12, 11], "by number, not as text"
    assert [each.action for each in experiments.changes(scope, "second")] == ["start", "create"]
    assert experiments.number(scope) == 14
    assert experiments.list(Scope(scope.tenant_id, "other")) == []
    with pytest.raises(NotFound, match="Did you mean first"):
        experiments.get(scope, "frist")


def test_of_changes_at_once_one_is_made_and_the_others_are_told(documents: Documents, scope: Scope) -> None:
    experiments = Experiments(documents)

    def create(number: int) -> bool:
        try:
            experiments.put(scope, experiment(f"e{number}"), "create", "ann", 0)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(create, range(16))) == 1
    assert len(experiments.list(scope)) == experiments.number(scope) == 1


def test_pipelines_on_trial_have_versions_and_never_serve(documents: Documents, scope: Scope) -> None:
    pipelines = Pipelines(documents)
    trial = pipelines.put_on_trial(scope, Pipeline(filter="item.trial"), "ann", "on trial")
    assert (trial.version, trial.trial, pipelines.current(scope).version) == (1, True, 0)
    first = pipelines.put(scope, Pipeline(filter="item.first"), "ann", after=0)
    again = [pipelines.put_on_trial(scope, Pipeline(filter=f"item.t{number}"), "ann", "") for number in range(2)]
    assert [first.version, *(each.version for each in again)] == [2, 3, 4]
    assert pipelines.current(scope).version == 2
    second = pipelines.put(scope, Pipeline(filter="item.second"), "ann", after=2)
    assert (second.version, pipelines.current(scope).version) == (5, 5)
    assert pipelines.roll_back(scope, "ann").pipeline.filter == "item.first", "what served before, none on trial"
    shipped = pipelines.roll_back(scope, "ann", 4)
    assert (shipped.trial, pipelines.current(scope).pipeline.filter) == (False, "item.t1")
    with pytest.raises(Conflict):
        pipelines.put(scope, Pipeline(), "ann", after=5)
