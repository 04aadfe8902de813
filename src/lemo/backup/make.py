"""Takes a backup of a running installation.

The log is copied first, then documents and tables, then models. A message that was acknowledged before the backup began
is in one of them: it stands in the log, or was written to the stores before it was committed there. What is in both
counts once, since a message that is taken in again changes nothing. Left out is what is made anew: vectors,
aggregates, and all that Redis holds besides the log.
"""

import os
import sqlite3
import tarfile
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from lemo import __version__
from lemo.backup.contents import ABOUT, DOCUMENTS, FORMAT, KEY, LOG, MODELS, TABLES, About, TableRows
from lemo.domain.errors import Conflict, EngineUnavailable
from lemo.stores.clickhouse.events import SCHEMA_VERSION
from lemo.stores.clickhouse.transfer import TABLES as KEPT_TABLES
from lemo.stores.clickhouse.transfer import TableTransfer
from lemo.stores.connect import Stores
from lemo.stores.documents import Documents
from lemo.stores.documents.sqlite import BUSY_SECONDS, SqliteDocuments
from lemo.stores.documents.transfer import copy_documents
from lemo.stores.objects.transfer import SnapshotTransfer
from lemo.stores.state_version import STATE_VERSION
from lemo.streams.topics import Topics
from lemo.streams.transfer import transfer_of

Watch = Callable[[str], None]
"""Called with what is being copied."""
_LEVEL = 1
"""Of gzip: events and models hardly become smaller by more."""


def make_backup(stores: Stores, file: Path, models: bool = True, watch: Watch = lambda _part: None) -> About:
    """Writes the archive `file` (mode 0600); the services go on. Without `models` training makes them anew.

    Raises Conflict where the file exists, and EngineUnavailable.
    """
    if file.exists():
        raise Conflict(f"{file} exists.", "Name another file, or move that one away.")
    try:
        with TemporaryDirectory(dir=file.absolute().parent, prefix=f".{file.name}-") as folder:
            return _make(stores, file, Path(folder), models, watch)
    except OSError as error:
        raise EngineUnavailable(
            f"The backup cannot be written to {file}: {error.strerror or error}.", "Check the folder and its disk."
        ) from error


def _make(stores: Stores, file: Path, folder: Path, models: bool, watch: Watch) -> About:
    settings, began = stores.settings, datetime.now(UTC)
    watch("messages")
    messages = _copy_log(stores, folder / LOG)
    watch("documents")
    if settings.mongo_url:
        _copy_documents_of_cluster(stores.documents, folder / DOCUMENTS)
    else:
        _copy_documents(settings.state / DOCUMENTS, folder / DOCUMENTS)
    watch("tables")
    stores.events.migrate()
    (folder / TABLES).mkdir()
    tables = {}
    with closing(TableTransfer(settings.clickhouse, settings.clickhouse_database)) as clickhouse:
        for name in KEPT_TABLES:
            tables[name] = TableRows(columns=clickhouse.columns(name), rows=clickhouse.count(name))
            clickhouse.dump(name, tables[name].columns, folder / TABLES / name)
    watch("models")
    part = folder / "archive"
    with open(part, "xb", opener=_private) as out, tarfile.open(fileobj=out, mode="w:gz", compresslevel=_LEVEL) as tar:
        for name in (LOG, DOCUMENTS, TABLES):
            tar.add(folder / name, name)
        if settings.admin_key_file.exists():
            tar.add(settings.admin_key_file, KEY)
        count = _add_models(stores.snapshot_transfer(), tar, folder / "object") if models else 0
        about = About(
            format=FORMAT,
            lemo=__version__,
            made_at=began,
            installation=settings.installation,
            state=STATE_VERSION,
            events_schema=SCHEMA_VERSION,
            tables=tables,
            messages=messages,
            models=count,
        )
        (folder / ABOUT).write_text(about.model_dump_json(indent=2), "utf-8")
        tar.add(folder / ABOUT, ABOUT)
    with part.open("rb") as written:
        os.fsync(written.fileno())
    part.rename(file)
    return about


def _copy_log(stores: Stores, file: Path) -> int:
    settings = stores.settings
    topics, transfer = Topics(settings), transfer_of(settings, stores.log)
    known = dict.fromkeys([*topics.read_of(stores.log), *topics.written, *transfer.topics()])
    with file.open("wb") as out:
        return sum(transfer.dump(topic, settings.kafka_group, out) for topic in known)


def _copy_documents(source: Path, target: Path) -> None:
    try:
        with (
            closing(sqlite3.connect(f"{source.as_uri()}?mode=rw", timeout=BUSY_SECONDS, uri=True)) as original,
            closing(sqlite3.connect(target)) as copy,
        ):
            original.backup(copy)  # in one step: a copy in several begins anew with each write of another process
            copy.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as error:
        raise EngineUnavailable(f"{source} cannot be copied: {error}.", "See `lemo doctor`.") from error


def _copy_documents_of_cluster(source: Documents, target: Path) -> None:
    copy = SqliteDocuments(target)
    copy_documents(source, copy)
    copy.close()
    with closing(sqlite3.connect(target)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")


def _add_models(transfer: SnapshotTransfer, tar: tarfile.TarFile, part: Path) -> int:
    """Adds each object of the snapshot store; returns how many. What cleaning removes meanwhile is left out."""
    count = 0
    for name in transfer.names():
        if transfer.read(name, part):
            tar.add(part, f"{MODELS}/{name}")
            count += 1
    return count


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
