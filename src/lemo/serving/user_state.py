"""Reads the state of users from Redis: history, seen items and precomputed answer in one round trip."""

from collections.abc import Sequence
from dataclasses import dataclass

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from lemo.domain.errors import EngineUnavailable
from lemo.domain.interaction import Interaction
from lemo.domain.scope import Scope
from lemo.recommenders.scored import Scored
from lemo.serving.breaker import Breaker
from lemo.stores.redis.client import Keys, translate_errors
from lemo.stores.redis.history import History
from lemo.stores.redis.precomputed import (
    PrecomputedRecommendations,
    PrecomputedStore,
    parse_precomputed,
)
from lemo.stores.redis.seen_items import SeenItems

TIMEOUT_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class UserState:
    """The state of a user. `history` (newest first) is None where Redis did not answer."""

    history: Sequence[Interaction] | None
    precomputed: PrecomputedRecommendations | None
    seen: frozenset[str] = frozenset()
    """All items that must not be recommended to the user, also those older than the history."""

    def current(self, version: str | None) -> list[Scored] | None:
        """The precomputed items, if this model computed them from this history."""
        stored = self.precomputed
        return stored.items if stored is not None and stored.current and stored.version == version else None


UNKNOWN_USER = UserState(None, None)
NO_USER = UserState((), None)
"""Who asks for a session alone."""


def short_timeout_redis(url: str) -> Redis:
    """A client with a time-out of a quarter of a second. Its one retry replaces a connection closed by a restart."""
    return Redis.from_url(
        url,
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), retries=1),
    )


def read_users(
    redis: Redis, history: History, answers: PrecomputedStore, seen: SeenItems, scope: Scope, users: Sequence[str]
) -> list[UserState]:
    """History, precomputed answer and seen items of each user, in one pipeline; raises EngineUnavailable."""
    pipeline = redis.pipeline(transaction=False)
    for user in users:
        history.queue_read(pipeline, scope, user)
        answers.queue_read(pipeline, scope, user)
        seen.queue_read(pipeline, scope, user)
    with translate_errors():
        replies = pipeline.execute()
    return [
        UserState(history.decode(replies[at]), parse_precomputed(replies[at + 1]), seen.decode(replies[at + 2]))
        for at in range(0, len(replies), 3)
    ]


class RequestRedis:
    """Reads for requests. After a failure, requests skip Redis for a second."""

    def __init__(self, url: str, history_length: int, history_days: int, keys: Keys | None = None) -> None:
        self.redis = short_timeout_redis(url)
        self._history = History(self.redis, history_length, history_days, keys)
        self._answers = PrecomputedStore(self.redis, keys)
        self._seen = SeenItems(self.redis, keys)
        self.breaker = Breaker()

    def read(self, scope: Scope, user_id: str) -> UserState:
        """The state of the user, or `UNKNOWN_USER` while Redis does not answer."""
        if not self.breaker.allows():
            return UNKNOWN_USER
        try:
            user = read_users(self.redis, self._history, self._answers, self._seen, scope, [user_id])[0]
        except EngineUnavailable:
            self.breaker.failed()
            return UNKNOWN_USER
        self.breaker.worked()
        return user

    def ping(self) -> str:
        """Name and version of the server; raises EngineUnavailable."""
        with translate_errors():
            return f"Redis {self.redis.info('server')['redis_version']}"

    def close(self) -> None:
        """Closes connections."""
        self.redis.close()
