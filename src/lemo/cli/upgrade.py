"""`lemo upgrade`: the state in this program's version."""

from dataclasses import asdict
from typing import Annotated

import typer

from lemo.cli.output import Format, FormatOption, messages, show


def upgrade(
    admin_key: Annotated[
        bool,
        typer.Option(
            "--admin-key/--no-admin-key",
            help="Make the tenant `default` and write its admin key below the home folder, where they are missing.",
        ),
    ] = True,
    format: FormatOption = Format.table,
) -> None:
    """Make the tables and topics that are missing, and bring the state to this program's version.

    The engines must run. Containers run it once before the services; on one machine `lemo up` needs no such step. State
    that a newer Lemo wrote is refused.
    """
    from lemo.settings import Settings
    from lemo.stores.bootstrap import ensure_admin
    from lemo.stores.connect import Stores
    from lemo.stores.upgrade import upgrade as bring

    settings = Settings()
    stores = Stores(settings)
    try:
        done = bring(stores)
    finally:
        stores.close()
    if admin_key:
        ensure_admin(settings)
        messages.print(f"The admin key is in {settings.admin_key_file}", soft_wrap=True)
    show([asdict(each) for each in done], format)
