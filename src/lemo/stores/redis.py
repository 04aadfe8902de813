"""One way to connect to Redis, with time-outs, health checks and retries, for every module that does."""

from redis import Redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry


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


def key(what: str, *parts: str) -> str:
    """`lemo:<what>:<part>:...`; ids come last, so that one with a colon in it stays unambiguous."""
    return ":".join(("lemo", what, *parts))
