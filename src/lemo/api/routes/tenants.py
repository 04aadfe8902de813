"""Tenants, for administrators of the installation: keys of the tenant `default` with the role admin."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, status
from pydantic import BaseModel, ConfigDict

from lemo.api.dependencies import Api, Operator, RawBody, TenantId, model_of
from lemo.api.problems import DOCUMENTED
from lemo.domain.errors import NotAllowed
from lemo.domain.scope import DEFAULT_TENANT
from lemo.scheduling import tenants


def _of_the_installation(tenant_id: TenantId) -> None:
    if tenant_id != DEFAULT_TENANT:
        raise NotAllowed(
            "Tenants are managed by the administrators of the installation.",
            f"Ask with an admin key of the tenant {DEFAULT_TENANT!r}.",
        )


router = APIRouter(
    prefix="/v1/tenants",
    tags=["tenants"],
    dependencies=[Depends(_of_the_installation)],
    responses={code: DOCUMENTED[code] for code in (401, 403, 404, 422, 503)},
)


class Tenant(BaseModel):
    """A tenant in numbers."""

    tenant_id: str
    scenarios: int
    keys: int


class TenantList(BaseModel):
    """All tenants of the installation, by name."""

    tenants: list[Tenant]


class NewTenant(BaseModel):
    """A tenant to make: lower-case letters, digits, `-` and `_`; at most 63."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"tenant_id": "acme"}})

    tenant_id: str


class MadeTenant(BaseModel):
    """A tenant that was just made, with a key of its first administrator. The key is shown only now."""

    tenant_id: str
    key_id: str
    key: str


@router.get("")
def list_tenants(services: Api) -> TenantList:
    """The tenants with their numbers of scenarios and keys."""
    stores = services.stores
    return TenantList(
        tenants=[
            Tenant(tenant_id=each, scenarios=len(stores.scenarios.list(each)), keys=len(stores.api_keys.list(each)))
            for each in stores.tenants.list()
        ]
    )


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/json": {"schema": NewTenant.model_json_schema()}}}
    },
)
def create_tenant(services: Api, operator: Operator, body: RawBody) -> MadeTenant:
    """Makes a tenant and its administrator's key. 409 for a name that is taken."""
    name = model_of(body, NewTenant).tenant_id
    tenants.create_tenant(services.stores, name, operator)
    made = services.stores.api_keys.create(name, by=operator)
    return MadeTenant(tenant_id=name, key_id=made.id, key=made.key)


@router.delete("", status_code=status.HTTP_204_NO_CONTENT)
def delete(
    services: Api,
    operator: Operator,
    name: Annotated[str, Query(alias="tenant_id", min_length=1, max_length=64, description="The tenant.")],
) -> None:
    """Deletes a tenant with its keys and accounts. 409 while it has scenarios; these are deleted with its own key."""
    tenants.delete_tenant(services.stores, name, operator)
