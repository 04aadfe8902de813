"""Trained models of a scenario: what each is worth, which one serves, and putting another one in service."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict

from lemo.api.dependencies import Api, Here, Operator, RawBody, model_of, no_body
from lemo.api.problems import DOCUMENTED, MEDIA_TYPE, Problem
from lemo.models.promotion import promote, rollback
from lemo.models.registry import RegisteredModel, registered, registered_model
from lemo.stores.documents.model_changes import ModelChange

_RESPONSES: dict[int | str, dict[str, Any]] = {
    **DOCUMENTED,
    404: {"model": Problem, "description": "No such scenario or model.", "content": {MEDIA_TYPE: {}}},
}

router = APIRouter(prefix="/v1/scenarios/{scenario}/models", tags=["models"], responses=_RESPONSES)

Limit = Annotated[int, Query(ge=1, le=1000, description="How many, newest first.")]


class ModelList(BaseModel):
    """Models of the scenario, newest first."""

    models: list[RegisteredModel]


class Wanted(BaseModel):
    """The model to put in service."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"version": "20261123T030000123-1a2b3c"}})

    version: str


class RecommendationService(BaseModel):
    """What serves after a change."""

    version: str
    changed: bool
    """False where it served before."""


class ModelHistory(BaseModel):
    """Which model served when, newest first."""

    changes: list[ModelChange]


@router.get("")
def list_models(services: Api, here: Here, limit: Limit = 20) -> ModelList:
    """The trained models: parameters, data window, metrics with intervals and segments, and which one serves."""
    return ModelList(models=registered(services.stores, here.scope, limit))


@router.get("/history")
def history(services: Api, here: Here, limit: Limit = 100) -> ModelHistory:
    """Which model served when, who put it there, and why."""
    return ModelHistory(changes=services.stores.model_changes.history(here.scope, limit))


@router.get("/{version}")
def show_model(
    services: Api, here: Here, version: Annotated[str, Path(description="As in the list of models.", max_length=200)]
) -> RegisteredModel:
    """One model. The trees of its ranker are in its snapshot only."""
    return registered_model(services.stores, here.scope, version)


@router.post(
    "/promote",
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/json": {"schema": Wanted.model_json_schema()}}}
    },
)
def promote_model(services: Api, here: Here, operator: Operator, body: RawBody) -> RecommendationService:
    """Puts a model in service, whatever the tests say; answers change within two seconds."""
    version = model_of(body, Wanted).version
    return RecommendationService(
        version=version, changed=promote(services.stores, here.scope, version, operator) is not None
    )


@router.post("/rollback")
def rollback_model(services: Api, here: Here, operator: Operator, body: RawBody) -> RecommendationService:
    """Puts back the model that served before; again, the one before that.

    Training then promotes nothing that is no better than what was rolled back.
    """
    no_body(body)
    return RecommendationService(version=rollback(services.stores, here.scope, operator).version, changed=True)
