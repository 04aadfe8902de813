"""Snapshots: immutable, versioned sets of arrays in a folder or in S3, and pointers that say which one serves.

It is long because publishing, opening and pointing keep one layout of files.
"""

import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from hashlib import blake2b
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
import obstore
from filelock import FileLock
from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import LocalStore, ObjectStore, S3Store

from lemo.domain.deadlines import FOR_JOBS, Deadlines
from lemo.domain.errors import Conflict, Damaged, EngineUnavailable, InvalidInput, NotFound
from lemo.domain.scope import Scope, checked_name

if TYPE_CHECKING:
    from obstore.store import S3Config

MANIFEST = "manifest.json"
SIMILARITY_STATE = "similarity-state"
"""The kind that holds ids of users: what the similarity job goes on from."""
POINTERS = "CURRENT"
CHUNK = 8 << 20
"""Bytes per part of a large array: no second copy of it is made in memory."""
CACHED = 3
"""Downloaded snapshots kept per scenario and kind."""
VERSION = re.compile(r"[0-9][0-9A-Za-z-]{0,63}")
ARRAY = re.compile(r"[a-z][a-z0-9_]{0,99}")

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """An opened snapshot: its manifest, and its arrays mapped read-only, so that processes share their pages."""

    version: str
    manifest: dict[str, Any]
    arrays: Mapping[str, Array]


