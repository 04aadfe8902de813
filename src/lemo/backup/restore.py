"""Restores a backup into an empty installation."""

import os
import shutil
import tarfile
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from pydantic import ValidationError

from lemo.backup.contents import ABOUT, DOCUMENTS, FORMAT, KEY, LOG, MODELS, TABLES, About
from lemo.domain.errors import Conflict, Damaged, EngineUnavailable, InvalidInput
from lemo.settings import Settings
from lemo.stores.clickhouse.events import SCHEMA_VERSION
from lemo.stores.clickhouse.transfer import TableTransfer
from lemo.stores.connect import Stores
from lemo.stores.documents.sqlite import SqliteDocuments
from lemo.stores.documents.transfer import copy_documents, count_documents
from lemo.stores.state_version import STATE_VERSION, refuse_newer
from lemo.streams.transfer import transfer_of

Watch = Callable[[str], None]
_FOLDER = "restoring"
"""Below the home folder, from the first step to the last: a restore that was killed may be repeated."""


def check_target(settings: Settings) -> None:
    """Raises Conflict where there are documents already: a restore replaces nothing. Raises EngineUnavailable."""
    if settings.mongo_url:
        if (settings.state / _FOLDER).exists():  # a restore into it was stopped
            return
        with closing(Stores(settings)) as stores:
            if count_documents(stores.documents):
                raise Conflict(
                    f"The database {settings.mongo_database} of MongoDB holds documents already; a restore replaces"
                    " nothing.",
                    "Name an empty one with LEMO_MONGO_DATABASE.",
                )
    elif (settings.state / DOCUMENTS).exists():
        raise Conflict(
            f"{settings.state} holds an installation already; a restore replaces nothing.",
            "Move that folder away, or name an empty one with LEMO_HOME.",
        )


def restore_backup(settings: Settings, file: Path, watch: Watch = lambda _part: None) -> About:
    """Restores the archive. Engines must run and be empty (Kafka may hold messages), services must not run.

    The documents come last: until they are there, the restore may be repeated after whatever stopped it. Raises
    Conflict, Damaged where the archive is not whole, InvalidInput where it is none of ours, and EngineUnavailable.
    """
    check_target(settings)
    part = settings.state / _FOLDER
    again = part.exists()
    try:
        part.mkdir(mode=0o700, parents=True, exist_ok=True)
        watch("archive")
        about = _unpacked(file, part)
        _fits(settings, about)
        _restore(settings, part, about, again, watch)
        shutil.rmtree(part)
    except OSError as error:
        raise EngineUnavailable(
            f"The backup cannot be restored to {settings.state}: {error.strerror or error}.",
            "Check the folder and its disk, then repeat it.",
        ) from error
    return about


def _unpacked(file: Path, folder: Path) -> About:
    (folder / ABOUT).unlink(missing_ok=True)
    try:
        with tarfile.open(file, mode="r:gz") as tar:
            tar.extractall(folder, filter="data")
        return About.model_validate_json((folder / ABOUT).read_bytes())
    except (FileNotFoundError, EOFError, tarfile.TarError, zlib.error, OSError, ValidationError) as error:
        if not file.exists():
            raise InvalidInput(f"There is no file {file}.", "Name the archive that `lemo backup` wrote.") from error
        if isinstance(error, OSError) and error.errno is not None and not isinstance(error, FileNotFoundError):
            raise
        raise Damaged(
            f"{file} is no whole backup of Lemo.", "Take another one: this was cut off or changed."
        ) from error


def _fits(settings: Settings, about: About) -> None:
    refuse_newer("archive's format", about.format, FORMAT)
    refuse_newer("documents of the archive", about.state, STATE_VERSION)
    refuse_newer("tables of the archive", about.events_schema, SCHEMA_VERSION)
    if about.installation != settings.installation:
        raise InvalidInput(
            f"The backup is of the installation {about.installation!r}, this one is called {settings.installation!r}: "
            "topics and queues have that name in them.",
            f"Set LEMO_INSTALLATION={about.installation}.",
        )


def _restore(settings: Settings, part: Path, about: About, again: bool, watch: Watch) -> None:
    stores = Stores(settings)
    log = transfer_of(settings, stores.log)
    clickhouse = TableTransfer(settings.clickhouse, settings.clickhouse_database)
    with closing(stores), closing(clickhouse):
        stores.events.migrate()
        if not again and (log.topics() or any(clickhouse.count(table) for table in about.tables)):
            raise Conflict(
                "Redis or ClickHouse hold messages or events of this installation already.",
                "Restore into empty engines, or under another LEMO_CLICKHOUSE_DATABASE and Redis.",
            )
        watch("tables")
        for table, held in about.tables.items():
            clickhouse.load(table, held.columns, part / TABLES / table)
        clickhouse.mark_all()
        watch("messages")
        log.remove()
        log.load(part / LOG)
        watch("models")
        snapshots = stores.snapshot_transfer()
        for file in (part / MODELS).rglob("*"):
            if file.is_file():
                snapshots.write(file.relative_to(part / MODELS).as_posix(), file)
        watch("documents")
        if settings.mongo_url:
            with closing(SqliteDocuments(part / DOCUMENTS)) as documents:
                copy_documents(documents, stores.documents)
    if (part / KEY).exists():
        shutil.copyfile(part / KEY, settings.admin_key_file)
        settings.admin_key_file.chmod(0o600)
    if not settings.mongo_url:
        with (part / DOCUMENTS).open("rb") as file_of_documents:
            os.fsync(file_of_documents.fileno())
        (part / DOCUMENTS).rename(settings.state / DOCUMENTS)
