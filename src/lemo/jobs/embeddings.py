"""Content vectors of items, soon after they arrive: text -> TF-IDF and SVD, or a sentence model -> the vector store."""

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, TypeVar

import numpy as np
import structlog

from lemo.domain.errors import NotFound
from lemo.domain.item import Item
from lemo.domain.scope import Scope
from lemo.jobs.report import NO_ITEMS, Done, Report, idle
from lemo.recommenders.embedding import TextEmbedding
from lemo.settings import Settings
from lemo.stores.connect import Stores
from lemo.stores.vectors.embedders import open_embedder

log = structlog.get_logger()

KIND = "embedding"
GROWTH = 2.0
"""The vocabulary is learnt anew once the catalogue is this many times what it was learnt from."""
BATCH = 500
"""Items between two signs of progress."""
Array = np.ndarray[Any, Any]
Value = TypeVar("Value")


def new_version() -> str:
    """A version that orders by time and that two processes never share."""
    now = datetime.now(UTC)
    return f"{now:%Y%m%dT%H%M%S}{now.microsecond // 1000:03d}-{uuid.uuid4().hex[:6]}"


def embed(stores: Stores, scope: Scope, report: Report) -> Done:
    """Embeds the waiting items; all of them into a new collection the first time and when the model is another one.

    What is learnt from the items themselves is another model once the catalogue has doubled. A text is embedded again
    only when it or the model has changed. The switch to a new collection comes last, so that a run that dies leaves
    the old one serving or the new one whole.
    """
    waiting = stores.embedding_queue.begin(scope)
    with closing(_Chosen(stores.settings)) as chosen:
        version = stores.snapshots.current(scope, KIND)
        if not waiting and version is not None and chosen.is_model_of(stores, scope, version):
            return idle("No item waits for its vector.")
        version = _follow_pointer(stores, scope)
        if version is not None and chosen.is_model_of(stores, scope, version):
            model = chosen.of(stores.snapshots.open(scope, KIND, version).arrays)
            written = _embed_waiting(stores, scope, report, model, version, waiting)
            return Done(len(waiting), written, {"version": version, "refitted": False})
        return _embed_all(stores, scope, report, chosen, waiting)


@dataclass(frozen=True, slots=True, eq=False)
class _Model:
    """What makes vectors of texts, and the name of it that changes with it."""

    identity: str
    encode: Callable[[Sequence[str]], Array]

    def digest(self, text: str) -> str:
        """Tells texts and models apart: as long as it is the same, so is the vector."""
        return blake2b(f"{self.identity}\0{text}".encode(errors="surrogatepass"), digest_size=16).hexdigest()


class _Chosen:
    """The embedding that the settings ask for: a sentence model, else TF-IDF and SVD learnt from the items."""

    def __init__(self, settings: Settings) -> None:
        self._external = open_embedder(settings)
        self._dimensions = settings.embedding_dimensions
        self.identity = self._external.identity if self._external else f"tf-idf:{self._dimensions}"

    def is_model_of(self, stores: Stores, scope: Scope, version: str) -> bool:
        """Whether the version's vectors are this embedding's, as it would be learnt now."""
        try:
            about = stores.snapshots.open(scope, KIND, version).manifest
        except NotFound as error:  # lost or damaged: it is learnt anew
            log.warning("the embedding is learnt anew", scope=str(scope), error=error.message)
            return False
        if about.get("identity") != self.identity:
            return False
        return self._external is not None or stores.items.count(scope) < GROWTH * about["texts"]

    def of(self, arrays: Mapping[str, Array]) -> _Model:
        """The model that a snapshot's arrays hold."""
        if self._external is not None:
            return _Model(self.identity, self._external.embed)
        return _Model(self.identity, TextEmbedding.from_arrays(arrays).transform)

    def learn(self, texts: Sequence[str]) -> dict[str, Array]:
        """The arrays of a model of these texts; a sentence model has nothing to learn."""
        return {} if self._external is not None else TextEmbedding.fit(texts, self._dimensions).to_arrays()

    def version(self, stores: Stores, scope: Scope) -> str:
        """A new version; for a sentence model the one that a run left half-done, if there is one: texts cost."""
        if self._external is None:
            return new_version()
        mark = blake2b(self.identity.encode(), digest_size=3).hexdigest()
        serving = stores.snapshots.current(scope, KIND) or ""
        begun = [each for each in stores.vectors.versions(scope) if each > serving and each.endswith(f"-{mark}")]
        return begun[-1] if begun else f"{new_version().rpartition('-')[0]}-{mark}"

    def close(self) -> None:
        """Lets go of the model."""
        if self._external is not None:
            self._external.close()


