"""`lemo accounts`: who may log in to the console, and what each may do there."""

import sys
from contextlib import closing
from typing import Annotated

import typer

from lemo.cli.keys import TenantOption, admin
from lemo.cli.output import Format, FormatOption, messages, show
from lemo.domain.account import AccountRole

app = typer.Typer(no_args_is_help=True, help="Accounts of people in the console.")

NameArgument = Annotated[str, typer.Argument(help="Name of the account, or an e-mail address.", show_default=False)]
COLUMNS = ("name", "role", "created_at", "password_set_at")


@app.command("create")
def create(
    name: NameArgument,
    role: Annotated[
        AccountRole,
        typer.Option(help="viewer looks on, operator also runs and changes, admin also makes keys and accounts."),
    ],
    tenant: TenantOption = "",
) -> None:
    """Make an account; asks for its password, or reads it from standard input where that is no terminal.

    From the first account on, the console asks everybody to log in, also on this machine.
    """
    stores, tenant_id, by = admin(tenant)
    with closing(stores):
        stores.accounts.create(tenant_id, name, role, _password(), by)
    messages.print(f"{name} may log in to the console, as {role} of {tenant_id}.", markup=False)


@app.command("list")
def list_accounts(tenant: TenantOption = "", format: FormatOption = Format.table) -> None:
    """List the tenant's accounts."""
    stores, tenant_id, _ = admin(tenant)
    with closing(stores):
        found = stores.accounts.list(tenant_id)
    show([each.model_dump(mode="json") for each in found], format, f"Accounts of {tenant_id}", COLUMNS)


@app.command("password")
def password(name: NameArgument, tenant: TenantOption = "") -> None:
    """Give an account another password, as `create` does; ends its sessions within seconds."""
    stores, tenant_id, by = admin(tenant)
    with closing(stores):
        stores.accounts.set_password(tenant_id, name, _password(), by)
    messages.print(f"{name} has another password.", markup=False)


@app.command("role")
def set_role(
    name: NameArgument,
    role: Annotated[AccountRole, typer.Argument(help="The role that it gets.", show_default=False)],
    tenant: TenantOption = "",
) -> None:
    """Give an account another role; it holds within seconds."""
    stores, tenant_id, by = admin(tenant)
    with closing(stores):
        stores.accounts.change(tenant_id, name, by, role=role)
    messages.print(f"{name} is {role} of {tenant_id} now.", markup=False)


@app.command("delete")
def delete(name: NameArgument, tenant: TenantOption = "") -> None:
    """Delete an account; ends its sessions within seconds. Without any account the console is open on this machine."""
    stores, tenant_id, by = admin(tenant)
    with closing(stores):
        stores.accounts.delete(tenant_id, name, by)
    messages.print(f"Deleted {name}.", markup=False)


def _password() -> str:
    """Never an option: others on this machine would see it, and the shell would keep it."""
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\r\n")
