"""Takes a backup of a running installation.

The log is copied first, then documents and tables, then models. A message that was acknowledged before the backup began
is in one of them: it stands in the log, or was written to the stores before it was committed there. What is in both
counts once, since a message that is taken in again changes nothing. Left out is what is made anew: vectors,
aggregates, and all that Redis holds besides the log.
"""

import os
import sqlite3
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from lemo import __version__
from lemo.backup.contents import ABOUT, DOCUMENTS, FORMAT, KEY, LOG, MODELS, TABLES, About, TableRows
from lemo.domain.errors import Conflict, EngineUnavailable, InvalidInput
from lemo.settings import Settings
from lemo.stores.clickhouse.events import SCHEMA_VERSION
from lemo.stores.clickhouse.transfer import TABLES as KEPT_TABLES
from lemo.stores.clickhouse.transfer import TableTransfer
from lemo.stores.connect import Stores
from lemo.stores.documents.sqlite import BUSY_SECONDS
from lemo.stores.state_version import STATE_VERSION
from lemo.streams.redis.transfer import StreamTransfer
from lemo.streams.topics import Topics

Watch = Callable[[str], None]
"""Called with what is being copied."""
_LEVEL = 1
"""Of gzip: events and models hardly become smaller by more."""


def refuse_engines_elsewhere(settings: Settings) -> None:
    """Raises InvalidInput where documents or log are in engines that have tools of their own for it."""
    for wrong, name, hint in (
        (settings.mongo_url, "documents are in MongoDB", "Back up that database with mongodump, together with"),
        (settings.kafka_bootstrap_servers, "ingest log is in Kafka", "Kafka keeps its messages; back up"),
    ):
        if wrong:
            raise InvalidInput(
                f"The {name}: `lemo backup` and `lemo restore` are for SQLite and Redis Streams.",
                f"{hint} ClickHouse and the bucket of models, by their own tools.",
            )


def make_backup(stores: Stores, file: Path, models: bool = True, watch: Watch = lambda _part: None) -> About:
    """Writes the archive `file` (mode 0600); the services go on. Without `models` training makes them anew.

    Raises Conflict where the file exists, InvalidInput, and EngineUnavailable.
    """
    settings = stores.settings
    refuse_engines_elsewhere(settings)
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
    snapshots = _files_of_models(settings) if models else []
    part = folder / "archive"
    with open(part, "xb", opener=_private) as out, tarfile.open(fileobj=out, mode="w:gz", compresslevel=_LEVEL) as tar:
        for name in (LOG, DOCUMENTS, TABLES):
            tar.add(folder / name, name)
        if settings.admin_key_file.exists():
            tar.add(settings.admin_key_file, KEY)
        count = sum(_add(tar, path, f"{MODELS}/{name}") for name, path in snapshots)
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
    topics, transfer = Topics(settings), StreamTransfer(settings.redis(0), settings.installation)
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


def _files_of_models(settings: Settings) -> Iterator[tuple[str, Path]]:
    """Each file of a snapshot with its name; none where they are in S3.

    Pointers come first, so that what they name is copied too; manifests last, since a version without one is none.
    """
    if "://" in settings.snapshots:
        return
    root = Path(settings.snapshots).expanduser()
    paths = [path for path in root.rglob("*") if path.is_file()]
    order = {"CURRENT": 0, "manifest.json": 2}
    paths.sort(key=lambda path: (order.get(path.parent.name, order.get(path.name, 1)), path))
    for path in paths:
        yield str(path.relative_to(root)), path


def _add(tar: tarfile.TarFile, path: Path, name: str) -> int:
    with suppress(FileNotFoundError):  # a version that cleaning has removed meanwhile
        tar.add(path, name)
        return 1
    return 0


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