class Snapshots:
    """The snapshot store at `url`: a folder, or `s3://bucket/prefix` with a `cache` folder to map downloads from.

    Objects are `<tenant>/<scenario>/<kind>/<version>/<array>.npy` with `manifest.json`, written last and deleted
    first, so that a version without one is no version. The version that serves is named by the last of the empty
    objects `<tenant>/<scenario>/<kind>/CURRENT/<fencing number>.<version>`: a run that was stopped while another took
    over has a lower number and moves nothing back, also in stores that cannot compare and swap.
    Every call raises EngineUnavailable when the store does not answer or its disk is full.
    """

    _called = "snapshot store"

    def __init__(
        self,
        url: str,
        cache: Path,
        endpoint: str = "",
        access_key_id: str = "",
        secret_access_key: str = "",
        deadlines: Deadlines = FOR_JOBS,
    ) -> None:
        self._cache = cache
        self._folder: Path | None = None
        if url.startswith("s3://"):
            address = urlsplit(url)
            self._where = f"s3://{address.hostname}{address.path}"
            keys = endpoint, access_key_id, secret_access_key
            self._store: ObjectStore = _s3(self._where, *keys, deadlines)
            # Arrays take as long as they are large, whoever waits: a mapped model is renewed in the background.
            self._bulk: ObjectStore = _s3(self._where, *keys, FOR_JOBS)
        elif "://" in url and not url.startswith("file:///"):
            raise InvalidInput(
                "LEMO_SNAPSHOTS_URL is neither a folder nor s3://bucket/prefix.",
                "For MinIO and the like, write s3://bucket/prefix and set LEMO_S3_ENDPOINT to their address.",
            )
        else:
            self._folder = Path(url.removeprefix("file://")).expanduser().absolute()
            self._where = str(self._folder)
            with self._errors():
                self._store = self._bulk = LocalStore(self._folder, automatic_cleanup=True, mkdir=True)

    def publish(
        self, scope: Scope, kind: str, version: str, arrays: Mapping[str, Array], manifest: Mapping[str, Any]
    ) -> None:
        """Writes a snapshot, all of it or nothing that anybody sees.

        A version that was published before with the same arrays is left as it is, so that a job that was killed after
        it can run again; with other arrays it raises Conflict. What a killed job left of a version is overwritten.
        """
        folder = _path(scope, kind, version)
        described = {name: _described(name, array) for name, array in arrays.items()}
        text = json.dumps({"version": version, "manifest": dict(manifest), "arrays": described}, allow_nan=False)
        with self._errors():
            if self._same(folder, version, described):
                return
            for name, array in arrays.items():
                self._put_array(f"{folder}/{name}.npy", array)
            try:
                obstore.put(self._store, f"{folder}/{MANIFEST}", text.encode(), mode="create")
            except AlreadyExistsError:
                self._same(folder, version, described)

    def open(self, scope: Scope, kind: str, version: str) -> Snapshot:
        """Maps a snapshot; one in S3 is downloaded once for all processes of this machine.

        Raises NotFound, and Damaged where it is not whole; a damaged copy of one in S3 is downloaded again.
        """
        try:
            return self._open(scope, kind, version)
        except Damaged:
            if self._folder:
                raise
            shutil.rmtree(self._cache / _path(scope, kind, version), ignore_errors=True)
            return self._open(scope, kind, version)

    def _open(self, scope: Scope, kind: str, version: str) -> Snapshot:
        path = _path(scope, kind, version)
        with self._errors():
            folder = self._folder / path if self._folder else self._downloaded(path)
            try:
                stored = json.loads((folder / MANIFEST).read_bytes())
                arrays = {name: _mapped(folder / f"{name}.npy", about) for name, about in stored["arrays"].items()}
            except FileNotFoundError:
                raise _missing(scope, kind, version) from None
            except (ValueError, EOFError, KeyError) as error:
                raise Damaged(
                    f"The snapshot {folder} is damaged: {error}.",
                    "The next run of its job makes a new one: `lemo jobs run train-model-daily` for a model,"
                    " `compute-item-similarity-hourly` for similar items. Until then the version before serves.",
                ) from error
        return Snapshot(version, stored["manifest"], arrays)

    def current(self, scope: Scope, kind: str) -> str | None:
        """The version that serves, or None before the first one."""
        with self._errors():
            pointers = self._pointers(scope, kind)
        return pointers[-1].rpartition(".")[2] if pointers else None

    def point(self, scope: Scope, kind: str, version: str, fence: int) -> None:
        """Makes a version the one that serves, in one step for all readers; raises NotFound.

        `fence` is the fencing number of the lease under which that happens: raises Conflict, and changes nothing, where
        a later one pointed before.
        """
        with self._errors():
            try:
                obstore.head(self._store, f"{_path(scope, kind, version)}/{MANIFEST}")
            except FileNotFoundError:
                raise _missing(scope, kind, version) from None
            pointer = f"{_path(scope, kind)}/{POINTERS}/{fence:020d}.{version}"
            obstore.put(self._store, pointer, b"")
            *former, last = self._pointers(scope, kind)
            for name in former:
                with suppress(FileNotFoundError):  # another run was faster
                    obstore.delete(self._store, name)
        if last != pointer:
            raise Conflict(f"A later run has put another {kind} snapshot of {scope} into service than {version}.")

    def versions(self, scope: Scope, kind: str) -> list[str]:
        """All published versions, sorted."""
        with self._errors():
            return sorted(self._versions(scope, kind, finished=True))

    def unfinished(self, scope: Scope, kind: str) -> list[str]:
        """Versions without a manifest, sorted: being written right now, or left by a job that was killed."""
        with self._errors():
            return sorted(self._versions(scope, kind, finished=False))

    def delete(self, scope: Scope, kind: str, version: str) -> None:
        """Deletes a version, finished or not, if there is one; raises Conflict for the one that serves."""
        path = _path(scope, kind, version)
        if self.current(scope, kind) == version:
            raise Conflict(f"The {kind} snapshot {version} of {scope} is serving.", "Promote another one first.")
        with self._errors():
            objects = [entry["path"] for batch in obstore.list(self._store, f"{path}/") for entry in batch]
            for name in sorted(objects, key=lambda name: not name.endswith(f"/{MANIFEST}")):
                try:
                    obstore.delete(self._store, name)
                except FileNotFoundError:  # another cleanup was faster
                    continue
            shutil.rmtree(self._cache / path, ignore_errors=True)

    def delete_kind(self, scope: Scope, kind: str) -> int:
        """Deletes all versions of a kind, the serving one too; returns how many objects those were."""
        return self._delete_all(_path(scope, kind))

    def delete_scope(self, scope: Scope) -> int:
        """Deletes all snapshots of a scenario; returns how many objects those were."""
        return self._delete_all(_path(scope))

    def count_objects(self, scope: Scope, kind: str = "") -> int:
        """How many objects there are of a kind, or of the whole scenario."""
        with self._errors():
            return sum(len(batch) for batch in obstore.list(self._store, f"{_path(scope, kind)}/"))

    def _delete_all(self, path: str) -> int:
        with self._errors():
            objects = [entry["path"] for batch in obstore.list(self._store, f"{path}/") for entry in batch]
            # Pointers first, then manifests: a reader in between finds no version, not half of one.
            for name in sorted(objects, key=lambda name: (f"/{POINTERS}/" not in name, not name.endswith(MANIFEST))):
                with suppress(FileNotFoundError):  # another deletion was faster
                    obstore.delete(self._store, name)
            shutil.rmtree(self._cache / path, ignore_errors=True)
        return len(objects)

    def ping(self) -> str:
        """Asks the store for a sign of life; returns what it is."""
        with self._errors():
            obstore.list_with_delimiter(self._store)
        return f"folder {self._where}" if self._folder else f"S3 {self._where}"

    def check_writes(self) -> None:
        """Writes a small object and deletes it; raises EngineUnavailable where nothing can be written."""
        name = f"write-probe/{uuid.uuid4().hex}"
        with self._errors():
            obstore.put(self._store, name, b"0" * 4096)
            obstore.delete(self._store, name)

    def _pointers(self, scope: Scope, kind: str) -> list[str]:
        """Paths of the pointers, the one with the highest fencing number last."""
        start = f"{_path(scope, kind)}/{POINTERS}/"
        return sorted(entry["path"] for batch in obstore.list(self._store, start) for entry in batch)

    def _versions(self, scope: Scope, kind: str, *, finished: bool) -> set[str]:
        start = f"{_path(scope, kind)}/"
        objects = [entry["path"] for batch in obstore.list(self._store, start) for entry in batch]
        parts = [part for path in objects if (part := path.removeprefix(start).split("/"))[0] != POINTERS]
        complete = {part[0] for part in parts if part[1:] == [MANIFEST]}
        return complete if finished else {part[0] for part in parts if len(part) > 1} - complete

    def _same(self, folder: str, version: str, described: Mapping[str, Any]) -> bool:
        """Whether the version is published already, with these arrays; raises Conflict if with others."""
        try:
            stored = json.loads(bytes(obstore.get(self._store, f"{folder}/{MANIFEST}").bytes()))
        except FileNotFoundError:
            return False
        if stored["arrays"] != described:
            raise Conflict(
                f"The snapshot {folder} is published already, with other arrays.",
                f"Snapshots never change: publish under a version other than {version}.",
            )
        return True

    def _put_array(self, path: str, array: Array) -> None:
        data = _bytes(array)
        header = _header(array)
        if len(data) <= CHUNK:
            obstore.put(self._bulk, path, header + bytes(data))
            return
        parts = (data[start : start + CHUNK] for start in range(0, len(data), CHUNK))
        obstore.put(self._bulk, path, _after(header, parts), chunk_size=CHUNK)

    def _downloaded(self, path: str) -> Path:
        """The snapshot's folder in the cache: downloaded by whoever comes first, whole or not at all."""
        folder = self._cache / path
        if folder.exists():
            return folder
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with FileLock(folder.parent / ".lock"):
            if folder.exists():
                return folder
            partial = folder.with_name(f".partial-{folder.name}")
            shutil.rmtree(partial, ignore_errors=True)  # of a process that was killed: we hold the lock
            partial.mkdir()
            try:
                manifest = bytes(obstore.get(self._store, f"{path}/{MANIFEST}").bytes())
                for name in json.loads(manifest)["arrays"]:
                    with (partial / f"{name}.npy").open("wb") as out:
                        for chunk in obstore.get(self._bulk, f"{path}/{name}.npy").stream(CHUNK):
                            out.write(chunk)
                (partial / MANIFEST).write_bytes(manifest)
            except FileNotFoundError:
                shutil.rmtree(partial)
                return folder
            partial.rename(folder)
            self._prune(folder)
        return folder

    def _prune(self, newest: Path) -> None:
        """Keeps the last downloads. A process that has an older one mapped keeps its pages; the files may go."""
        others = [f for f in newest.parent.iterdir() if f != newest and VERSION.fullmatch(f.name)]
        for old in sorted(others, key=lambda folder: folder.stat().st_mtime_ns)[: 1 - CACHED]:
            shutil.rmtree(old, ignore_errors=True)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (PermissionDeniedError, UnauthenticatedError):
            raise EngineUnavailable(
                f"The {self._called} {self._where} refused access.",
                "Check LEMO_S3_ACCESS_KEY_ID, LEMO_S3_SECRET_ACCESS_KEY and the bucket's policy, or the folder's mode.",
            ) from None
        except (BaseError, OSError) as error:
            # Of obstore's messages only the first line: the rest is a dump of its internals, requests included.
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:300].rstrip(".")
            raise EngineUnavailable(
                f"The {self._called} {self._where} failed: {reason}.", _mend(reason, local=self._folder is not None)
            ) from None


