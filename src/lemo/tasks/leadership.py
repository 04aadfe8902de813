"""Which of several beats leads: the one that holds a lock in Redis, renewed in each round of its loop."""

import time
from datetime import UTC, datetime
from uuid import uuid4

from redis import Redis

# One script, so that it may be sent again when its answer was lost: what is ours is renewed, what is free is taken.
_LEAD = """
local holder = redis.call('get', KEYS[1])
if holder == ARGV[1] then
    redis.call('pexpire', KEYS[1], ARGV[2])
    return 'kept'
end
if holder then
    return holder
end
redis.call('set', KEYS[1], ARGV[1], 'px', ARGV[2])
return 'taken'
"""

_RELEASE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Goes on while this process is stopped and, where the system has such a clock, while the machine sleeps."""


class Leadership:
    """The right to start what is due. It is ours only for as long as the lock certainly lives.

    The lock's key and kind are RedBeat's own, so that a stock RedBeat beside us waits for us, and we for it.
    """

    def __init__(self, redis: Redis, key: str, name: str, seconds: float) -> None:
        self._redis = redis
        self._key = key
        self._milliseconds = int(seconds * 1000)
        self.token = f"{name}/{uuid4().hex}"
        self.leader = ""
        """The token of whoever held the lock when we last looked."""
        self.since = datetime.now(UTC)
        """When this beat began to lead, or to stand by."""
        self._until = 0.0
        self._leading = False

    @property
    def held(self) -> bool:
        """Whether the lock is certainly still ours, by this process's own clock: asked right before each start.

        The life of the lock is counted from before the request that renewed it, so ours ends before Redis's does.
        """
        return self._leading and time.clock_gettime(_CLOCK) < self._until

    def lead(self) -> bool:
        """Renews the lock, or takes it if it is free; true if it is ours now. Raises RedisError: then nothing changed.

        `since` moves whenever the lock was not ours all the time since the last call.
        """
        asked = time.clock_gettime(_CLOCK)
        answer = self._redis.eval(_LEAD, 1, self._key, self.token, str(self._milliseconds))
        said = answer.decode() if isinstance(answer, bytes) else str(answer)
        leading = said in ("kept", "taken")
        if leading != self._leading or said == "taken":
            self.since = datetime.now(UTC)
        self._leading = leading
        self.leader = self.token if leading else said
        self._until = asked + self._milliseconds / 1000 if leading else 0.0
        return leading

    def lose(self) -> None:
        """Stops counting on the lock, after Redis said that it is another's."""
        self._until = 0.0

    def release(self) -> None:
        """Gives the lock back, so that another beat need not wait for its end; raises RedisError."""
        was_leading, self._leading, self._until = self._leading, False, 0.0
        if was_leading:
            self._redis.eval(_RELEASE, 1, self._key, self.token)
