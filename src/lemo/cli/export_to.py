"""`lemo export --to URL...`: an installation on other engines."""

from contextlib import closing, nullcontext
from pathlib import Path
from typing import Annotated

import typer

from lemo.cli.output import Format, FormatOption, messages, show


def export_to(
    context: typer.Context,
    to: Annotated[
        list[str] | None,
        typer.Option(
            "--to",
            metavar="URL",
            help="An engine to move to, once each: mongodb://, redis:// and http:// (ClickHouse), optionally kafka://,"
            " s3://bucket/prefix.",
        ),
    ] = None,
    home: Annotated[
        Path | None,
        typer.Option(
            help="The new home folder, for the admin key and the settings; by default `exported` in this one."
        ),
    ] = None,
    format: FormatOption = Format.table,
) -> None:
    """Write items and events into files; with --to, move the whole installation to other engines.

    The engines must run and be empty. Stop the services here first (lemo down); engines of this machine are started for
    it. Afterwards counts, hours and the lists of 1,000 users of each scenario are compared: exit code 1 where any
    differ. Here everything stays as it is.
    """
    if context.invoked_subcommand is not None:
        return
    if not to:
        raise typer.BadParameter("name a command (items, events), or engines by --to URL")
    from dataclasses import asdict

    from lemo.cli.backup import engines_of_this_machine
    from lemo.embedded import supervisor
    from lemo.moving.move import move
    from lemo.moving.target import target_settings, write_env
    from lemo.settings import Settings
    from lemo.stores.connect import Stores

    settings = Settings()
    target = target_settings(settings, to, (home or settings.state / "exported").absolute())
    with (
        engines_of_this_machine(settings) if supervisor.running(settings) is None else nullcontext(),
        closing(Stores(settings)) as stores,
        messages.status("Copying ...") as status,
    ):
        compared = move(stores, target, lambda part: status.update(f"{part} ..."))
    show([asdict(each) for each in compared], format)
    messages.print(f"Settings of the services there: {write_env(target)}", soft_wrap=True)
    if different := [each.what for each in compared if each.different]:
        messages.print(
            f"Not the same: {', '.join(different)}. Whoever wrote meanwhile makes a difference: stop the services,"
            " empty the engines there, and repeat it.",
            soft_wrap=True,
        )
        raise typer.Exit(1)