def _s3(url: str, endpoint: str, access_key_id: str, secret_access_key: str, deadlines: Deadlines) -> S3Store:
    config: S3Config = {}
    if endpoint:
        config["endpoint"] = endpoint
        config["virtual_hosted_style_request"] = False
    if access_key_id:
        config["access_key_id"] = access_key_id
        config["secret_access_key"] = secret_access_key
    if not os.environ.get("AWS_REGION") and not os.environ.get("AWS_DEFAULT_REGION"):
        config["region"] = "us-east-1"
    return S3Store.from_url(
        url,
        config=config,
        client_options={
            "allow_http": endpoint.startswith("http://"),
            "connect_timeout": timedelta(seconds=deadlines.connect),
            "timeout": timedelta(seconds=deadlines.answer),
        },
        retry_config={"max_retries": min(deadlines.retries, 3), "retry_timeout": timedelta(seconds=10)},
    )


def _mend(reason: str, *, local: bool) -> str:
    if "No space left" in reason:
        return "Free some space (`df -h`), or keep fewer snapshots (LEMO_SNAPSHOTS_KEPT)."
    if local:
        return "Check that its disk is mounted, and the folder's owner and mode."
    return "Check that it runs, and LEMO_SNAPSHOTS_URL, LEMO_S3_ENDPOINT and that the bucket exists."


