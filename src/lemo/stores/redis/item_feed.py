"""The feed of written items: which items changed, so that what is made of the catalogue follows it item by item.

The consumer writes it with each item. It is derived, and bounded: a reader that finds its position gone reads the
documents anew. Calls raise EngineUnavailable when Redis does not answer.
"""

from collections.abc import Sequence
from typing import Any

import orjson
from redis import Redis

from lemo.domain.scope import Scope
from lemo.stores.redis.client import Keys, translate_errors

KEPT = 1_000
"""Batches of changes that a feed keeps."""
BATCH = 1_000
"""Items of one batch."""
START = "0-0"
"""The position before the first change."""


class ItemFeed:
    """The changed items of each scope, by positions."""

    def __init__(self, redis: Redis, keys: Keys | None = None) -> None:
        self._redis: Any = redis
        self._keys = keys or Keys()

    def add(self, scope: Scope, item_ids: Sequence[str]) -> None:
        """Items that were written."""
        with translate_errors(), self._redis.pipeline(transaction=False) as pipeline:
            for start in range(0, len(item_ids), BATCH):
                batch = orjson.dumps(item_ids[start : start + BATCH])
                pipeline.xadd(self._key(scope), {"items": batch}, maxlen=KEPT, approximate=True)
            pipeline.execute()

    def position(self, scope: Scope) -> str:
        """The position of the newest change."""
        with translate_errors():
            newest = self._redis.xrevrange(self._key(scope), count=1)
        return str(newest[0][0].decode()) if newest else START

    def since(self, scope: Scope, position: str) -> tuple[str, list[str]] | None:
        """The newest position and the items that changed since another; None where that is lost.

        A position is lost where Redis was emptied, or where more changed since than the feed keeps.
        """
        with translate_errors():
            found = self._redis.xrange(self._key(scope), min=position)
        entries = [(entry_id.decode(), fields) for entry_id, fields in found]
        if position == START:
            if len(entries) >= KEPT:
                return None
        elif not entries or entries.pop(0)[0] != position:
            return None
        changed = (item_id for _, fields in entries for item_id in orjson.loads(fields[b"items"]))
        return entries[-1][0] if entries else position, list(dict.fromkeys(changed))

    def _key(self, scope: Scope) -> str:
        return self._keys("item-feed", scope.tenant_id, scope.scenario_id)
