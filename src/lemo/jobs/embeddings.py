"""Content vectors of items, soon after they arrive: text -> TF-IDF -> SVD -> the vector store."""

import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TypeVar

import numpy as np

from lemo.domain.item import Item
from lemo.domain.scope import Scope
from lemo.jobs.report import Done, Report
from lemo.recommenders.embedding import TextEmbedding
from lemo.stores.connect import Stores

KIND = "embedding"
GROWTH = 2.0
"""The vocabulary is learnt anew once the catalogue is this many times what it was learnt from."""
BATCH = 1_000
Value = TypeVar("Value")


def new_version() -> str:
    """A version that orders by time and that two processes never share."""
    now = datetime.now(UTC)
    return f"{now:%Y%m%dT%H%M%S}{now.microsecond // 1000:03d}-{uuid.uuid4().hex[:6]}"


def embed(stores: Stores, scope: Scope, report: Report) -> Done:
    """Embeds the waiting items; the first time, or after the catalogue has doubled, all of it into a new collection.

    The switch to a new collection comes last, so that a run that dies leaves the old one serving or the new one whole.
    """
    waiting = stores.embedding_queue.begin(scope)
    if not waiting and stores.snapshots.current(scope, KIND) is not None:
        return Done()
    version = _follow_pointer(stores, scope)
    if version is not None:
        snapshot = stores.snapshots.open(scope, KIND, version)
        if stores.items.count(scope) < GROWTH * snapshot.manifest["texts"]:
            model = TextEmbedding.from_arrays(snapshot.arrays)
            written = _embed_waiting(stores, scope, report, model, version, waiting)
            return Done(len(waiting), written, {"version": version, "refitted": False})
    return _embed_all(stores, scope, report, waiting)


def _embed_waiting(
    stores: Stores, scope: Scope, report: Report, model: TextEmbedding, version: str, waiting: Sequence[str]
) -> int:
    written = 0
    report.stage("embedding new items", len(waiting))
    for ids in _batches(waiting):
        found = stores.items.get_many(scope, ids)
        items = [item for item in found.values() if item.recommendable]
        report.check()
        written += _write(stores, scope, version, model, items)
        alive = {item.item_id for item in items}
        stores.vectors.delete(scope, [item_id for item_id in ids if item_id not in alive])
        stores.embedding_queue.finish(scope, ids)
        report.advance(len(ids))
    return written


def _embed_all(stores: Stores, scope: Scope, report: Report, waiting: Sequence[str]) -> Done:
    items = [item for item in stores.items.scan(scope) if item.recommendable]
    if not items:
        stores.embedding_queue.finish(scope, waiting)
        return Done(len(waiting))
    report.stage(f"learning words from {len(items):,} items")
    model = TextEmbedding.fit([item.text() for item in items], stores.settings.embedding_dimensions)
    version = new_version()
    stores.vectors.create(scope, version, model.dimensions)
    report.stage("embedding all items", len(items))
    written = 0
    for batch in _batches(items):
        report.check()
        written += _write(stores, scope, version, model, batch)
        report.advance(len(batch))
    report.check()
    stores.snapshots.publish(scope, KIND, version, model.to_arrays(), {"texts": len(items)})
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


def _write(stores: Stores, scope: Scope, version: str, model: TextEmbedding, items: Sequence[Item]) -> int:
    """Writes the vectors of items that have words the model knows; a row of zeros has no neighbours."""
    matrix = model.transform([item.text() for item in items])
    known = np.any(matrix, axis=1)
    ids = [item.item_id for item, has_words in zip(items, known, strict=True) if has_words]
    if ids:
        stores.vectors.write(scope, version, ids, matrix[known])
    return len(ids)


def _batches(values: Sequence[Value]) -> Iterator[Sequence[Value]]:
    for start in range(0, len(values), BATCH):
        yield values[start : start + BATCH]
