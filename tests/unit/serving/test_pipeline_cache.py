"""The pipeline in service while the documents are away, or hold what this version cannot read."""

from collections.abc import Iterator
from typing import Any

import pytest

from lemo.domain.errors import EngineUnavailable
from lemo.domain.pipeline import Pipeline, PipelineVersion
from lemo.domain.scope import Scope
from lemo.serving import renewals
from lemo.serving.arms import NO_EXPERIMENTS, RunningExperiments
from lemo.serving.pipeline import cache
from lemo.serving.pipeline.cache import PipelineCache
from sites import wait_for

SCOPE = Scope("tenant", "scenario")


class NoArms:
    """No experiment ever runs."""

    def load(self, _scope: Scope, _before: RunningExperiments) -> RunningExperiments:
        return NO_EXPERIMENTS


class Documents:
    """Pipelines of which one may say what the next look-up meets."""

    def __init__(self) -> None:
        self.serving = PipelineVersion(version=3, pipeline=Pipeline(filter="item.in_stock"))
        self.error: Exception | None = None
        self.asked = 0

    def current(self, _scope: Scope) -> PipelineVersion:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return self.serving


@pytest.fixture
def documents() -> Documents:
    return Documents()


@pytest.fixture
def arms() -> NoArms:
    return NoArms()


@pytest.fixture
def pipelines(documents: Any, arms: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[PipelineCache]:
    monkeypatch.setattr(cache, "FOLLOW_SECONDS", 0.01)
    monkeypatch.setattr(renewals, "STALE_SECONDS", 0.1)
    found = PipelineCache(documents, arms)
    yield found
    found.close()


@pytest.mark.parametrize("error", [EngineUnavailable("away"), ValueError("unreadable"), RuntimeError("a bug")])
def test_the_last_known_pipeline_serves_and_its_age_is_told_until_it_can_be_read_again(
    pipelines: PipelineCache, documents: Documents, error: Exception
) -> None:
    assert pipelines.serving(SCOPE).version == 3
    documents.error = error
    wait_for(lambda: pipelines.is_stale(SCOPE))
    assert pipelines.serving(SCOPE).version == 3
    assert pipelines.known(SCOPE) is None, "the hot path hands on what it cannot answer for"
    found = pipelines.renewals()
    assert (found.scopes, found.stale, found.fault) == (1, 1, type(error).__name__)
    assert found.oldest_seconds > 0.1
    documents.error = None
    documents.serving = PipelineVersion(version=4)
    wait_for(lambda: pipelines.serving(SCOPE).version == 4 and not pipelines.is_stale(SCOPE))
    assert pipelines.renewals().fault == ""


def test_a_first_look_up_that_fails_serves_the_default_and_is_made_up_for(
    pipelines: PipelineCache, documents: Documents
) -> None:
    documents.error = EngineUnavailable("away")
    assert pipelines.serving(SCOPE).version == 0
    wait_for(lambda: pipelines.is_stale(SCOPE))
    documents.error = None
    wait_for(lambda: pipelines.serving(SCOPE).version == 3)


def test_without_watching_one_look_up_serves_a_whole_batch(documents: Any, arms: Any) -> None:
    pipelines = PipelineCache(documents, arms, watch=False)
    assert {pipelines.serving(SCOPE).version for _ in range(5)} == {3}
    assert documents.asked == 1
    assert not pipelines.is_stale(SCOPE)


def test_a_scenario_that_was_deleted_and_made_anew_serves_its_own_first_version(
    pipelines: PipelineCache, documents: Documents
) -> None:
    documents.serving = PipelineVersion(version=1, pipeline=Pipeline(filter="item.of_the_old_one"))
    assert pipelines.serving(SCOPE).pipeline.filter == "item.of_the_old_one"
    documents.serving = PipelineVersion(version=1, pipeline=Pipeline(filter="item.of_the_new_one"))
    wait_for(lambda: pipelines.serving(SCOPE).pipeline.filter == "item.of_the_new_one")
