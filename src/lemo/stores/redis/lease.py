"""Single flight: one run of a job per scope at a time, by a Redis lock that is renewed while the run lives."""

import threading
import time
from types import TracebackType

import structlog
from redis import Redis
from redis.exceptions import LockError, RedisError
from redis.lock import Lock

from lemo.domain.errors import Conflict
from lemo.domain.scope import Scope
from lemo.stores.redis.client import Keys, translate_errors

log = structlog.get_logger()

SECONDS = 12.0
"""Life of a lease, renewed four times within it. A run whose process died is taken over after this long."""

# Taken, or found ours already, it gets a number above all before it: by Redis's clock in microseconds, so that they
# rise also after Redis was emptied, and by the last number, so that they rise also when its clock is put back.
_NUMBER = """
local clock = redis.call('time')
local last = tonumber(redis.call('get', KEYS[1]) or '0')
local fence = string.format('%.0f', math.max(last + 1, clock[1] * 1000000 + clock[2]))
redis.call('set', KEYS[1], fence, 'ex', 2592000)
"""
_TAKE = f"""
local holder = redis.call('get', KEYS[2])
if holder and holder ~= ARGV[1] then
    return nil
end
{_NUMBER}
redis.call('set', KEYS[2], ARGV[1], 'px', ARGV[2])
return fence
"""
_NEXT = f"{_NUMBER} return fence"


def lease_key(entry: str, scope: Scope, keys: Keys | None = None) -> str:
    """The Redis key whose presence says that a run of the job is alive."""
    return (keys or Keys())("lease", entry, scope.tenant_id, scope.scenario_id)


def next_fence(redis: Redis, entry: str, scope: Scope, keys: Keys | None = None) -> int:
    """A fencing number for what a person does now: above those of all runs so far, below those of all to come.

    A run that is at work keeps its lease, but its last write finds a higher number. Raises EngineUnavailable.
    """
    with translate_errors():
        return int(redis.eval(_NEXT, 1, f"{lease_key(entry, scope, keys)}:fence"))


class _FencedLock(Lock):
    """redis-py's lock, whose holders get numbers that only rise."""

    fence = 0

    def do_acquire(self, token: str) -> bool:
        """Takes the lock if it is free. Asked again after an answer was lost, it finds the lock its own."""
        name = str(self.name)
        answer = self.redis.eval(_TAKE, 2, f"{name}:fence", name, token, round(float(self.timeout or 0) * 1000))
        self.fence = int(answer or 0)
        return self.fence > 0


class Lease:
    """Holds the right to run one job for one scope; renews itself from a thread until released."""

    def __init__(
        self, redis: Redis, entry: str, scope: Scope, seconds: float = SECONDS, keys: Keys | None = None
    ) -> None:
        self._seconds = seconds
        self._lock = _FencedLock(redis, lease_key(entry, scope, keys), timeout=seconds, thread_local=False)
        self._released = threading.Event()
        self._alive_until = 0.0
        self._renewer = threading.Thread(target=self._renew, name=f"lease-{entry}", daemon=True)

    def acquire(self) -> bool:
        """Takes the lease if nobody holds it; raises RedisError when Redis is away."""
        started = time.monotonic()
        if not self._lock.acquire(blocking=False):
            return False
        self._alive_until = started + self._seconds
        self._renewer.start()
        return True

    @property
    def fence(self) -> int:
        """The fencing number (Kleppmann, "How to do distributed locking"): higher than all that were given before."""
        return self._lock.fence

    @property
    def held(self) -> bool:
        """Whether the lease is certainly still ours: renewed within its life, and never found to be another's."""
        return time.monotonic() < self._alive_until

    def check(self) -> None:
        """Raises Conflict once the lease may have gone to another run; called before each final write."""
        if not self.held:
            raise Conflict("This run lost its lease and another may have taken over; it wrote nothing more.")

    def _renew(self) -> None:
        while not self._released.wait(self._seconds / 4):
            started = time.monotonic()
            try:
                self._lock.extend(self._seconds, replace_ttl=True)
            except LockError:
                self._alive_until = 0.0
                return
            except RedisError as error:
                log.warning("lease not renewed", error=type(error).__name__)
            else:
                self._alive_until = started + self._seconds

    def __enter__(self) -> "Lease":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._renewer.ident is None:
            return
        self._released.set()
        self._renewer.join()
        try:
            self._lock.release()
        except (LockError, RedisError) as failure:
            log.info("lease ran out by itself", error=type(failure).__name__)
