"""Content vectors of items, soon after they arrive: text -> TF-IDF and SVD, or a sentence model -> the vector store."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
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
from lemo.stores.objects.versions import new_version
from lemo.stores.vectors.embedders import open_embedder

log = structlog.get_logger()

KIND = "embedding"
GROWTH = 2.0
"""The vocabulary is learnt again when the catalogue has grown by this factor."""
BATCH = 500
"""Items between two progress reports."""
Array = np.ndarray[Any, Any]
Value = TypeVar("Value")


def embed(stores: Stores, scope: Scope, report: Report) -> Done:
    """Embeds the waiting items, or all items into a new collection when the embedding model has changed.

    A model that is learnt from the items is learnt again when the catalogue has doubled. A text is embedded again only
    when it or the model has changed. The switch to a new collection comes last, so that a run that crashes leaves
    either the old collection in service or the new one complete.
    """
    waiting = stores.embedding_queue.begin(scope)
    with closing(_Embedding(stores.settings)) as embedding:
        version = stores.snapshots.current(scope, KIND)
        if not waiting and version is not None and embedding.is_model_of(stores, scope, version):
            return idle("No item waits for its vector.")
        version = _follow_pointer(stores, scope)
        if version is not None and embedding.is_model_of(stores, scope, version):
            model = embedding.of(stores.snapshots.open(scope, KIND, version).arrays)
            written = _embed_waiting(stores, scope, report, model, version, waiting)
            return Done(len(waiting), written, {"version": version, "refitted": False})
        return _embed_all(stores, scope, report, embedding, waiting)


@dataclass(frozen=True, slots=True, eq=False)
class _Model:
    """An embedding model, and its identity, which changes with the model."""

    identity: str
    encode: Callable[[Sequence[str]], Array]

    def digest(self, text: str) -> str:
        """Digest of model and text. As long as it is the same, so is the vector."""
        return blake2b(f"{self.identity}\0{text}".encode(errors="surrogatepass"), digest_size=16).hexdigest()


class _Embedding:
    """The embedding by the settings: a sentence model, else TF-IDF and SVD learnt from the items."""

    def __init__(self, settings: Settings) -> None:
        self._external = open_embedder(settings)
        self._dimensions = settings.embedding_dimensions
        self.identity = self._external.identity if self._external else f"tf-idf:{self._dimensions}"

    def is_model_of(self, stores: Stores, scope: Scope, version: str) -> bool:
        """Whether the version was made by this embedding and need not be learnt again."""
        try:
            about = stores.snapshots.open(scope, KIND, version).manifest
        except NotFound as error:  # lost or damaged
            log.warning("the embedding is learnt again", scope=str(scope), error=error.message)
            return False
        if about.get("identity") != self.identity:
            return False
        return self._external is not None or stores.items.count(scope) < GROWTH * about["texts"]

    def of(self, arrays: Mapping[str, Array]) -> _Model:
        """The model of a snapshot's arrays."""
        if self._external is not None:
            return _Model(self.identity, self._external.embed)
        return _Model(self.identity, TextEmbedding.from_arrays(arrays).transform)

    def learn(self, texts: Sequence[str]) -> dict[str, Array]:
        """The arrays of a model learnt from the texts; empty for a sentence model."""
        return {} if self._external is not None else TextEmbedding.fit(texts, self._dimensions).to_arrays()

    def version(self, stores: Stores, scope: Scope) -> str:
        """A new version; for a sentence model an unfinished one, if there is any, as embedding is expensive."""
        if self._external is None:
            return new_version()
        mark = blake2b(self.identity.encode(), digest_size=3).hexdigest()
        serving = stores.snapshots.current(scope, KIND) or ""
        unfinished = [each for each in stores.vectors.versions(scope) if each > serving and each.endswith(f"-{mark}")]
        return unfinished[-1] if unfinished else f"{new_version().rpartition('-')[0]}-{mark}"

    def close(self) -> None:
        """Closes the sentence model."""
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
        count, without_words = _write(stores, scope, version, model, items)
        written += count
        kept = {item.item_id for item in items}.difference(without_words)
        stores.vectors.delete(scope, [item_id for item_id in ids if item_id not in kept])
        stores.embedding_queue.finish(scope, ids)
        report.advance(len(ids))
    return written


def _embed_all(stores: Stores, scope: Scope, report: Report, embedding: _Embedding, waiting: Sequence[str]) -> Done:
    items = [item for item in stores.items.scan(scope) if item.recommendable]
    if not items:
        stores.embedding_queue.finish(scope, waiting)
        return idle(NO_ITEMS, len(waiting))
    report.stage(f"learning words from {len(items):,} items")
    arrays = embedding.learn([item.text() for item in items])
    model = embedding.of(arrays)
    version = embedding.version(stores, scope)
    stores.vectors.create(scope, version, model.encode(["length of a vector"]).shape[1])
    report.stage("embedding all items", len(items))
    written = 0
    for batch in _batches(items):
        report.check()
        written += _write(stores, scope, version, model, batch)[0]
        report.advance(len(batch))
    report.check()
    about = {"texts": len(items), "identity": embedding.identity}
    stores.snapshots.publish(scope, KIND, version, arrays, about)
    stores.snapshots.point(scope, KIND, version, report.fence)
    _follow_pointer(stores, scope)
    for old in stores.vectors.versions(scope):
        if old < version:
            stores.vectors.drop(scope, old)
    stores.embedding_queue.finish(scope, waiting)
    return Done(len(items), written, {"version": version, "refitted": True})


def _follow_pointer(stores: Stores, scope: Scope) -> str | None:
    """Switches the vector store to the version that the pointer names. Returns it, or None where there is none.

    A switch of the vector store has no fence, so the pointer is read again after it. A run that was stopped in between
    while another took over thereby corrects its own switch.
    """
    while (version := stores.snapshots.current(scope, KIND)) is not None:
        if stores.vectors.current(scope) == version:
            return version
        if version not in stores.vectors.versions(scope):
            return None
        stores.vectors.switch(scope, version)
    return None


def _write(stores: Stores, scope: Scope, version: str, model: _Model, items: Sequence[Item]) -> tuple[int, list[str]]:
    """Embeds the items whose text has changed. Returns their number, and the ids of items without words.

    Equal texts are embedded once. A vector of zeros has no neighbours, so it is not stored.
    """
    digests = {item.item_id: model.digest(item.text()) for item in items}
    stored = stores.vectors.digests(scope, version, list(digests))
    changed = [item for item in items if stored.get(item.item_id) != digests[item.item_id]]
    texts = list(dict.fromkeys(item.text() for item in changed if item.text().strip()))
    vectors = _normalised(model.encode(texts)) if texts else np.zeros((0, 1), dtype=np.float32)
    rows = {text: row for row, text in enumerate(texts) if vectors[row].any()}
    with_words = [item for item in changed if item.text() in rows]
    if with_words:
        matrix = vectors[[rows[item.text()] for item in with_words]]
        ids = [item.item_id for item in with_words]
        stores.vectors.write(scope, version, ids, matrix, [digests[item_id] for item_id in ids])
    return len(with_words), [item.item_id for item in changed if item.text() not in rows]


def _normalised(vectors: Array) -> Array:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(norms > 0, norms, 1), dtype=np.float32)


def _batches(values: Sequence[Value]) -> Iterator[Sequence[Value]]:
    for start in range(0, len(values), BATCH):
        yield values[start : start + BATCH]
