"""The Redis of a request: history, seen items and precomputed answer in one round trip, and no long wait."""

from collections.abc import Sequence
from dataclasses import dataclass

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from lemo.domain.errors import EngineUnavailable
from lemo.domain.scope import Scope
from lemo.domain.touch import Touch
from lemo.serving.breaker import Breaker
from lemo.stores.answers import Answers, PrecomputedAnswer
from lemo.stores.answers import parsed as parsed_answer
from lemo.stores.history import History
from lemo.stores.redis import Keys, asking
from lemo.stores.seen import Seen

PATIENCE_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Known:
    """What Redis knows of a user; `touches` (newest first) is None when Redis did not say."""

    touches: Sequence[Touch] | None
    precomputed: PrecomputedAnswer | None
    seen: frozenset[str] = frozenset()
    """All items that are not to be answered, also those that the history has forgotten."""


UNKNOWN = Known(None, None)


def impatient_redis(url: str) -> Redis:
    """A client that gives up after a quarter of a second; its one retry replaces a connection that a restart cut."""
    return Redis.from_url(
        url,
        socket_timeout=PATIENCE_SECONDS,
        socket_connect_timeout=PATIENCE_SECONDS,
        retry=Retry(NoBackoff(), retries=1),
    )


def read_users(
    redis: Redis, history: History, answers: Answers, seen: Seen, scope: Scope, users: Sequence[str]
) -> list[Known]:
    """History, precomputed answer and seen items of each user, in one pipeline; raises EngineUnavailable."""
    pipeline = redis.pipeline(transaction=False)
    for user in users:
        history.queue_read(pipeline, scope, user)
        answers.queue_read(pipeline, scope, user)
        seen.queue_read(pipeline, scope, user)
    with asking():
        replies = pipeline.execute()
    return [
        Known(history.decode(replies[at]), parsed_answer(replies[at + 1]), seen.decode(replies[at + 2]))
        for at in range(0, len(replies), 3)
    ]


class RequestRedis:
    """Reads for requests: after a failure nobody waits for Redis again for a second."""

    def __init__(self, url: str, history_length: int, history_days: int, keys: Keys | None = None) -> None:
        self.redis = impatient_redis(url)
        self._history = History(self.redis, history_length, history_days, keys)
        self._answers = Answers(self.redis, keys)
        self._seen = Seen(self.redis, keys)
        self.breaker = Breaker()

    def read(self, scope: Scope, user_id: str) -> Known:
        """What Redis knows of the user, or `UNKNOWN` while it is away."""
        if not self.breaker.allows():
            return UNKNOWN
        try:
            known = read_users(self.redis, self._history, self._answers, self._seen, scope, [user_id])[0]
        except EngineUnavailable:
            self.breaker.failed()
            return UNKNOWN
        self.breaker.worked()
        return known

    def ping(self) -> str:
        """Name and version of the server; raises EngineUnavailable."""
        with asking():
            return f"Redis {self.redis.info('server')['redis_version']}"

    def close(self) -> None:
        """Lets go of connections."""
        self.redis.close()
