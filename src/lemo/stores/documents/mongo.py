"""Documents in MongoDB: for a cluster. Plain operators only, so that what speaks MongoDB's protocol serves as well.

It is long because one method for each of the protocol, on one connection.
"""

import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pymongo import ASCENDING, DESCENDING, IndexModel, MongoClient, UpdateOne
from pymongo.collection import Collection
from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    DocumentTooLarge,
    DuplicateKeyError,
    OperationFailure,
    PyMongoError,
)
from pymongo.uri_parser import parse_uri

from lemo.domain.deadlines import FOR_JOBS, Deadlines
from lemo.domain.errors import EngineUnavailable, InvalidInput
from lemo.domain.scope import Scope
from lemo.stores.documents import KINDS, WRITE_PROBES, Body, Kind, Scalar
from lemo.stores.documents.bodies import decoded, encoded

BATCH = 1000
"""Documents per read of a scan, and ids per $in."""
FIELDS_BATCH = 10_000
"""Documents per read of their fields alone."""
UPDATES = 50
"""Updates per bulk: FerretDB keeps one of its 100 connections for each until the bulk ends, and hangs without one."""
DUPLICATE_KEY = 11000
LONGEST_SELECTION, LONGEST_ANSWER = 5.0, 60.0
"""Seconds that MongoDB may take to be found, and to answer."""
REFUSED = (13, 18, 8000)
"""MongoDB's codes for a wrong user, a wrong password and a missing right."""

Stored = dict[str, Any]


def mongo_client(url: str, deadlines: Deadlines) -> MongoClient[Stored]:
    """The client of documents; raises as pymongo does for a URL that is none."""
    return MongoClient(
        url,
        appname="lemo",
        connectTimeoutMS=2_000,
        serverSelectionTimeoutMS=_milliseconds(min(deadlines.answer, LONGEST_SELECTION)),
        socketTimeoutMS=_milliseconds(min(deadlines.answer, LONGEST_ANSWER)),
        retryReads=deadlines.retries > 1,
        w="majority",
        journal=True,
    )


