"""Keys of the tenant that the key belongs to."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query, status
from pydantic import BaseModel

from lemo.api.dependencies import Api, Operator, RawBody, TenantId, model_of, no_body
from lemo.api.problems import DOCUMENTED
from lemo.domain.api_key import ApiKey, KeyWishes

router = APIRouter(
    prefix="/v1/keys", tags=["keys"], responses={code: DOCUMENTED[code] for code in (401, 403, 404, 422, 503)}
)
KeyId = Annotated[str, Query(min_length=1, max_length=64, description="Id of the key, as the list shows it.")]


class KeyList(BaseModel):
    """The tenant's keys, oldest first."""

    keys: list[ApiKey]


class MadeKey(BaseModel):
    """A key that was just made. The key itself is shown only now."""

    id: str
    key: str


@router.get("")
def list_keys(services: Api, tenant_id: TenantId) -> KeyList:
    """The tenant's keys: roles, limits, expiry and about when each was last used; never the keys themselves."""
    return KeyList(keys=list(services.stores.api_keys.list(tenant_id)))


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": KeyWishes.model_json_schema()}},
        }
    },
)
def create_key(services: Api, tenant_id: TenantId, operator: Operator, body: RawBody) -> MadeKey:
    """Makes a key. Roles: read, ingest, operator (both, and jobs), admin (all). Read and ingest may be limited to
    scenarios.
    """
    made = services.stores.api_keys.create(tenant_id, model_of(body, KeyWishes), operator)
    return MadeKey(id=made.id, key=made.key)


@router.delete("", status_code=status.HTTP_204_NO_CONTENT)
def revoke_key(services: Api, tenant_id: TenantId, operator: Operator, id: KeyId) -> None:
    """Revokes a key, in every process within 5 seconds. 404 for an id that is not the tenant's."""
    services.stores.api_keys.revoke(tenant_id, id, operator)


@router.post("/rotate", status_code=status.HTTP_201_CREATED)
def rotate_key(
    services: Api,
    tenant_id: TenantId,
    operator: Operator,
    id: KeyId,
    body: RawBody,
    overlap_hours: Annotated[float, Query(ge=0, le=8760, description="How long the old key goes on working.")] = 24,
) -> MadeKey:
    """Makes a key like another one, which expires after the overlap."""
    no_body(body)
    made = services.stores.api_keys.rotate(tenant_id, id, timedelta(hours=overlap_hours), operator)
    return MadeKey(id=made.id, key=made.key)
