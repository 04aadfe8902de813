"""Precomputed recommendations in Redis: what the model thinks of a user's history, until either changes."""

from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from redis import Redis
from redis.client import Pipeline

from lemo.domain.scope import Scope
from lemo.domain.touch import Touch
from lemo.recommenders.scored import Scored
from lemo.stores.redis import Keys, asking

LIFETIME_SECONDS = 12 * 3600
"""Three rounds of the four-hourly job: an answer outlives a missed round, and a user who left is forgotten soon."""
_BATCH = 500
_Value = TypeVar("_Value")


class PrecomputedAnswer(BaseModel):
    """The best items of one user, best first, and what they were computed from."""

    version: str
    """The model snapshot."""
    marker: str
    """The history: `history_marker` of the touches that the model saw, and of the items that it left out."""
    basis: str
    """Names whatever else the answer depends on: a request does not ask for it, a job does, to see whether it holds."""
    items: list[Scored]


def history_marker(touches: Sequence[Touch], seen: int) -> str:
    """Names a history and how many items are seen: any new, late or forgotten touch gives another marker."""
    digest = blake2b(f"{seen}\x1f".encode(), digest_size=12)
    for touch in touches:
        digest.update(
            f"{touch.timestamp_ms}\x1f{touch.action}\x1f{touch.value!r}\x1f{len(touch.item_id)}\x1f{touch.item_id}".encode(
                errors="surrogatepass"
            )
        )
    return digest.hexdigest()


class Answers:
    """Precomputed answers by user. Calls that reach Redis raise EngineUnavailable when it does not answer."""

    def __init__(self, redis: Redis, keys: Keys | None = None) -> None:
        self._redis = redis
        self._keys = keys or Keys()

    def write_many(self, scope: Scope, answers: Mapping[str, PrecomputedAnswer]) -> int:
        """Writes or replaces the answers of these users, for twelve hours; returns their number."""
        with asking():
            for users in _batches(list(answers)):
                pipeline = self._redis.pipeline(transaction=False)
                for user in users:
                    pipeline.set(self._key(scope, user), answers[user].model_dump_json(), ex=LIFETIME_SECONDS)
                pipeline.execute()
        return len(answers)

    def renew(self, scope: Scope, version: str, basis: str, markers: Mapping[str, str]) -> set[str]:
        """The users (of `markers`, which name their histories) whose answer was made of just this and has not expired.

        These answers, which would come out the same again, are kept for another twelve hours.
        """
        renewed: set[str] = set()
        with asking():
            for users in _batches(list(markers)):
                heads = [_head(version, markers[user], basis) for user in users]
                pipeline = self._redis.pipeline(transaction=False)
                for user, head in zip(users, heads, strict=True):
                    pipeline.getrange(self._key(scope, user), 0, len(head) - 1)
                same = [user for user, head, raw in zip(users, heads, pipeline.execute(), strict=True) if raw == head]
                for user in same:
                    pipeline.expire(self._key(scope, user), LIFETIME_SECONDS)
                renewed.update(user for user, there in zip(same, pipeline.execute(), strict=True) if there)
        return renewed

    def queue_read(self, pipeline: Pipeline, scope: Scope, user_id: str) -> None:
        """Adds the read of one user's answer to a pipeline; hand its reply to `parsed`."""
        pipeline.get(self._key(scope, user_id))

    def read(self, scope: Scope, user_id: str) -> PrecomputedAnswer | None:
        """The answer of one user, if there is one."""
        with asking():
            return parsed(self._redis.get(self._key(scope, user_id)))

    def delete_stale(self, scope: Scope, version: str) -> int:
        """Drops the scope's answers that another snapshot than `version` gave; returns how many it dropped."""
        dropped = 0
        with asking():
            # Names of tenants and scenarios hold no glob characters, so the pattern matches this scope alone.
            for keys in _batches(list(self._redis.scan_iter(match=self._key(scope, "*"), count=1000))):
                stale = []
                for name, raw in zip(keys, self._redis.mget(keys), strict=True):
                    answer = parsed(raw)
                    if raw is not None and (answer is None or answer.version != version):
                        stale.append(name)
                if stale:
                    dropped += int(self._redis.unlink(*stale))
        return dropped

    def _key(self, scope: Scope, user_id: str) -> str:
        return self._keys("answer", scope.tenant_id, scope.scenario_id, user_id)


def parsed(raw: bytes | str | None) -> PrecomputedAnswer | None:
    """The answer of a reply of Redis; None where there is none, or one that an older release wrote differently."""
    if raw is None:
        return None
    try:
        return PrecomputedAnswer.model_validate_json(raw)
    except ValidationError:
        return None


def _head(version: str, marker: str, basis: str) -> bytes:
    """How a stored answer begins that was made of this."""
    empty = PrecomputedAnswer.model_construct(version=version, marker=marker, basis=basis, items=[])
    return empty.model_dump_json().removesuffix("]}").encode()


def _batches(values: Sequence[_Value]) -> Iterator[Sequence[_Value]]:
    for start in range(0, len(values), _BATCH):
        yield values[start : start + _BATCH]
