"""Erasure and merge of users, over all scenarios of the tenant or in one."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from lemo.api.dependencies import Api, Operator, RawBody, TenantId, model_of
from lemo.api.dependencies import Services as ApiServices
from lemo.api.problems import DOCUMENTED, MEDIA_TYPE, Problem
from lemo.api.routes.recommendations import Canonical, IdQuery
from lemo.domain.item import Id
from lemo.stores.connect import Stores
from lemo.stores.documents.erasures import ErasureReceipt, Erasures
from lemo.users.erasure import check_erasure, erase_user
from lemo.users.merge import Merged, merge_users

_RESPONSES: dict[int | str, dict[str, Any]] = {
    **{code: DOCUMENTED[code] for code in (401, 403, 422, 503)},
    404: {"model": Problem, "description": "No such scenario or receipt.", "content": {MEDIA_TYPE: {}}},
    409: {"model": Problem, "description": "The user was merged into another one.", "content": {MEDIA_TYPE: {}}},
}
router = APIRouter(prefix="/v1/users", tags=["users"], responses=_RESPONSES)

UserId = Annotated[str, IdQuery, Query(description="The user.", examples=["user 7"]), Canonical]
ScenarioName = Annotated[str, Query(max_length=63, description="Only in this scenario; by default in all.")]


class Merge(BaseModel):
    """Who is merged into whom."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"from": "guest 81", "into": "user 7"}})

    guest: Id = Field(alias="from")
    into: Id
    scenario: str = Field("", max_length=63, description="Only in this scenario; by default in all.")


@router.delete("")
def erase(
    services: Api, tenant_id: TenantId, operator: Operator, user_id: UserId, scenario: ScenarioName = ""
) -> ErasureReceipt:
    """Erases a user from all stores; answers a receipt that says what was removed where, and what remains until when.

    Events from before the erasure do not come back, whoever sends them again; later ones are a new user's. It takes
    seconds, and on large stores minutes. Repeat it where the answer is an error.
    """
    with _patient(services) as stores:
        return erase_user(stores, tenant_id, user_id, operator, scenario)


@router.get("/erasures")
def show_erasure(
    services: Api,
    tenant_id: TenantId,
    receipt_id: Annotated[str, Query(min_length=1, max_length=64, description="`receipt_id` of the erasure.")],
    user_id: Annotated[
        str, Query(max_length=256, description="The erased user: all stores are searched again."), Canonical
    ] = "",
) -> ErasureReceipt:
    """The receipt of an erasure. With the user's id, of which it holds only a hash, all stores are searched again."""
    if not user_id:
        return Erasures(services.stores.documents).get(tenant_id, receipt_id)
    with _patient(services) as stores:
        return check_erasure(stores, tenant_id, receipt_id, user_id)


@router.post(
    "/merge",
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/json": {"schema": Merge.model_json_schema()}}}
    },
)
def merge(services: Api, tenant_id: TenantId, operator: Operator, body: RawBody) -> Merged:
    """Gives all that a guest did, and will do, to another user. Doing it again changes nothing.

    409 where either user was merged into another one before: merges form no chains.
    """
    wanted = model_of(body, Merge)
    with _patient(services) as stores:
        return merge_users(stores, tenant_id, wanted.guest, wanted.into, wanted.scenario, operator)


@contextmanager
def _patient(services: ApiServices) -> Iterator[Stores]:
    """Stores that wait for minutes: a deletion rewrites parts of tables."""
    with closing(Stores(services.stores.settings)) as stores:
        yield stores
