"""The worker check: a small task that the doctor sends through each queue, and that must complete."""

from redis import Redis

from lemo.stores.redis.client import Keys

STATE = "lemo_state"
"""Remote-control command that a worker answers with its queues, slots and running tasks."""
LIFE_SECONDS = 30
"""A check that was not started within this time expires, and another may be sent."""


def completed_key(keys: Keys, queue: str) -> str:
    """The Redis key that counts the completed checks of a queue."""
    return keys("worker-check", "completed", queue)


def sent_key(keys: Keys, queue: str) -> str:
    """The Redis key that exists while a check is under way, so that many doctors send one together."""
    return keys("worker-check", "sent", queue)


def complete(redis: Redis, keys: Keys, queue: str) -> None:
    """Counts a completed check of a queue, and allows the next. The task calls it."""
    with redis.pipeline() as pipeline:
        pipeline.incr(completed_key(keys, queue))
        pipeline.delete(sent_key(keys, queue))
        pipeline.execute()


def completed(redis: Redis, keys: Keys, queues: list[str]) -> dict[str, int]:
    """Number of completed checks, by queue."""
    found = redis.mget([completed_key(keys, queue) for queue in queues])
    return {queue: int(count or 0) for queue, count in zip(queues, found, strict=True)}


def may_send(redis: Redis, keys: Keys, queue: str) -> bool:
    """Whether no check of the queue is under way. If so, the next counts as under way."""
    return bool(redis.set(sent_key(keys, queue), 1, nx=True, ex=LIFE_SECONDS))


def age(redis: Redis, keys: Keys, queue: str) -> float:
    """Seconds since the check that is under way was sent; 0 where none is."""
    left = int(redis.pttl(sent_key(keys, queue)))
    return LIFE_SECONDS - left / 1000 if left > 0 else 0.0