class MongoDocuments:
    """Documents in the MongoDB `database` at `url`, one collection per kind.

    A document is `{_id, tenant, scenario, id, version, body, f_<field>...}`: `_id` is made of tenant, scenario and id,
    `body` is JSON text, so that any key ("price.usd", "$ref") and any number comes back as it was sent, and the kind's
    fields stand beside it for the indexes. Writes are acknowledged by the majority, from their journals.
    """

    def __init__(self, url: str, database: str, deadlines: Deadlines = FOR_JOBS) -> None:
        self._url = url
        self._deadlines = deadlines
        self._database = database
        self._lock = threading.Lock()
        self._client: MongoClient[Stored] | None = None
        self._where = "MongoDB"

    def get(self, kind: Kind, scope: Scope, id: str) -> Body | None:
        """The body of one document, or None."""
        return self.get_many(kind, scope, [id]).get(id)

    def get_many(self, kind: Kind, scope: Scope, ids: Sequence[str]) -> dict[str, Body]:
        """The bodies of those of `ids` that exist."""
        return {id: body for id, (_, body) in self.get_versioned(kind, scope, ids).items()}

    def get_versioned(self, kind: Kind, scope: Scope, ids: Sequence[str]) -> dict[str, tuple[int, Body]]:
        """The versions and bodies of those of `ids` that exist."""
        found: dict[str, tuple[int, Body]] = {}
        with self._collection(kind) as collection:
            for start in range(0, len(ids), BATCH):
                keys = [_key(scope, id) for id in ids[start : start + BATCH]]
                for stored in collection.find({"_id": {"$in": keys}}, {"id": 1, "version": 1, "body": 1}):
                    found[stored["id"]] = stored["version"], decoded(stored["body"])
        return found

    def put(self, kind: Kind, scope: Scope, bodies: Mapping[str, Body]) -> None:
        """Writes or replaces documents by id; a document keeps its version."""
        self._put(kind, scope, bodies, None)

    def put_new(self, kind: Kind, scope: Scope, id: str, body: Body) -> bool:
        """Writes the document unless its id is taken; False where it was."""
        stored = {"_id": _key(scope, id), "version": 0, **_stored(kind, scope, id, body)}
        with self._collection(kind) as collection:
            try:
                collection.insert_one(stored)
            except DuplicateKeyError:
                return False
            return True

    def put_newer(self, kind: Kind, scope: Scope, bodies: Mapping[str, Body], versions: Mapping[str, int]) -> set[str]:
        """Writes each document whose version is at least the stored one; returns the ids written."""
        return self._put(kind, scope, bodies, versions)

    def find(
        self,
        kind: Kind,
        scope: Scope,
        where: Mapping[str, Scalar] | None = None,
        order: str = "",
        limit: int = 100,
        offset: int = 0,
    ) -> list[tuple[str, Body]]:
        """Documents whose fields equal `where`, ordered by a field (`-field` descending), else by id."""
        by = [("id", ASCENDING)]
        if order:
            direction = DESCENDING if order.startswith("-") else ASCENDING
            by.insert(0, (_field(kind, order.removeprefix("-")), direction))
        if limit <= 0:  # MongoDB takes 0 as "all"
            return []
        with self._collection(kind) as collection:
            cursor = collection.find(_filter(kind, scope, where), {"id": 1, "body": 1}).sort(by)
            return [(stored["id"], decoded(stored["body"])) for stored in cursor.skip(offset).limit(limit)]

    def scopes(self, kind: Kind) -> list[Scope]:
        """The scopes that have documents of a kind, in no order."""
        group = {"$group": {"_id": {"tenant": "$tenant", "scenario": "$scenario"}}}
        with self._collection(kind) as collection:
            found = [each["_id"] for each in collection.aggregate([group])]
        return [Scope(each["tenant"], each["scenario"]) for each in found]

    def scan(self, kind: Kind, scope: Scope) -> Iterator[tuple[str, Body]]:
        """All documents of the scope by id, read in batches; what is written meanwhile may or may not be seen."""
        last = ""
        while True:
            # A query per batch instead of one cursor: a cursor dies with its server, or of old age at a slow caller.
            with self._collection(kind) as collection:
                query = {**_filter(kind, scope, None), "id": {"$gt": last}}
                batch = list(collection.find(query, {"id": 1, "body": 1}).sort([("id", ASCENDING)]).limit(BATCH))
            for stored in batch:
                yield stored["id"], decoded(stored["body"])
            if len(batch) < BATCH:
                return
            last = batch[-1]["id"]

    def fields(self, kind: Kind, scope: Scope) -> Iterator[tuple[str, int, tuple[Scalar, ...]]]:
        """Id, version and the kind's fields of all documents of the scope by id, in batches, without their bodies."""
        names = [_field(kind, field) for field in kind.fields]
        wanted = dict.fromkeys(["id", "version", *names], 1)
        last = ""
        while True:
            with self._collection(kind) as collection:
                query = {**_filter(kind, scope, None), "id": {"$gt": last}}
                batch = list(collection.find(query, wanted).sort([("id", ASCENDING)]).limit(FIELDS_BATCH))
            for stored in batch:
                yield stored["id"], stored["version"], tuple(stored.get(name) for name in names)
            if len(batch) < FIELDS_BATCH:
                return
            last = batch[-1]["id"]

    def ids(self, kind: Kind, scope: Scope, where: Mapping[str, Scalar]) -> list[str]:
        """The ids of all documents whose fields equal `where`, without reading their bodies; in no order."""
        with self._collection(kind) as collection:
            return [found["id"] for found in collection.find(_filter(kind, scope, where), {"_id": 0, "id": 1})]

    def count(self, kind: Kind, scope: Scope, where: Mapping[str, Scalar] | None = None) -> int:
        """How many documents match."""
        with self._collection(kind) as collection:
            return int(collection.count_documents(_filter(kind, scope, where)))

    def delete(self, kind: Kind, scope: Scope, ids: Sequence[str]) -> int:
        """Deletes by id; returns how many there were."""
        deleted = 0
        with self._collection(kind) as collection:
            for start in range(0, len(ids), BATCH):
                keys = [_key(scope, id) for id in ids[start : start + BATCH]]
                deleted += collection.delete_many({"_id": {"$in": keys}}).deleted_count
        return deleted

    def scrub(self) -> str:
        """Nothing can be asked of the server: it writes over the space of deleted documents in its own time."""
        return "MongoDB writes over the space of deleted documents in its own time; its oplog and backups keep them."

    def ping(self) -> str:
        """Asks the server for its version."""
        with self._errors():
            return f"MongoDB {self._connected().server_info()['version']}"

    def check_writes(self) -> None:
        """Writes a document and deletes it; raises EngineUnavailable where nothing can be written."""
        scope, id = Scope("lemo", "write-probe"), uuid.uuid4().hex
        self.put_new(WRITE_PROBES, scope, id, {})
        self.delete(WRITE_PROBES, scope, [id])

    def close(self) -> None:
        """Closes the connections."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    def _put(
        self, kind: Kind, scope: Scope, bodies: Mapping[str, Body], versions: Mapping[str, int] | None
    ) -> set[str]:
        """Inserts what is missing and updates the rest, guarded by version if there is one; returns the ids written.

        No bulk of upserts: where the guard fails they would meet duplicate keys, and not every server that speaks
        MongoDB's protocol goes on with the rest of the bulk then. A replay of old data costs one read this way.
        """
        changes = {id: _stored(kind, scope, id, body) for id, body in bodies.items()}
        for id, version in (versions or {}).items():
            if id in changes:
                changes[id]["version"] = version
        written: set[str] = set()
        with self._collection(kind) as collection:
            waiting = list(changes)
            while waiting:  # another round only for what somebody else wrote or deleted at the same moment
                stored = _versions(collection, scope, waiting)
                if versions is not None:
                    waiting = [id for id in waiting if stored.get(id, versions[id]) <= versions[id]]
                new = [id for id in waiting if id not in stored]
                known = [id for id in waiting if id in stored]
                taken = _insert(collection, [{"_id": _key(scope, id), "version": 0, **changes[id]} for id in new])
                waiting = [new[index] for index in taken]
                for start in range(0, len(known), UPDATES):
                    batch = known[start : start + UPDATES]
                    updates = []
                    for id in batch:
                        guard = {} if versions is None else {"version": {"$lte": versions[id]}}
                        updates.append(UpdateOne({"_id": _key(scope, id), **guard}, {"$set": changes[id]}))
                    if collection.bulk_write(updates, ordered=False).matched_count < len(batch):
                        waiting.extend(batch)
                    else:
                        written.update(batch)
                written.update(set(new).difference(waiting))
        return written

    def _connected(self) -> MongoClient[Stored]:
        """The client, with the indexes made once per process."""
        with self._lock:
            if self._client is None:
                client = self._connect()
                try:
                    for kind in KINDS:
                        collection = client[self._database][kind.name]
                        there = collection.index_information()
                        missing = [index for index in _indexes(kind) if index.document["name"] not in there]
                        if missing:
                            collection.create_indexes(missing)
                except BaseException:
                    client.close()
                    raise
                self._client = client
            return self._client

    def _connect(self) -> MongoClient[Stored]:
        try:
            if not self._url.startswith("mongodb+srv:"):
                hosts = parse_uri(self._url, validate=False)["nodelist"]
                self._where = "MongoDB at " + ", ".join(f"{host}:{port}" for host, port in hosts)
            return mongo_client(self._url, self._deadlines)
        except (ConfigurationError, ValueError):
            # pymongo repeats parts of the URL here, and so perhaps the password: `from None` and no text of it.
            raise EngineUnavailable(
                "LEMO_MONGO_URL is no MongoDB URL, or its options contradict each other.",
                "Write mongodb://user:password@host:27017/?option=value; in user and password write / : @ % as"
                " %2F %3A %40 %25.",
            ) from None

    @contextmanager
    def _collection(self, kind: Kind) -> Iterator[Collection[Stored]]:
        """The kind's collection, and pymongo's errors as ours."""
        if kind not in KINDS:
            raise LookupError(f"unknown kind {kind.name!r}")
        with self._errors():
            yield self._connected()[self._database][kind.name]

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except UnicodeEncodeError:
            raise InvalidInput("An id is not valid Unicode.", "Send ids as UTF-8 text.") from None
        except DocumentTooLarge:
            raise InvalidInput(
                "A document is larger than the 16 MB that MongoDB stores.", "Shorten its texts or its attributes."
            ) from None
        except OperationFailure as error:
            if error.code in REFUSED:
                raise EngineUnavailable(
                    f"{self._where} refused the user name or the password (code {error.code}).",
                    f"Check LEMO_MONGO_URL, and that the user may read and write the database {self._database!r}.",
                    engine=self._where,
                ) from None
            raise EngineUnavailable(
                f"{self._where} could not do it (code {error.code}): {_text(error)}.",
                "Look into its log.",
                engine=self._where,
            ) from None
        except PyMongoError as error:
            raise EngineUnavailable(
                f"{self._where} does not answer: {_text(error)}.",
                "Start it, or check LEMO_MONGO_URL; without that setting documents are kept in SQLite.",
                engine=self._where,
            ) from None


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)


def _text(error: PyMongoError) -> str:
    """The start of pymongo's message, which goes on with a dump of its view of the servers."""
    return str(error).partition(", Timeout:")[0].rstrip(".")[:300]


