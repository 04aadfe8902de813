"""What the pipeline editor asks: whether a text is a pipeline that fits the catalogue, and what a user would get."""

from dataclasses import dataclass

from lemo.console.queries import Queries
from lemo.domain.pipeline import Pipeline, PipelineVersion, WrongPipeline
from lemo.domain.recommendation import ChosenAnswer
from lemo.domain.request import RecommendationRequest
from lemo.domain.scope import Scope
from lemo.files.pipeline_file import PipelineText
from lemo.serving.pipeline.check import check_fits

SHOWN = 10
"""Items of a trial's answers."""
VERSIONS = 50
"""Versions of the history that are shown."""


@dataclass(frozen=True, slots=True)
class Place:
    """One place of the answers before and after."""

    before: str
    after: str
    moved: int | None
    """The item's place before, if it had another; None where it is new, or stayed."""
    new: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Trial:
    """What a user gets by the pipeline in service, and by the one that is tried."""

    places: list[Place]
    degraded: bool


@dataclass(frozen=True, slots=True)
class Versions:
    """The pipeline in service (the default has the version 0), and the versions there are, newest first."""

    serving: PipelineVersion
    kept: list[PipelineVersion]
    """Those on trial, which only arms of experiments serve, are among them."""


def checked(queries: Queries, scope: Scope, text: str) -> Pipeline:
    """The pipeline of a text; raises FaultyText, with the line, and EngineUnavailable."""
    read = PipelineText(text)
    try:
        check_pipeline(queries, scope, read.pipeline)
    except WrongPipeline as error:
        raise read.located(error) from error
    return read.pipeline


def check_pipeline(queries: Queries, scope: Scope, pipeline: Pipeline) -> None:
    """Raises WrongPipeline for one that does not fit the catalogue, and EngineUnavailable."""
    if pipeline.filters or pipeline.attributes:
        types = queries.stores.scenarios.get(scope).attribute_types
        check_fits(pipeline, queries.serving.choices.columns(scope, types))


def tried(queries: Queries, scope: Scope, text: str, user_id: str) -> Trial:
    """A user's answers before and after, as `POST .../pipeline/check` gives them; raises as `checked`."""
    pipeline = checked(queries, scope, text)
    types = queries.stores.scenarios.get(scope).attribute_types
    request = RecommendationRequest(user_id=user_id, n=SHOWN, fields=["title"], explain=True)
    choices = queries.serving.choices
    before = choices.recommend(scope, request, types)
    after = choices.recommend(scope, request, types, pipeline)
    return Trial(_places(before, after), before.degraded or after.degraded)


def versions(queries: Queries, scope: Scope) -> Versions:
    """The pipeline in service and the newest versions; raises EngineUnavailable."""
    pipelines = queries.stores.pipelines
    return Versions(pipelines.current(scope), pipelines.history(scope, VERSIONS))


def _places(before: ChosenAnswer, after: ChosenAnswer) -> list[Place]:
    where = {item.item_id: place for place, item in enumerate(before.items, 1)}
    places = []
    for number in range(max(len(before.items), len(after.items))):
        old = before.items[number] if number < len(before.items) else None
        new = after.items[number] if number < len(after.items) else None
        was = where.get(new.item_id) if new else None
        places.append(
            Place(
                before=_name(old),
                after=_name(new),
                moved=was if was not in (None, number + 1) else None,
                new=new is not None and was is None,
                reason=new.reason if new else "",
            )
        )
    return places


def _name(item: object) -> str:
    return "" if item is None else getattr(item, "title", "") or getattr(item, "item_id", "")