def _embed_waiting(
    stores: Stores, scope: Scope, report: Report, model: _Model, version: str, waiting: Sequence[str]
) -> int:
    written = 0
    report.stage("embedding new items", len(waiting))
    for ids in _batches(waiting):
        found = stores.items.get_many(scope, ids)
        items = [item for item in found.values() if item.recommendable]
        report.check()
        count, wordless = _write(stores, scope, version, model, items)
        written += count
        kept = {item.item_id for item in items}.difference(wordless)
        stores.vectors.delete(scope, [item_id for item_id in ids if item_id not in kept])
        stores.embedding_queue.finish(scope, ids)
        report.advance(len(ids))
    return written


def _embed_all(stores: Stores, scope: Scope, report: Report, chosen: _Chosen, waiting: Sequence[str]) -> Done:
    items = [item for item in stores.items.scan(scope) if item.recommendable]
    if not items:
        stores.embedding_queue.finish(scope, waiting)
        return idle(NO_ITEMS, len(waiting))
    report.stage(f"learning words from {len(items):,} items")
    arrays = chosen.learn([item.text() for item in items])
    model = chosen.of(arrays)
    version = chosen.version(stores, scope)
    stores.vectors.create(scope, version, model.encode(["length of a vector"]).shape[1])
    report.stage("embedding all items", len(items))
    written = 0
    for batch in _batches(items):
        report.check()
        written += _write(stores, scope, version, model, batch)[0]
        report.advance(len(batch))
    report.check()
    about = {"texts": len(items), "identity": chosen.identity}
    stores.snapshots.publish(scope, KIND, version, arrays, about)
    stores.snapshots.point(scope, KIND, version, report.fence)
    _follow_pointer(stores, scope)
    for old in stores.vectors.versions(scope):
        if old < version:
            stores.vectors.drop(scope, old)
    stores.embedding_queue.finish(scope, waiting)
    return Done(len(items), written, {"version": version, "refitted": True})


def _follow_pointer(stores: Stores, scope: Scope) -> str | None:
    """Puts the vectors of the version that the pointer names in use; returns it, or None where there is none.

    Milvus switches for whoever asks, so it is asked for what the pointer says, and the pointer is asked again after: a
    run that was stopped in between while another took over puts right what it did.
    """
    while (version := stores.snapshots.current(scope, KIND)) is not None:
        if stores.vectors.current(scope) == version:
            return version
        if version not in stores.vectors.versions(scope):
            return None
        stores.vectors.switch(scope, version)
    return None


def _write(stores: Stores, scope: Scope, version: str, model: _Model, items: Sequence[Item]) -> tuple[int, list[str]]:
    """Embeds the items whose text has changed; returns how many, and the ids of those that have no words.

    A text is embedded once, however many items have it. A row of zeros has no neighbours, so it is not kept.
    """
    digests = {item.item_id: model.digest(item.text()) for item in items}
    known = stores.vectors.digests(scope, version, list(digests))
    changed = [item for item in items if known.get(item.item_id) != digests[item.item_id]]
    texts = list(dict.fromkeys(item.text() for item in changed if item.text().strip()))
    vectors = _normalised(model.encode(texts)) if texts else np.zeros((0, 1), dtype=np.float32)
    rows = {text: row for row, text in enumerate(texts) if vectors[row].any()}
    worded = [item for item in changed if item.text() in rows]
    if worded:
        matrix = vectors[[rows[item.text()] for item in worded]]
        ids = [item.item_id for item in worded]
        stores.vectors.write(scope, version, ids, matrix, [digests[item_id] for item_id in ids])
    return len(worded), [item.item_id for item in changed if item.text() not in rows]


def _normalised(vectors: Array) -> Array:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(norms > 0, norms, 1), dtype=np.float32)


def _batches(values: Sequence[Value]) -> Iterator[Sequence[Value]]:
    for start in range(0, len(values), BATCH):
        yield values[start : start + BATCH]