def _key(scope: Scope, id: str) -> str:
    """The document's `_id`: lengths go before the names, so that no two different triples make the same text."""
    return f"{len(scope.tenant_id)}:{scope.tenant_id}/{len(scope.scenario_id)}:{scope.scenario_id}/{id}"


def _field(kind: Kind, field: str) -> str:
    """Where a field stands in a stored document; a field that the kind does not list stands nowhere."""
    if field not in kind.fields:
        raise LookupError(f"{kind.name} has no field {field!r}, only {', '.join(kind.fields) or 'none'}")
    return f"f_{field}"


def _filter(kind: Kind, scope: Scope, where: Mapping[str, Scalar] | None) -> Stored:
    fields = {_field(kind, field): value for field, value in (where or {}).items()}
    return {"tenant": scope.tenant_id, "scenario": scope.scenario_id, **fields}


def _stored(kind: Kind, scope: Scope, id: str, body: Body) -> Stored:
    """The stored document without `_id` and version."""
    fields = {_field(kind, field): body.get(field) for field in kind.fields}
    return {
        "tenant": scope.tenant_id,
        "scenario": scope.scenario_id,
        "id": id,
        "body": encoded(id, body),
        **fields,
    }


def _indexes(kind: Kind) -> list[IndexModel]:
    """One index by id, and one per field with the other fields behind it, so that filters on several use it too."""
    where = [("tenant", ASCENDING), ("scenario", ASCENDING)]
    indexes = [IndexModel([*where, ("id", ASCENDING)], name="by_id")]
    for field in kind.fields:
        names = (field, *(name for name in kind.fields if name != field))
        columns = [(_field(kind, name), ASCENDING) for name in names]
        indexes.append(IndexModel([*where, *columns, ("id", ASCENDING)], name=f"by_{field}"))
    return indexes


def _insert(collection: Collection[Stored], stored: list[Stored]) -> list[int]:
    """Inserts all; returns the positions of those whose id was taken."""
    if not stored:
        return []
    try:
        collection.insert_many(stored, ordered=False)
    except BulkWriteError as error:
        failures = error.details.get("writeErrors", []) if error.details else []
        if not failures or any(failure["code"] != DUPLICATE_KEY for failure in failures):
            raise
        return [failure["index"] for failure in failures]
    return []


def _versions(collection: Collection[Stored], scope: Scope, ids: Sequence[str]) -> dict[str, int]:
    """The stored versions of those of `ids` that exist."""
    versions: dict[str, int] = {}
    for start in range(0, len(ids), BATCH):
        keys = [_key(scope, id) for id in ids[start : start + BATCH]]
        for stored in collection.find({"_id": {"$in": keys}}, {"id": 1, "version": 1}):
            versions[stored["id"]] = stored["version"]
    return versions
