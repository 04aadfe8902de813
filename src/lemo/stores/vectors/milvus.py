"""Item vectors in Milvus, or in Milvus Lite's server: one collection per version, one alias for the one in use.

It is long because every call shares one connection and the translation of its errors.
"""

import hashlib
import logging
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import numpy as np
from grpc import RpcError  # type: ignore[import-untyped]
from pymilvus import DataType, MilvusClient, MilvusException

from lemo.domain.deadlines import FOR_JOBS, Deadlines
from lemo.domain.errors import Conflict, EngineUnavailable, NotFound
from lemo.domain.scope import Scope
from lemo.settings import DEFAULT_INSTALLATION

CONNECT_SECONDS = 3.0
CALL_SECONDS = 30.0
"""How long one call may take; pymilvus tries again until then when the server is away."""
ROWS = 1_000
"""Rows per write, read or delete; a row of 1,024 floats takes 4 KB and Milvus accepts messages of 64 MB."""
CALM = {"grpc.keepalive_time_ms": 300_000}
"""gRPC servers, Milvus Lite's among them, hang up on a client that asks for a sign of life more often than this."""
QUERIES = 200
"""Queries per search."""
ID_BYTES = 1024
"""An id has up to 256 characters of up to 4 bytes each, and Milvus counts bytes."""
MISSING = (100, 1600)
"""Milvus's codes for a collection and an alias that do not exist."""
NOT_LOADED = 101
"""Its code for a collection that is not in memory."""

Array = np.ndarray[Any, Any]
Answer = TypeVar("Answer")

# pymilvus logs every refused call with its traceback, although it also raises: the caller decides what is an error.
logging.getLogger("pymilvus").setLevel(logging.CRITICAL)


