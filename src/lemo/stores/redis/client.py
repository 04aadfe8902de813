"""One way to connect to Redis, with time-outs, health checks and retries, for every module that does."""

from collections.abc import Iterator
from contextlib import contextmanager

from redis import Redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ReadOnlyError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from lemo.domain.deadlines import FOR_JOBS, Deadlines
from lemo.domain.errors import EngineUnavailable
from lemo.settings import DEFAULT_INSTALLATION

LONGEST_ANSWER = 5.0
"""Seconds that Redis may take for anything."""


def connect_redis(url: str, deadlines: Deadlines = FOR_JOBS) -> Redis:
    """A client that answers in bytes, gives up on a silent server after 5 s and, for jobs, retries for about 3 s."""
    again = (RedisConnectionError, RedisTimeoutError) if deadlines.retries > 1 else (RedisConnectionError,)
    return Redis.from_url(
        url,
        socket_timeout=min(deadlines.answer, LONGEST_ANSWER),
        socket_connect_timeout=min(deadlines.connect, 2.0),
        health_check_interval=15,
        retry=Retry(ExponentialWithJitterBackoff(base=0.05, cap=1), deadlines.retries, supported_errors=again),
        retry_on_error=list(again),
    )


@contextmanager
def translate_errors() -> Iterator[None]:
    """Around calls of Redis: a server that is away, starting, full or read-only is EngineUnavailable."""
    try:
        yield
    except (RedisConnectionError, RedisTimeoutError, ReadOnlyError, OutOfMemoryError) as error:
        raise EngineUnavailable(
            f"Redis does not answer ({error}).",
            "Start it with `lemo up` or check LEMO_REDIS_URL; `lemo doctor` shows what is reachable.",
            engine="Redis",
        ) from error
    except ResponseError as error:
        # A full disk, or too few replicas: it takes no writes until somebody fixes that.
        if "MISCONF" not in str(error) and "NOREPLICAS" not in str(error):
            raise
        raise EngineUnavailable(
            f"Redis takes no writes ({error}).", "See its own log; often its disk is full.", engine="Redis"
        ) from error


def ping_redis(redis: Redis) -> None:
    """Raises EngineUnavailable where the server does not answer."""
    with translate_errors():
        redis.ping()


class Keys:
    """The names of an installation's keys; another installation on the same Redis has others."""

    def __init__(self, installation: str = DEFAULT_INSTALLATION) -> None:
        self.prefix = f"{installation}:"
        """What each key in each database begins with, Celery's and RedBeat's too."""

    def __call__(self, what: str, *parts: str) -> str:
        """`lemo:<what>:<part>:...`; ids come last, so that one with a colon in it stays unambiguous."""
        return self.prefix + ":".join((what, *parts))
