"""What Lemo made of a scenario's data, as rows of files: similarities, embeddings, histories, recommendations."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import pyarrow as pa

from lemo.domain.errors import NotFound
from lemo.domain.interaction import interaction_weight
from lemo.domain.recommendation import Answer
from lemo.domain.scope import Scope
from lemo.domain.time import from_milliseconds
from lemo.recommenders.similar_items import SimilarItems
from lemo.stores.connect import Stores

Row = dict[str, Any]

SIMILARITIES = pa.schema(
    [
        ("item_id", pa.string()),
        ("rank", pa.int64()),
        ("similar_id", pa.string()),
        ("score", pa.float64()),
        ("by", pa.string()),
    ]
)
"""`by` is `behaviour` or `content`."""
EMBEDDINGS = pa.schema([("item_id", pa.string()), ("embedding", pa.list_(pa.float32()))])
HISTORIES = pa.schema(
    [
        ("user_id", pa.string()),
        ("rank", pa.int64()),
        ("item_id", pa.string()),
        ("action", pa.string()),
        ("value", pa.float64()),
        ("timestamp", pa.string()),
        ("weight", pa.float64()),
    ]
)
"""`rank` 1 is the newest; `weight` is what the scenario's rules make of action and value."""
RECOMMENDATIONS = pa.schema(
    [
        ("user_id", pa.string()),
        ("rank", pa.int64()),
        ("item_id", pa.string()),
        ("score", pa.float64()),
        ("reason", pa.string()),
        ("model_version", pa.string()),
    ]
)
_BATCH = 500


def similarity_rows(stores: Stores, scope: Scope) -> Iterator[Row]:
    """Each item's similar items, the most similar first; raises NotFound before the first similarity run."""
    version = stores.snapshots.current(scope, "similar")
    if version is None:
        raise NotFound(
            f"Nothing was compared in scenario {scope.scenario_id} yet.",
            f"Now: lemo jobs run compute-item-similarity-hourly --scenario {scope.scenario_id} --wait",
        )
    opened = stores.snapshots.open(scope, "similar", version)
    similar = SimilarItems.from_arrays(opened.arrays, opened.manifest)
    return (
        {
            "item_id": item_id,
            "rank": rank,
            "similar_id": near.item_id,
            "score": near.score,
            "by": "content" if near.kind == "content" else "behaviour",
        }
        for item_id in similar.item_ids
        for rank, near in enumerate(similar.of(item_id), start=1)
    )


def embedding_rows(stores: Stores, scope: Scope) -> Iterator[Row]:
    """The vector of each item that has one, by id; raises NotFound before the first embedding."""
    if not stores.vectors.count(scope):
        raise NotFound(
            f"No item of scenario {scope.scenario_id} has an embedding yet.",
            f"A worker embeds items minutes after their import; now: lemo jobs run embed-items --scenario"
            f" {scope.scenario_id} --wait",
        )
    return _embeddings(stores, scope)


def _embeddings(stores: Stores, scope: Scope) -> Iterator[Row]:
    for batch in _batches(entry.item_id for entry in stores.items.entries(scope)):
        vectors = stores.vectors.fetch(scope, batch)
        for item_id in batch:
            if (vector := vectors.get(item_id)) is not None:
                yield {"item_id": item_id, "embedding": vector.tolist()}


def history_rows(stores: Stores, scope: Scope) -> Iterator[Row]:
    """The recent history of each user, by id, the newest interaction first: what an answer is made of."""
    rules = stores.scenarios.get(scope).actions
    for users in _batches(sorted(set(stores.history.users(scope)))):
        for user_id, history in zip(users, stores.history.read_many(scope, users), strict=True):
            for rank, each in enumerate(history, start=1):
                yield {
                    "user_id": user_id,
                    "rank": rank,
                    "item_id": each.item_id,
                    "action": each.action,
                    "value": each.value,
                    "timestamp": from_milliseconds(each.timestamp_ms).isoformat(timespec="milliseconds"),
                    "weight": interaction_weight(rules.get(each.action), each.value),
                }


def recommendation_rows(answers: Iterable[tuple[str, Answer]]) -> Iterator[Row]:
    """One row for each item of each answer, the best first."""
    for user_id, answer in answers:
        for rank, item in enumerate(answer.items, start=1):
            yield {
                "user_id": user_id,
                "rank": rank,
                "item_id": item.item_id,
                "score": item.score,
                "reason": item.reason,
                "model_version": answer.model_version,
            }


def _batches(ids: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(ids)
    while batch := list(islice(rest, _BATCH)):
        yield batch
