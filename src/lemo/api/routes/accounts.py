"""Accounts of people in the console, of the tenant that the key belongs to."""

from typing import Annotated

from fastapi import APIRouter, Query, status
from pydantic import BaseModel, ConfigDict, SecretStr

from lemo.api.dependencies import Api, Operator, RawBody, TenantId, model_of
from lemo.api.problems import DOCUMENTED
from lemo.domain.account import Account, AccountRole
from lemo.domain.errors import InvalidInput

router = APIRouter(
    prefix="/v1/accounts", tags=["accounts"], responses={code: DOCUMENTED[code] for code in (401, 403, 404, 422, 503)}
)
Name = Annotated[
    str, Query(min_length=1, max_length=63, description="Name of the account.", examples=["ann@acme.example"])
]


class AccountList(BaseModel):
    """The tenant's accounts, by name."""

    accounts: list[Account]


class NewAccount(BaseModel):
    """An account to make. A password has 12 to 1,000 characters; it is kept as its Argon2 hash alone."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {"name": "ann@acme.example", "role": "operator", "password": "correct horse battery"}
        },
    )

    name: str
    role: AccountRole
    password: SecretStr


class AccountChange(BaseModel):
    """What is to be changed of an account; what is left out stays."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"role": "viewer"}})

    role: AccountRole | None = None
    password: SecretStr | None = None


def _body(model: type[BaseModel]) -> dict[str, object]:
    schema = {"schema": model.model_json_schema()}
    return {"requestBody": {"required": True, "content": {"application/json": schema}}}


@router.get("")
def list_accounts(services: Api, tenant_id: TenantId) -> AccountList:
    """The tenant's accounts: names, roles, and since when each has its password; nothing of the passwords."""
    return AccountList(accounts=list(services.stores.accounts.list(tenant_id)))


@router.post("", status_code=status.HTTP_201_CREATED, openapi_extra=_body(NewAccount))
def create_account(services: Api, tenant_id: TenantId, operator: Operator, body: RawBody) -> Account:
    """Makes an account. 409 for a name that is taken, maybe by another tenant. From the first account of the
    installation on, the console asks everybody to log in.
    """
    wanted = model_of(body, NewAccount)
    return services.stores.accounts.create(
        tenant_id, wanted.name, wanted.role, wanted.password.get_secret_value(), operator
    )


@router.patch("", openapi_extra=_body(AccountChange))
def change_account(services: Api, tenant_id: TenantId, operator: Operator, name: Name, body: RawBody) -> Account:
    """Gives an account another role, another password, or both; it holds within 5 seconds. Another password ends its
    sessions.
    """
    change = model_of(body, AccountChange)
    if change.role is None and change.password is None:
        raise InvalidInput("Nothing is to be changed.", "Send `role`, `password`, or both.")
    password = None if change.password is None else change.password.get_secret_value()
    return services.stores.accounts.change(tenant_id, name, operator, role=change.role, password=password)


@router.delete("", status_code=status.HTTP_204_NO_CONTENT)
def delete_account(services: Api, tenant_id: TenantId, operator: Operator, name: Name) -> None:
    """Deletes an account; its sessions end within 5 seconds. 404 for a name that is not the tenant's."""
    services.stores.accounts.delete(tenant_id, name, operator)
