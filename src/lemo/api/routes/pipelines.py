"""The pipeline of a scenario: the rules by which candidates become an answer; every version is kept."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from lemo.api.dependencies import Api, Here, Operator, RawBody, json_of, model_of
from lemo.api.problems import DOCUMENTED
from lemo.domain.item import Id
from lemo.domain.pipeline import Pipeline, PipelineVersion, edited_pipeline, pipeline_of
from lemo.domain.recommendation import ChosenAnswer
from lemo.domain.request import RecommendationRequest
from lemo.serving.pipeline.check import check_fits

router = APIRouter(prefix="/v1/scenarios/{scenario}/pipeline", tags=["pipeline"], responses=DOCUMENTED)

_PIPELINE = {
    "filter": "item.in_stock",
    "boost": [{"filter": "item.margin > 0.4", "weight": 0.5}],
    "freshness": {"weight": 0.5, "half_life_days": 7},
    "diversity": {"strength": 0.3, "by": ["categories"]},
    "cap": [{"by": "author", "most": 2}],
    "promote": [{"filter": "item.campaign == 'spring'", "share": 0.2}],
    "pin": [{"item_id": "lamp/1", "position": 1}],
}


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewPipeline(_Body):
    """A pipeline to put in service."""

    pipeline: dict[str, Any]
    why: Annotated[str, Field(max_length=1_000)] = ""
    after: int | None = None
    """The version that must serve still; else 409. Without it the newest change wins."""


class Trial(_Body):
    """A pipeline to try for a user, before it serves."""

    pipeline: dict[str, Any]
    user_id: Id
    n: Annotated[int, Field(ge=1, le=200)] = 10


class Rollback(_Body):
    """Which version to put back."""

    version: Annotated[int, Field(ge=0)] | None = None
    """Without it the one before the one that serves; 0 is the default."""


class PipelineHistory(BaseModel):
    """The versions that served, newest first."""

    versions: list[PipelineVersion]


class BeforeAndAfter(BaseModel):
    """A user's answer by the pipeline in service, and by the one that is tried; each says why."""

    before: ChosenAnswer
    after: ChosenAnswer


def _takes(model: type[BaseModel], example: dict[str, Any]) -> dict[str, Any]:
    return _object(example, model.model_json_schema())


def _object(example: dict[str, Any], schema: dict[str, Any] | None = None) -> dict[str, Any]:
    content = {"schema": schema or {"type": "object"}, "example": example}
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


@router.get("")
def show_pipeline(services: Api, here: Here) -> PipelineVersion:
    """The pipeline in service. Version 0 is the default: what the model says, as it says it."""
    return services.stores.pipelines.current(here.scope)


@router.put("", openapi_extra=_takes(NewPipeline, {"pipeline": _PIPELINE, "why": "spring campaign", "after": 3}))
def put_pipeline(services: Api, here: Here, operator: Operator, body: RawBody) -> PipelineVersion:
    """Puts a pipeline in service, as a new version; every process answers by it within a second."""
    wanted = model_of(body, NewPipeline)
    pipeline = _checked(services, here, pipeline_of(wanted.pipeline))
    return services.stores.pipelines.put(here.scope, pipeline, operator, wanted.why, wanted.after)


@router.patch(
    "",
    openapi_extra=_object({"diversity": {"strength": 0.5}}),
)
def patch_pipeline(services: Api, here: Here, operator: Operator, body: RawBody) -> PipelineVersion:
    """Changes the pipeline in service (RFC 7396), as a new version: lists are replaced whole, null removes."""
    serving = services.stores.pipelines.current(here.scope)
    pipeline = _checked(services, here, edited_pipeline(serving.pipeline, json_of(body)))
    return services.stores.pipelines.put(here.scope, pipeline, operator, after=serving.version)


@router.post("/check", openapi_extra=_takes(Trial, {"pipeline": _PIPELINE, "user_id": "user 7", "n": 10}))
def check_pipeline(services: Api, here: Here, body: RawBody) -> BeforeAndAfter:
    """A user's answer by the pipeline in service and by another one, explained item by item. Nothing is changed."""
    trial = model_of(body, Trial)
    pipeline = _checked(services, here, pipeline_of(trial.pipeline))
    request = RecommendationRequest(user_id=trial.user_id, n=trial.n, explain=True)
    choices, types = services.served.choices, here.scenario.attribute_types
    return BeforeAndAfter(
        before=choices.recommend(here.scope, request, types),
        after=choices.recommend(here.scope, request, types, pipeline),
    )


@router.get("/history")
def pipeline_history(
    services: Api, here: Here, limit: Annotated[int, Query(ge=1, le=1000, description="How many, newest first.")] = 100
) -> PipelineHistory:
    """The versions that served: what each said, who put it in service, when and why."""
    return PipelineHistory(versions=services.stores.pipelines.history(here.scope, limit))


@router.post("/rollback", openapi_extra=_takes(Rollback, {"version": 3}))
def roll_back(services: Api, here: Here, operator: Operator, body: RawBody) -> PipelineVersion:
    """Puts an earlier version back in service, as a new version."""
    wanted = model_of(body, Rollback) if body else Rollback()
    return services.stores.pipelines.roll_back(here.scope, operator, wanted.version)


def _checked(services: Api, here: Here, pipeline: Pipeline) -> Pipeline:
    """The pipeline, if it fits the catalogue; raises InvalidInput."""
    if pipeline.filters or pipeline.attributes:
        check_fits(pipeline, services.served.choices.columns(here.scope, here.scenario.attribute_types))
    return pipeline
