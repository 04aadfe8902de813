"""The shared part of all clients of the log on Redis: keys, connections and errors."""

from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from lemo.domain.deadlines import Deadlines
from lemo.domain.errors import EngineUnavailable
from lemo.settings import DEFAULT_INSTALLATION

PIPELINE = 1_000
"""Commands that are sent at once."""
LONGEST_BLOCK = 2.0
"""Seconds that one blocking read waits: below the socket's time-out, and short enough to notice a stop."""
LONGEST_ANSWER = LONGEST_BLOCK + 5
"""Seconds that Redis may take for anything, a blocking read included."""


def stream_key(topic: str, installation: str = DEFAULT_INSTALLATION) -> str:
    """The key of a topic's stream."""
    return f"{installation}:log:{topic}"


def topics_key(installation: str = DEFAULT_INSTALLATION) -> str:
    """The key of the set of all topics: to find streams among millions of other keys would take a scan over them."""
    return f"{installation}:log-topics"


def reader_name(installation: str) -> str:
    """How a reader's connection is named in Redis's list of clients."""
    return f"{installation}:log-reader"


class Query:
    """A connection for one block of queries. Its errors become EngineUnavailable."""

    def __init__(self, url: str, deadlines: Deadlines) -> None:
        self._redis: Any = connect(url, min(deadlines.retries, 2), answer_seconds=deadlines.answer)

    def __enter__(self) -> Any:
        return self._redis

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._redis.close()
        if isinstance(error, RedisError):
            raise unavailable(error) from error


def connect(url: str, retries: int, name: str | None = None, answer_seconds: float = LONGEST_ANSWER) -> Redis:
    """A new connection; `name` shows in the server's list of clients."""
    again = (RedisConnectionError, RedisTimeoutError) if retries > 1 else (RedisConnectionError,)
    # A reader passes retries=0. It must see every lost connection: the entries of a lost reply are read again.
    return Redis.from_url(
        url,
        protocol=2,
        client_name=name,
        socket_timeout=min(answer_seconds, LONGEST_ANSWER),
        socket_connect_timeout=2,
        health_check_interval=15,
        retry=Retry(NoBackoff(), retries, supported_errors=again),
    )


def topics_of(redis: Any, prefix: str, installation: str) -> list[str]:
    """The sorted names of topics that go on after the prefix."""
    names = (name.decode() for name in redis.smembers(topics_key(installation)))
    return sorted(name for name in names if name.startswith(prefix) and name != prefix)


def unavailable(error: RedisError) -> EngineUnavailable:
    """The error of the product for an error of redis-py."""
    # Texts of the server (out of memory, disk full, read-only) help and hold no secret; those of connections may.
    detail = str(error)[:200] if isinstance(error, ResponseError) else type(error).__name__
    waited = " in time" if isinstance(error, RedisTimeoutError) else ""
    return EngineUnavailable(
        f"Redis, which holds the ingest log, did not answer{waited}: {detail}.",
        "Check that it runs and has memory and disk left (`lemo doctor`); the call may be repeated.",
        engine="Redis",
    )
