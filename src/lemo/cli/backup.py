"""`lemo backup` and `lemo restore`: one archive of an installation, whatever its engines are."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from lemo.cli.output import Format, FormatOption, messages, show
from lemo.settings import Settings

if TYPE_CHECKING:
    from lemo.backup.contents import About

ArchiveArgument = Annotated[
    str, typer.Argument(help="The archive: a file such as lemo-2026-11-27.tar.gz, or s3://bucket/folder/name.tar.gz.")
]


def backup(
    file: ArchiveArgument,
    models: Annotated[
        bool, typer.Option("--models/--no-models", help="With the models; without them training makes new ones.")
    ] = True,
    format: FormatOption = Format.table,
) -> None:
    """Write a backup while everything runs: nothing that was acknowledged before it began is missing.

    It holds documents, events, answers, messages that wait, dead letters, models and the admin key, so keep it as
    secret as those. It can be restored into other engines: from this machine into a cluster, or back.
    """
    from lemo.backup.remote import backup_to
    from lemo.stores.connect import Stores

    stores = Stores(Settings())
    try:
        with messages.status("Copying ...") as status:
            about = backup_to(stores, file, models, lambda part: status.update(f"Copying {part} ..."))
    finally:
        stores.close()
    _show(about, format)


def restore(file: ArchiveArgument, format: FormatOption = Format.table) -> None:
    """Restore a backup into an empty home folder; then start Lemo with `lemo up`.

    The engines of this machine are started for it and stopped again; those with a URL must run and be empty. What was
    left out is made anew within minutes: sets in Redis, vectors and aggregates. It may be repeated if it was stopped.
    """
    from lemo.backup.remote import restore_from
    from lemo.backup.restore import check_target

    settings = Settings()
    check_target(settings)
    with engines_of_this_machine(settings), messages.status("Restoring ...") as status:
        about = restore_from(settings, file, lambda part: status.update(f"Restoring {part} ..."))
    _show(about, format)


@contextmanager
def engines_of_this_machine(settings: Settings) -> Iterator[None]:
    """Runs Redis and ClickHouse of this machine where they have no URL."""
    from lemo.embedded import supervisor
    from lemo.embedded.programs import programs

    wanted = [each for each in programs(settings) if each.name in ("redis", "clickhouse")]
    if not wanted:
        yield
        return
    with messages.status("Starting engines ..."):
        supervised = supervisor.launch(settings, wanted)
    try:
        with messages.status("Starting engines ..."):
            supervisor.wait_ready(supervised)
        yield
    finally:
        supervisor.stop(settings)


def _show(about: "About", format: Format) -> None:
    row = about.model_dump(include={"made_at", "lemo", "installation", "messages", "models"})
    show([row | {table: held.rows for table, held in about.tables.items()}], format)
