"""`lemo keys` and `lemo tenants`: who may use the API, and for what."""

from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from lemo.cli.output import Format, FormatOption, messages, show, show_one
from lemo.domain.api_key import KeyWishes, Role, checked_origin
from lemo.domain.scope import DEFAULT_TENANT

if TYPE_CHECKING:
    from lemo.stores.connect import Stores

keys = typer.Typer(no_args_is_help=True, help="Keys of a tenant: roles, limits, expiry.")
tenants = typer.Typer(no_args_is_help=True, help="Tenants, whose data never meet.")

TenantOption = Annotated[str, typer.Option(help="The tenant; by default that of the key in use.", show_default=False)]
IdArgument = Annotated[str, typer.Argument(help="Id of the key, as `lemo keys list` shows it.", show_default=False)]
COLUMNS = ("id", "role", "name", "scenarios", "origins", "created_at", "expires_at", "last_used_at")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


@keys.command("create")
def create_key(
    role: Annotated[
        Role,
        typer.Option(help="What it may do: read, track (and send events), ingest, operator (all, and jobs) or admin."),
    ],
    scenario: Annotated[
        list[str], typer.Option(help="Only for this scenario (read, track and ingest); may be given several times.")
    ] = [],  # noqa: B006 - typer copies it
    origin: Annotated[
        list[str],
        typer.Option(help="Only for pages of this web site, such as https://shop.example; may be given several times."),
    ] = [],  # noqa: B006
    name: Annotated[str, typer.Option(help="What it is for.")] = "",
    expires: Annotated[str, typer.Option(help="After how long it is refused, such as 90d; empty: never.")] = "",
    tenant: TenantOption = "",
    format: FormatOption = Format.table,
) -> None:
    """Make a key, which is shown once, e.g. `lemo keys create --role read --scenario shop --name "web shop"`."""
    ends = datetime.now(UTC) + _duration(expires) if expires else None
    wishes = KeyWishes(
        role=role,
        name=name[:200],
        scenarios=scenario or None,
        origins=[_origin(each) for each in origin] or None,
        expires_at=ends,
    )
    stores, tenant_id, by = admin(tenant)
    with closing(stores):
        made = stores.api_keys.create(tenant_id, wishes, by)
    show_one({"tenant": tenant_id, "role": role, **made._asdict()}, format, "Made")
    if format is Format.table:
        messages.print("The key is shown only now: only its SHA-256 is kept.")


@keys.command("list")
def list_keys(tenant: TenantOption = "", format: FormatOption = Format.table) -> None:
    """List the tenant's keys: what each may do, until when, and when it was last used."""
    stores, tenant_id, _ = admin(tenant)
    with closing(stores):
        found = stores.api_keys.list(tenant_id)
    show([each.model_dump(mode="json") for each in found], format, f"Keys of {tenant_id}", COLUMNS)


@keys.command("revoke")
def revoke_key(key: IdArgument, tenant: TenantOption = "") -> None:
    """Revoke a key; every API process refuses it within 5 seconds."""
    stores, tenant_id, by = admin(tenant)
    with closing(stores):
        stores.api_keys.revoke(tenant_id, key, by)
    messages.print(f"Revoked {key}.", markup=False)


@keys.command("rotate")
def rotate_key(
    key: IdArgument,
    overlap: Annotated[str, typer.Option(help="How long the old key goes on working.")] = "24h",
    tenant: TenantOption = "",
    format: FormatOption = Format.table,
) -> None:
    """Make a key like another one, which expires after the overlap."""
    stores, tenant_id, by = admin(tenant)
    with closing(stores):
        made = stores.api_keys.rotate(tenant_id, key, _duration(overlap), by)
    show_one({"tenant": tenant_id, **made._asdict()}, format, "Made")


@tenants.command("create")
def create_tenant(
    name: Annotated[str, typer.Argument(help="Lower-case letters, digits, '-' and '_'; at most 63.")],
) -> None:
    """Make a tenant; `lemo keys create --tenant NAME --role admin` makes its first key."""
    from lemo.scheduling.tenants import create_tenant as create

    stores, _, by = admin(DEFAULT_TENANT)
    with closing(stores):
        create(stores, name, by)
    messages.print(f"Next: lemo keys create --tenant {name} --role admin", markup=False)


@tenants.command("delete")
def delete_tenant(
    name: Annotated[str, typer.Argument(help="Name of the tenant; its scenarios must be gone.", show_default=False)],
) -> None:
    """Delete a tenant that has no scenarios any more, with its keys and accounts."""
    from lemo.scheduling.tenants import delete_tenant as delete

    stores, _, by = admin(DEFAULT_TENANT)
    with closing(stores):
        removed = delete(stores, name, by)
    messages.print(f"Deleted, with {removed:,} documents that were left of it.", highlight=False)


@tenants.command("list")
def list_tenants(format: FormatOption = Format.table) -> None:
    """List the tenants with their numbers of scenarios and keys."""
    stores, _, _ = admin(DEFAULT_TENANT)
    with closing(stores):
        rows = [
            {"tenant": each, "scenarios": len(stores.scenarios.list(each)), "keys": len(stores.api_keys.list(each))}
            for each in stores.tenants.list()
        ]
    show(rows, format, "Tenants", ("tenant", "scenarios", "keys"))


def admin(tenant: str) -> "tuple[Stores, str, str]":
    """The stores, the tenant, and who asks. Other tenants than the key's own are for the installation's admins."""
    from lemo.cli.operator import operator
    from lemo.domain.errors import NotAllowed
    from lemo.settings import Settings
    from lemo.stores.bootstrap import credential
    from lemo.stores.connect import Stores

    settings = Settings()
    stores = Stores(settings, interactive=True)
    own = credential(settings, stores.api_keys, "admin")
    if tenant not in ("", own) and own != DEFAULT_TENANT:
        raise NotAllowed(
            f"A key of the tenant {own!r} may not see the tenant {tenant[:80]!r}.",
            f"Only an admin key of the tenant {DEFAULT_TENANT!r} manages tenants.",
        )
    return stores, tenant or own, operator(own)


def _origin(text: str) -> str:
    from lemo.domain.errors import InvalidInput

    try:
        return checked_origin(text)
    except ValueError as error:
        raise InvalidInput(f"--origin {text[:80]!r} {error}.") from error


def _duration(text: str) -> timedelta:
    from lemo.domain.errors import InvalidInput

    number, unit = text[:-1], text[-1:]
    if unit not in _UNITS or not number.isdecimal() or len(number) > 6:
        raise InvalidInput(f"{text[:40]!r} is no duration.", "Such as 30m, 24h or 90d.")
    return timedelta(**{_UNITS[unit]: int(number)})
