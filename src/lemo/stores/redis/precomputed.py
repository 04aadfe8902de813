"""Precomputed recommendations in Redis: valid until the user's history or the model changes."""

from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from redis import Redis
from redis.client import Pipeline

from lemo.domain.interaction import Interaction
from lemo.domain.scope import Scope
from lemo.recommenders.scored import Scored
from lemo.stores.redis.client import Keys, translate_errors

LIFETIME_SECONDS = 12 * 3600
"""Three rounds of the four-hourly job: they outlive a missed round, and those of inactive users expire."""
_BATCH = 500
_Value = TypeVar("_Value")


class PrecomputedRecommendations(BaseModel):
    """The recommendations of one user, best first, and the state from which they were computed."""

    version: str
    """The model snapshot."""
    history_version: str
    """`history_version` of the interactions in the query and of the seen items."""
    cache_key: str
    """Names everything else that the recommendations depend on. The job compares it; requests do not."""
    items: list[Scored]


def history_version(history: Sequence[Interaction], seen: int) -> str:
    """A digest of a history and the number of seen items: any new, late or deleted interaction changes it."""
    digest = blake2b(f"{seen}\x1f".encode(), digest_size=12)
    for interaction in history:
        digest.update(
            f"{interaction.timestamp_ms}\x1f{interaction.action}\x1f{interaction.value!r}\x1f{len(interaction.item_id)}\x1f{interaction.item_id}".encode(
                errors="surrogatepass"
            )
        )
    return digest.hexdigest()


class PrecomputedStore:
    """Precomputed recommendations by user. Calls raise EngineUnavailable when Redis does not answer."""

    def __init__(self, redis: Redis, keys: Keys | None = None) -> None:
        self._redis = redis
        self._keys = keys or Keys()

    def write_many(self, scope: Scope, recommendations: Mapping[str, PrecomputedRecommendations]) -> int:
        """Writes or replaces the recommendations of these users, for twelve hours; returns their number."""
        with translate_errors():
            for users in _batches(list(recommendations)):
                pipeline = self._redis.pipeline(transaction=False)
                for user in users:
                    pipeline.set(self._key(scope, user), recommendations[user].model_dump_json(), ex=LIFETIME_SECONDS)
                pipeline.execute()
        return len(recommendations)

    def renew(self, scope: Scope, version: str, cache_key: str, history_versions: Mapping[str, str]) -> set[str]:
        """Renews the unchanged recommendations for another twelve hours; returns their users.

        They are unchanged if version, cache key and `history_versions` of the user are the same.
        """
        renewed: set[str] = set()
        with translate_errors():
            for users in _batches(list(history_versions)):
                heads = [_head(version, history_versions[user], cache_key) for user in users]
                pipeline = self._redis.pipeline(transaction=False)
                for user, head in zip(users, heads, strict=True):
                    pipeline.getrange(self._key(scope, user), 0, len(head) - 1)
                same = [user for user, head, raw in zip(users, heads, pipeline.execute(), strict=True) if raw == head]
                for user in same:
                    pipeline.expire(self._key(scope, user), LIFETIME_SECONDS)
                renewed.update(user for user, there in zip(same, pipeline.execute(), strict=True) if there)
        return renewed

    def queue_read(self, pipeline: Pipeline, scope: Scope, user_id: str) -> None:
        """Adds the read of one user's recommendations to a pipeline; `parse_precomputed` decodes the reply."""
        pipeline.get(self._key(scope, user_id))

    def read(self, scope: Scope, user_id: str) -> PrecomputedRecommendations | None:
        """The recommendations of one user; None where there are none."""
        with translate_errors():
            return parse_precomputed(self._redis.get(self._key(scope, user_id)))

    def delete_stale(self, scope: Scope, version: str) -> int:
        """Deletes the scope's recommendations of other snapshots than `version`; returns their number."""
        dropped = 0
        with translate_errors():
            # Names of tenants and scenarios hold no glob characters, so the pattern matches this scope alone.
            for keys in _batches(list(self._redis.scan_iter(match=self._key(scope, "*"), count=1000))):
                stale = []
                for name, raw in zip(keys, self._redis.mget(keys), strict=True):
                    precomputed = parse_precomputed(raw)
                    if raw is not None and (precomputed is None or precomputed.version != version):
                        stale.append(name)
                if stale:
                    dropped += int(self._redis.unlink(*stale))
        return dropped

    def _key(self, scope: Scope, user_id: str) -> str:
        return self._keys("answer", scope.tenant_id, scope.scenario_id, user_id)


def parse_precomputed(raw: bytes | str | None) -> PrecomputedRecommendations | None:
    """The recommendations in a reply of Redis; None where it has none, or those of an older format."""
    if raw is None:
        return None
    try:
        return PrecomputedRecommendations.model_validate_json(raw)
    except ValidationError:
        return None


def _head(version: str, history_version: str, cache_key: str) -> bytes:
    """The first bytes of stored recommendations with these names."""
    empty = PrecomputedRecommendations.model_construct(
        version=version, history_version=history_version, cache_key=cache_key, items=[]
    )
    return empty.model_dump_json().removesuffix("]}").encode()


def _batches(values: Sequence[_Value]) -> Iterator[Sequence[_Value]]:
    for start in range(0, len(values), _BATCH):
        yield values[start : start + _BATCH]
