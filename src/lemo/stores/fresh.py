"""The newest items and the inactive ones of each scenario in Redis, kept by the consumer, read on the request path."""

import time
from collections.abc import Sequence
from typing import Any

from redis import Redis

from lemo.domain.item import Item
from lemo.domain.scope import Scope
from lemo.domain.time import milliseconds
from lemo.stores.redis import Keys, asking

KEPT = 1_000
"""Newest items remembered per scenario."""


class Fresh:
    """What changed in a catalogue since the last snapshot: which items are new, and which must not be shown.

    Hand in only items whose write the document store accepted: then a replay, or a message out of order, changes
    nothing.
    Every call raises EngineUnavailable when Redis does not answer.
    """

    def __init__(self, redis: Redis, keys: Keys | None = None) -> None:
        self._redis = redis
        self._keys = keys or Keys()

    def latest_key(self, scope: Scope) -> str:
        """The key of the sorted set of newest items (score: published or arrived, Unix ms)."""
        return self._keys("latest", scope.tenant_id, scope.scenario_id)

    def inactive_key(self, scope: Scope) -> str:
        """The key of the set of ids of inactive and deleted items."""
        return self._keys("inactive", scope.tenant_id, scope.scenario_id)

    def add(self, scope: Scope, items: Sequence[Item], arrived_ms: Sequence[int]) -> None:
        """Takes in written items, each with the Unix ms of its arrival."""
        latest: dict[str, int] = {}
        hidden: set[str] = set()
        for item, arrived in zip(items, arrived_ms, strict=True):
            if item.recommendable:
                hidden.discard(item.item_id)
                latest[item.item_id] = milliseconds(item.published_at) if item.published_at else arrived
            else:
                latest.pop(item.item_id, None)
                hidden.add(item.item_id)
        latest_key, inactive_key = self.latest_key(scope), self.inactive_key(scope)
        with asking(), self._redis.pipeline(transaction=True) as pipeline:
            if hidden:
                pipeline.sadd(inactive_key, *hidden)
                pipeline.zrem(latest_key, *hidden)
            if latest:
                pipeline.srem(inactive_key, *latest)
                pipeline.zadd(latest_key, latest)
                pipeline.zremrangebyrank(latest_key, 0, -KEPT - 1)
            pipeline.execute()

    def queue_latest(self, pipeline: Any, scope: Scope, n: int) -> None:
        """Adds the command that reads the `n` newest items (publication in the future waits) to a pipeline."""
        pipeline.zrevrangebyscore(self.latest_key(scope), time.time_ns() // 1_000_000, "-inf", start=0, num=n)

    def queue_inactive(self, pipeline: Any, scope: Scope) -> None:
        """Adds the command that reads the inactive ids to a pipeline."""
        pipeline.smembers(self.inactive_key(scope))

    def latest(self, scope: Scope, n: int) -> list[str]:
        """The ids of the `n` newest items that may be shown, newest first."""
        with asking(), self._redis.pipeline(transaction=False) as pipeline:
            self.queue_latest(pipeline, scope, n)
            return [item_id.decode() for item_id in pipeline.execute()[0]]

    def inactive(self, scope: Scope) -> set[str]:
        """The ids of items that must not be shown."""
        with asking(), self._redis.pipeline(transaction=False) as pipeline:
            self.queue_inactive(pipeline, scope)
            return {item_id.decode() for item_id in pipeline.execute()[0]}
