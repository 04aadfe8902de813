"""One way to connect to Redis, with time-outs, health checks and retries, for every module that does."""

from collections.abc import Iterator
from contextlib import contextmanager

from redis import Redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ReadOnlyError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from lemo.domain.errors import EngineUnavailable
from lemo.settings import DEFAULT_INSTALLATION


def connect_redis(url: str) -> Redis:
    """A client that answers in bytes, gives up on a silent server after 5 s and retries short outages for about 3 s."""
    return Redis.from_url(
        url,
        socket_timeout=5,
        socket_connect_timeout=2,
        health_check_interval=15,
        retry=Retry(ExponentialWithJitterBackoff(base=0.05, cap=1), retries=5),
        retry_on_error=[RedisConnectionError, RedisTimeoutError],
    )


@contextmanager
def asking() -> Iterator[None]:
    """Around calls of Redis: a server that is away, starting, full or read-only is EngineUnavailable."""
    try:
        yield
    except (RedisConnectionError, RedisTimeoutError, ReadOnlyError, OutOfMemoryError) as error:
        raise EngineUnavailable(
            f"Redis does not answer ({error}).",
            "Start it with `lemo up` or check LEMO_REDIS_URL; `lemo doctor` shows what is reachable.",
        ) from error
    except ResponseError as error:
        # A full disk, or too few replicas: it takes no writes until somebody mends that.
        if "MISCONF" not in str(error) and "NOREPLICAS" not in str(error):
            raise
        raise EngineUnavailable(
            f"Redis takes no writes ({error}).", "See its own log; often its disk is full."
        ) from error


class Keys:
    """The names of an installation's keys; another installation on the same Redis has others."""

    def __init__(self, installation: str = DEFAULT_INSTALLATION) -> None:
        self.prefix = f"{installation}:"
        """What each key in each database begins with, Celery's and RedBeat's too."""

    def __call__(self, what: str, *parts: str) -> str:
        """`lemo:<what>:<part>:...`; ids come last, so that one with a colon in it stays unambiguous."""
        return self.prefix + ":".join((what, *parts))