class Vectors:
    """Item vectors of scenarios, compared by cosine, with one collection per version of their model.

    A search sees every write that has returned (consistency Strong). Every call raises EngineUnavailable when Milvus
    does not answer. Rows are found by a hash of their item id, because an id may hold what Milvus's filters cannot.
    """

    def __init__(
        self,
        uri: str,
        token: str | None = None,
        installation: str = DEFAULT_INSTALLATION,
        deadlines: Deadlines = FOR_JOBS,
    ) -> None:
        self._installation = installation
        self._uri = uri
        self._answer_seconds = min(deadlines.answer, CALL_SECONDS)
        self._token = token
        self._lock = threading.Lock()
        self._connected: MilvusClient | None = None

    def create(self, scope: Scope, version: str, dimensions: int) -> None:
        """Makes the version's empty collection, or leaves it as it is; raises Conflict if it has other dimensions."""
        name = self._collection(scope, version)
        with self._client() as client:
            if client.has_collection(name, timeout=self._answer_seconds):
                described = client.describe_collection(name, timeout=self._answer_seconds)
                existing = next(int(f["params"]["dim"]) for f in described["fields"] if f["name"] == "vector")
                if existing != dimensions:
                    raise Conflict(
                        f"Vectors of version {version} in {scope} have {existing} dimensions, not {dimensions}.",
                        "Write vectors of another length under a new version.",
                    )
                return
            schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
            schema.add_field("pk", DataType.VARCHAR, is_primary=True, max_length=32)
            schema.add_field("item_id", DataType.VARCHAR, max_length=ID_BYTES)
            schema.add_field("digest", DataType.VARCHAR, max_length=32)
            schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dimensions)
            index = client.prepare_index_params()
            index.add_index("vector", index_type="AUTOINDEX", metric_type="COSINE")
            client.create_collection(
                name, schema=schema, index_params=index, consistency_level="Strong", timeout=self._answer_seconds
            )

    def write(self, scope: Scope, version: str, ids: Sequence[str], matrix: Array, digests: Sequence[str]) -> None:
        """Writes or replaces the items' vectors: float32 (items, dimensions), finite, no row all zeros.

        `digests` tell what each was made of, in up to 32 characters.
        """
        if matrix.shape[0] != len(ids) or not np.isfinite(matrix).all():
            raise ValueError(f"{len(ids)} ids need {len(ids)} finite rows, got shape {matrix.shape}")
        rows = matrix.astype(np.float32, copy=False)
        name = self._collection(scope, version)
        # Two rows of one key in one upsert are both kept by Milvus: the last one counts.
        last = list({id: row for row, id in enumerate(ids)}.items())
        with self._client() as client:
            for start in range(0, len(last), ROWS):
                batch = [
                    {"pk": _key(id), "item_id": id, "digest": digests[row], "vector": rows[row]}
                    for id, row in last[start : start + ROWS]
                ]
                client.upsert(name, batch, timeout=self._answer_seconds)

    def switch(self, scope: Scope, version: str) -> None:
        """Puts the version in use, in one step for all readers; raises NotFound if it does not exist."""
        name, alias = self._collection(scope, version), self._alias(scope)
        with self._client() as client:
            if not client.has_collection(name, timeout=self._answer_seconds):
                raise NotFound(f"There are no vectors of version {version} in {scope}.", "Embed its items first.")
            if self._current(client, scope) is None:
                client.create_alias(name, alias, timeout=self._answer_seconds)
            else:
                client.alter_alias(name, alias, timeout=self._answer_seconds)

    def current(self, scope: Scope) -> str | None:
        """The version in use, or None before the first one."""
        with self._client() as client:
            return self._current(client, scope)

    def versions(self, scope: Scope) -> list[str]:
        """All versions, sorted, finished or not."""
        prefix = f"{self._prefix(scope)}_v_"
        with self._client() as client:
            names = client.list_collections(timeout=self._answer_seconds)
        return sorted(_unescaped(name.removeprefix(prefix)) for name in names if name.startswith(prefix))

    def drop(self, scope: Scope, version: str) -> None:
        """Deletes a version, if there is one; raises Conflict for the one in use."""
        with self._client() as client:
            if self._current(client, scope) == version:
                raise Conflict(f"Vectors of version {version} in {scope} are in use.", "Switch to another one first.")
            client.drop_collection(self._collection(scope, version), timeout=self._answer_seconds)

    def drop_all(self, scope: Scope) -> int:
        """Deletes all versions of the scenario, the one in use too; returns how many there were."""
        versions = self.versions(scope)
        with self._client() as client:
            if self._current(client, scope) is not None:
                client.drop_alias(self._alias(scope), timeout=self._answer_seconds)
            for version in versions:
                client.drop_collection(self._collection(scope, version), timeout=self._answer_seconds)
        return len(versions)

    def search(self, scope: Scope, matrix: Array, k: int) -> list[list[tuple[str, float]]]:
        """For each row of float32 (queries, dimensions) the `k` nearest items and their cosine, nearest first.

        Empty lists before the first version is in use.
        """
        found: list[list[tuple[str, float]]] = []
        with self._client() as client:
            version = self._current(client, scope)
            if version is None:
                return [[] for _ in range(len(matrix))]
            for start in range(0, len(matrix), QUERIES):
                rows = [row.astype(np.float32, copy=False) for row in matrix[start : start + QUERIES]]
                hits = self._loaded(client, scope, version, partial(_search, client, self._alias(scope), rows, k))
                found.extend([(hit["entity"]["item_id"], float(hit["distance"])) for hit in row] for row in hits)
        return found

    def fetch(self, scope: Scope, ids: Sequence[str]) -> dict[str, Array]:
        """The float32 vectors, in the version in use, of those of `ids` that have one."""
        found: dict[str, Array] = {}
        with self._client() as client:
            version = self._current(client, scope)
            if not ids or version is None:
                return found
            for keys in _keys(ids):
                rows = self._loaded(client, scope, version, partial(_get, client, self._alias(scope), keys, "vector"))
                found.update((row["item_id"], np.asarray(row["vector"], dtype=np.float32)) for row in rows)
        return found

    def digests(self, scope: Scope, version: str, ids: Sequence[str]) -> dict[str, str]:
        """What the vectors of a version were made of, for those of `ids` that have one there."""
        found: dict[str, str] = {}
        name = self._collection(scope, version)
        with self._client() as client:
            for keys in _keys(ids):
                rows = self._loaded(client, scope, version, partial(_get, client, name, keys, "digest"))
                found.update((row["item_id"], row["digest"]) for row in rows)
        return found

    def delete(self, scope: Scope, ids: Sequence[str]) -> None:
        """Deletes the items' vectors from the version in use."""
        with self._client() as client:
            if not ids or self._current(client, scope) is None:
                return
            for keys in _keys(ids):
                client.delete(self._alias(scope), ids=keys, timeout=self._answer_seconds)

    def count(self, scope: Scope) -> int:
        """How many items have a vector in the version in use."""
        with self._client() as client:
            version = self._current(client, scope)
            return (
                0
                if version is None
                else self._loaded(client, scope, version, partial(_count, client, self._alias(scope)))
            )

    def ping(self) -> str:
        """Asks the server for its version."""
        with self._client() as client:
            version = str(client.get_server_version(timeout=CONNECT_SECONDS))
        return f"Milvus Lite {version.removeprefix('milvus_lite-')}" if "lite" in version else f"Milvus {version}"

    def census(self) -> tuple[list[str], int]:
        """The names of all of Lemo's collections, sorted, and how many of them an alias has in use."""
        with self._client() as client:
            names = [
                name
                for name in client.list_collections(timeout=CONNECT_SECONDS)
                if name.startswith(f"{self._installation}_")
            ]
            in_use = 0
            for name in names:
                alias = f"{name.rpartition('_v_')[0]}_current"
                try:
                    described = client.describe_alias(alias, timeout=CONNECT_SECONDS)
                except MilvusException as error:
                    if error.code not in MISSING:
                        raise
                else:
                    in_use += described["collection_name"] == name
        return sorted(names), in_use

    def close(self) -> None:
        """Closes the connection."""
        with self._lock:
            if self._connected is not None:
                self._connected.close()
                self._connected = None

    def _current(self, client: MilvusClient, scope: Scope) -> str | None:
        try:
            name = str(client.describe_alias(self._alias(scope), timeout=self._answer_seconds)["collection_name"])
        except MilvusException as error:
            if error.code in MISSING:
                return None
            raise
        return _unescaped(name.removeprefix(f"{self._prefix(scope)}_v_"))

    @contextmanager
    def _client(self) -> Iterator[MilvusClient]:
        """The client, connected at the first call, and its errors as ours."""
        try:
            with self._lock:
                if self._connected is None:
                    self._connected = MilvusClient(
                        self._uri, token=self._token or "", timeout=CONNECT_SECONDS, grpc_options=CALM
                    )
            yield self._connected
        except (MilvusException, RpcError) as error:
            code = getattr(error, "code", None)
            text = str(getattr(error, "message", "") or type(error).__name__)[:300]
            raise EngineUnavailable(
                f"Milvus at {_shown(self._uri)} could not do it (code {code}): {text.rstrip('.')}.",
                "Check that it runs (`lemo status` for the embedded one), and LEMO_MILVUS_URI and LEMO_MILVUS_TOKEN.",
                engine=f"Milvus at {_shown(self._uri)}",
            ) from None

    def _loaded(self, client: MilvusClient, scope: Scope, version: str, read: Callable[[], Answer]) -> Answer:
        """Reads; loads the collection first where a restarted server has it on disk only."""
        try:
            return read()
        except MilvusException as error:
            if error.code != NOT_LOADED:
                raise
        client.load_collection(self._collection(scope, version), timeout=self._answer_seconds)
        return read()

    def _prefix(self, scope: Scope) -> str:
        """How the scope's names begin: readable as far as it goes, told apart by a hash (Milvus allows no others)."""
        readable = re.sub(r"[^A-Za-z0-9]", "_", f"{scope.tenant_id[:24]}_{scope.scenario_id[:24]}")
        digest = hashlib.blake2b(f"{scope.tenant_id}\x1f{scope.scenario_id}".encode(), digest_size=10).hexdigest()
        return f"{self._installation}_{readable}_{digest}"

    def _collection(self, scope: Scope, version: str) -> str:
        """The version's collection; the version is escaped so that it can be read back."""
        escaped = re.sub(r"[^A-Za-z0-9]", lambda match: f"_{ord(match.group()):02x}", version)
        return f"{self._prefix(scope)}_v_{escaped}"

    def _alias(self, scope: Scope) -> str:
        return f"{self._prefix(scope)}_current"


