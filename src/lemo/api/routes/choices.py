"""Recommendations and similar items by wishes: filters, boosts, pins, sessions, and the fields that a page shows."""

from typing import Any

from fastapi import APIRouter

from lemo.api.dependencies import Api, Here, RawBody, model_of
from lemo.api.problems import DOCUMENTED, MEDIA_TYPE, Problem
from lemo.api.routes.recommendations import check_any_exists
from lemo.api.schemas import AttributeList
from lemo.domain.audience import Audience, AudienceRequest
from lemo.domain.recommendation import BatchAnswer, ChosenAnswer, UserAnswer
from lemo.domain.request import BatchRequest, RecommendationRequest, SimilarRequest
from lemo.serving.catalogue.schema import overview

_RESPONSES: dict[int | str, dict[str, Any]] = {
    **DOCUMENTED,
    400: {"model": Problem, "description": "The body is no JSON.", "content": {MEDIA_TYPE: {}}},
}
router = APIRouter(prefix="/v1/scenarios/{scenario}", tags=["recommendations"], responses=_RESPONSES)

_ANSWER = {
    "request_id": "8f14e45fceea467a9538e4f6a1b2c3d4",
    "model_version": "20260502T030000Z",
    "degraded": False,
    "items": [
        {
            "item_id": "lamp/42",
            "score": 3.71,
            "source": "similar",
            "because": ["lamp/7"],
            "reason": 'because of "lamp/7"',
            "title": "Globe lamp",
            "price": 39.5,
        }
    ],
}
_EXAMPLE: dict[int | str, dict[str, Any]] = {200: {"content": {"application/json": {"example": _ANSWER}}}}


def _body(
    model: type[AudienceRequest | BatchRequest | RecommendationRequest | SimilarRequest], example: dict[str, Any]
) -> dict[str, Any]:
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs", None)
    return {
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema, "example": example}}},
    }


@router.post(
    "/recommendations",
    responses=_EXAMPLE,
    openapi_extra=_body(
        RecommendationRequest,
        {
            "user_id": "user 7",
            "n": 10,
            "filter": 'item.price < request.most && "lamp" in item.categories && item.in_stock',
            "variables": {"most": 100},
            "boost": [{"filter": "item.margin > 0.4", "weight": 0.5}],
            "pin": [{"item_id": "lamp/1", "position": 3}],
            "fields": ["title", "image_url", "price"],
        },
    ),
)
def recommend_by_wishes(services: Api, here: Here, body: RawBody) -> ChosenAnswer:
    """The best items for a user, or for the items of a `session`, by the wishes of the request.

    `filter` is CEL: `item.NAME` is a field or an attribute, `request.NAME` one of the `variables`. An item of which a
    value is missing does not match. Where fewer than n recommended items match, other items that match follow. `boost`
    lifts what matches by standard deviations of the score, `pin` puts items at positions, `repeat` allows, or asks
    only for, what the user has had, and `fields` names what the answer shall hold of each item.
    """
    request = model_of(body, RecommendationRequest)
    return services.served.choices.recommend(here.scope, request, here.scenario.attribute_types)


@router.post(
    "/recommendations/batch",
    openapi_extra=_body(
        BatchRequest,
        {"users": ["user 7", "user 8"], "n": 5, "filter": "item.in_stock", "fields": ["title"]},
    ),
)
def recommend_to_many(services: Api, here: Here, body: RawBody) -> BatchAnswer:
    """The best items for each of up to 1,000 users, by the same wishes."""
    request = model_of(body, BatchRequest)
    types, choices = here.scenario.attribute_types, services.served.choices
    answers = ((user, choices.recommend(here.scope, request.of(user), types)) for user in request.users)
    return BatchAnswer(answers=[UserAnswer(user_id=user, **answer.model_dump()) for user, answer in answers])


@router.post(
    "/similar",
    responses=_EXAMPLE,
    openapi_extra=_body(
        SimilarRequest,
        {"item_ids": ["lamp/42"], "filter": "item.price <= current.price", "fields": ["title"], "n": 10},
    ),
)
def similar_by_wishes(services: Api, here: Here, body: RawBody) -> ChosenAnswer:
    """The items most similar to one item, or to several together, by the wishes of the request.

    Filters may name `current.NAME`, the values of the first of `item_ids`. Where fewer than n similar items match a
    filter, popular ones that match follow. 404 where none of the items is known.
    """
    request = model_of(body, SimilarRequest)
    if not any(services.served.knows(here.scope, item_id) for item_id in request.item_ids):
        check_any_exists(services.stores, here.scope, request.item_ids)
    return services.served.choices.similar(here.scope, request, here.scenario.attribute_types)


@router.post("/audience", openapi_extra=_body(AudienceRequest, {"item_ids": ["lamp/42"], "n": 100}))
def audience(services: Api, here: Here, body: RawBody) -> Audience:
    """The users who most likely want an item, or an item that matches a filter, the likeliest first.

    Compared are users who acted on the items or on similar ones, up to 5,000. Users who have had the item are left out
    unless `seen` is true.
    """
    request = model_of(body, AudienceRequest)
    return services.served.audience(here.scope, request, here.scenario.attribute_types)


@router.get("/attributes")
def attributes(services: Api, here: Here) -> AttributeList:
    """What filters may name: each field and attribute of the items with its type, and values that do not fit it.

    A type is that of most values. `PATCH /v1/scenarios/{scenario}` with `attribute_types` settles another.
    """
    columns = services.served.choices.columns(here.scope, here.scenario.attribute_types)
    return AttributeList(items=len(columns), attributes=overview(columns.schema))
