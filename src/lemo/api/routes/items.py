"""Items of the catalogue: looked at, changed, and deleted. Changes go through the ingest log like every write."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel

from lemo.api.dependencies import Api, Here, IngestTurn, Operator, RawBody, json_of
from lemo.api.problems import DOCUMENTED, MEDIA_TYPE, Problem
from lemo.api.routes.recommendations import Canonical, IdQuery
from lemo.api.schemas import ITEM_EXAMPLE
from lemo.domain.item import Item
from lemo.intake.publishing import Accepted
from lemo.serving.items import item_page

_RESPONSES: dict[int | str, dict[str, Any]] = {
    **DOCUMENTED,
    404: {"model": Problem, "description": "No such scenario or item.", "content": {MEDIA_TYPE: {}}},
}
router = APIRouter(prefix="/v1/scenarios/{scenario}/items", tags=["items and events"], responses=_RESPONSES)
ItemId = Annotated[str, IdQuery, Query(description="The item.", examples=["video/42"]), Canonical]


class ItemList(BaseModel):
    """A page of items, by id."""

    items: list[Item]
    cursor: str | None
    """`cursor` of the next page; null behind the last one."""
    total: int
    """Items of all pages."""


@router.get("", responses={200: {"content": {"application/json": {"example": ITEM_EXAMPLE}}}})
def show_item(services: Api, here: Here, item_id: ItemId) -> Item:
    """One item as it is stored. A write is seen here once the consumer has taken it, within seconds."""
    return services.changes.item(here.scope, item_id)


@router.get("/list")
def list_items(
    services: Api,
    here: Here,
    limit: Annotated[int, Query(ge=1, le=1_000, description="How many.")] = 100,
    cursor: Annotated[str, Query(max_length=256, description="`cursor` of the page before.")] = "",
    filter: Annotated[str, Query(max_length=2_000, description="CEL: only items that match.")] = "",
    search: Annotated[str, Query(max_length=200, description="Only items whose title or id holds this.")] = "",
) -> ItemList:
    """Items by id, those that are off included, page by page; only those that match `filter` and `search`."""
    columns = services.served.choices.columns(here.scope, here.scenario.attribute_types)
    page = item_page(services.stores.items, here.scope, columns, limit, cursor, filter, search=search)
    return ItemList(items=page.items, cursor=page.cursor, total=page.total)


@router.patch(
    "",
    response_model_exclude_defaults=True,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"type": "object"}, "example": {"in_stock": False}}},
        }
    },
)
def change_item(
    services: Api,
    here: Here,
    operator: Operator,
    item_id: ItemId,
    body: RawBody,
    turn: IngestTurn,  # noqa: ARG001
) -> Accepted:
    """Changes an item (RFC 7396): fields and attributes given replace, null removes, what is not named stays.

    When this answers, the change is durably in the ingest log.
    """
    return services.changes.change(here.scope, here.scenario, item_id, json_of(body), operator)


@router.delete("", response_model_exclude_defaults=True)
def delete_item(services: Api, here: Here, operator: Operator, item_id: ItemId, turn: IngestTurn) -> Accepted:  # noqa: ARG001
    """Deletes an item, through the log: it is in no answer within seconds, and older writes do not bring it back."""
    return services.changes.delete(here.scope, here.scenario, item_id, operator)