def _search(client: MilvusClient, alias: str, rows: list[Array], k: int) -> Any:
    return client.search(
        alias,
        rows,
        limit=k,
        output_fields=["item_id"],
        search_params={"metric_type": "COSINE"},
        timeout=CALL_SECONDS,
    )


def _get(client: MilvusClient, name: str, keys: list[str], field: str) -> Any:
    return client.get(name, ids=keys, output_fields=["item_id", field], timeout=CALL_SECONDS)


def _count(client: MilvusClient, alias: str) -> int:
    answer = client.query(alias, filter="", output_fields=["count(*)"], timeout=CALL_SECONDS)
    return int(answer[0]["count(*)"])


def _shown(uri: str) -> str:
    """The address without a user name and a password."""
    return re.sub(r"//[^/]*@", "//", uri)


def _unescaped(escaped: str) -> str:
    return re.sub(r"_([0-9a-f]{2})", lambda match: chr(int(match.group(1), 16)), escaped)


def _key(id: str) -> str:
    return hashlib.blake2b(id.encode(), digest_size=16).hexdigest()


def _keys(ids: Sequence[str]) -> Iterator[list[str]]:
    """The row keys of the ids, a batch at a time."""
    for start in range(0, len(ids), ROWS):
        yield [_key(id) for id in ids[start : start + ROWS]]