def _path(scope: Scope, kind: str = "", version: str = "") -> str:
    """Where things are; no name can lead out of its folder."""
    path = f"{checked_name('tenant', scope.tenant_id)}/{checked_name('scenario', scope.scenario_id)}"
    if kind:
        path = f"{path}/{checked_name('kind of snapshot', kind)}"
    if not version:
        return path
    if not VERSION.fullmatch(version):
        raise InvalidInput(
            f"{version[:80]!r} is no version of a snapshot.",
            "Versions are digits, letters and '-', a digit first: 20261123T030000-1a2b3c.",
        )
    return f"{path}/{version}"


def _missing(scope: Scope, kind: str, version: str) -> NotFound:
    return NotFound(f"There is no {kind} snapshot {version} of {scope}.", "`lemo models list` shows what there is.")


def _described(name: str, array: Array) -> dict[str, Any]:
    """What the manifest says of an array; its digest tells whether two snapshots are the same."""
    if not ARRAY.fullmatch(name) or array.dtype.hasobject:
        raise ValueError(f"array {name!r} of type {array.dtype} cannot be stored: plain numbers and a plain name only")
    data = _bytes(array)
    digest = blake2b(data, digest_size=16).hexdigest()
    return {"shape": list(array.shape), "dtype": array.dtype.str, "digest": digest}


def _bytes(array: Array) -> memoryview:
    """The array's bytes in C order, without a copy where they lie so."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def _header(array: Array) -> bytes:
    """The head of a .npy file, in C order."""
    header = BytesIO()
    about = {"descr": np.lib.format.dtype_to_descr(array.dtype), "fortran_order": False, "shape": array.shape}
    np.lib.format.write_array_header_1_0(header, about)
    return header.getvalue()


def _after(header: bytes, parts: Iterator[memoryview]) -> Iterator[bytes | memoryview]:
    yield header
    yield from parts


def _mapped(file: Path, about: Mapping[str, Any]) -> Array:
    """The array, mapped read-only; raises ValueError if it is not what the manifest says."""
    array = np.load(file, mmap_mode="r", allow_pickle=False)
    if list(array.shape) != about["shape"] or array.dtype.str != about["dtype"]:
        raise ValueError(f"{file.name} holds {array.dtype} {array.shape}, not {about['dtype']} {about['shape']}")
    return np.asarray(array)
