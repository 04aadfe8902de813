"""`lemo installation`: its name and id, and whose the Redis is."""

from typing import Annotated

import typer

from lemo.cli.output import Format, FormatOption, messages, show


def installation(
    take_over: Annotated[
        bool,
        typer.Option(
            "--take-over",
            help="Take the name in Redis from an installation that is gone for good, with what it left there.",
        ),
    ] = False,
    format: FormatOption = Format.table,
) -> None:
    """Show this installation's name and id, and to which installation its Redis belongs.

    Exit code 1 when that is another one: its services and this one's would take each other's tasks.
    """
    from lemo.settings import Settings
    from lemo.stores.connect import Stores
    from lemo.stores.installation import claim, own_id, owner_of

    settings = Settings()
    stores = Stores(settings, interactive=True)
    try:
        if take_over:
            claim(stores, take_over=True)
            messages.print("Taken over. Start the services again: lemo up")
        mine, owner = own_id(stores.documents), owner_of(stores.redis, stores.keys)
    finally:
        stores.close()
    row = {
        "name": settings.installation,
        "id": mine,
        "redis_owner": owner.id if owner else "",
        "redis_owner_at": owner.place if owner else "",
    }
    show([row], format)
    if owner is not None and owner.id != mine:
        raise typer.Exit(1)
