"""Items that wait for their content vector, and those that have got one: sets of ids per scope in Redis.

Calls raise EngineUnavailable when Redis does not answer.
"""

from collections.abc import Sequence

from redis import Redis

from lemo.domain.scope import Scope
from lemo.stores.redis.client import Keys, translate_errors

ANNOUNCED_SECONDS = 60
"""How long one announced run stands for all requests; if it is lost, the next request starts another."""


class EmbeddingQueue:
    """The waiting items of each scope. An id stays until its vector is written, so a run that dies loses nothing."""

    def __init__(self, redis: Redis, keys: Keys | None = None) -> None:
        self._redis = redis
        self._keys = keys or Keys()

    def add(self, scope: Scope, item_ids: Sequence[str]) -> None:
        """Items that arrived or changed."""
        if item_ids:
            with translate_errors():
                self._redis.sadd(self._waiting(scope), *(item_id.encode() for item_id in item_ids))

    def announce(self, scope: Scope) -> bool:
        """True for the caller that should start a run; False while another announcement stands."""
        with translate_errors():
            return bool(self._redis.set(self._announced(scope), b"1", nx=True, ex=ANNOUNCED_SECONDS))

    def begin(self, scope: Scope) -> list[str]:
        """The waiting ids, sorted; items that arrive from now on announce a new run."""
        with translate_errors():
            self._redis.delete(self._announced(scope))
            return sorted(member.decode() for member in self._redis.sscan_iter(self._waiting(scope), count=5000))

    def finish(self, scope: Scope, item_ids: Sequence[str]) -> None:
        """These have their vector now."""
        if item_ids:
            with translate_errors():
                members = [item_id.encode() for item_id in item_ids]
                with self._redis.pipeline() as pipe:
                    pipe.srem(self._waiting(scope), *members)
                    pipe.sadd(self._written(scope), *members)
                    pipe.execute()

    def take_written(self, scope: Scope) -> list[str]:
        """The items whose vector was written or deleted since the last `forget_written`, sorted.

        They are taken until that is called, so that a run that dies in between loses none.
        """
        written, taken = self._written(scope), self._taken(scope)
        with translate_errors(), self._redis.pipeline() as pipe:
            pipe.sunionstore(taken, [taken, written])
            pipe.delete(written)
            pipe.execute()
            return sorted(member.decode() for member in self._redis.sscan_iter(taken, count=5000))

    def forget_written(self, scope: Scope) -> None:
        """What was taken is done."""
        with translate_errors():
            self._redis.delete(self._taken(scope))

    def count(self, scope: Scope) -> int:
        """How many items wait."""
        with translate_errors():
            return int(self._redis.scard(self._waiting(scope)))

    def _waiting(self, scope: Scope) -> str:
        return self._keys("embed", scope.tenant_id, scope.scenario_id)

    def _written(self, scope: Scope) -> str:
        return self._keys("embed-written", scope.tenant_id, scope.scenario_id)

    def _taken(self, scope: Scope) -> str:
        return self._keys("embed-taken", scope.tenant_id, scope.scenario_id)

    def _announced(self, scope: Scope) -> str:
        return self._keys("embed-announced", scope.tenant_id, scope.scenario_id)
