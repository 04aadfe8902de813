"""Requests and events a second of each tenant, over all processes of the API.

A request waits for no round trip: each process lets through by what it knows, and a thread tells Redis every
`SETTLE_SECONDS` what was let through, and hears what the other processes did. So a burst that reaches several
processes at once may be let through by each of them. It is owed: until it is paid back, all of them refuse.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from threading import Event, Lock, Thread

import structlog
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from lemo.domain.deadlines import for_people
from lemo.domain.errors import EngineUnavailable, TooMuch
from lemo.settings import Settings
from lemo.stores.redis.client import Keys, connect_redis
from lemo.stores.redis.credit import Bucket, Credit, Limited

log = structlog.get_logger()

SETTLE_SECONDS = 0.1
COUNTED = "lemo.counted"
"""In the ASGI scope of a request that was counted."""
ANSWER_SECONDS = 0.5
"""Longest wait for Redis. While it is away, nothing is limited."""
IDLE_SECONDS = 2.0
"""How long a process goes on asking about a tenant that asked it nothing."""


@dataclass(slots=True)
class _Account:
    """What this process knows of a bucket."""

    credit: float
    """What was left at `at`."""
    at: float
    used_at: float
    spent: float = 0
    """Let through here, and not told to Redis yet."""


class Limits(Collector):
    """Counts what tenants ask and send, and refuses what is too much. One per process, safe for threads.

    As a collector of metrics it tells how much was refused.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        wanted: dict[Limited, int] = {"requests": settings.requests_per_second, "events": settings.events_per_second}
        self._rates: dict[Limited, float] = {what: rate for what, rate in wanted.items() if rate}
        self._settings = settings
        self._clock = clock
        self._accounts: dict[Bucket, _Account] = {}
        self._refused: Counter[Limited] = Counter()
        self._lock = Lock()
        self._credit: Credit | None = None
        self._away = False
        self._stop = Event()
        self._thread: Thread | None = None

    def start(self) -> None:
        """Begins to settle with Redis, where anything is limited."""
        if self._rates:
            self._thread = Thread(target=self._settle_on, name="limits", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stops settling."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def admits(self, what: Limited, tenant_id: str, amount: int = 1) -> bool:
        """Whether the tenant may have so much now, which is then counted.

        A list of events is taken whole as long as there is credit for one.
        """
        rate = self._rates.get(what)
        if rate is None or amount == 0:
            return True
        now = self._clock()
        with self._lock:
            account = self._accounts.setdefault((what, tenant_id), _Account(rate, now, now))
            credit = _credit(account, rate, now)
            account.used_at = now
            if credit < 1 and not self._away:
                return False
            account.credit, account.at = credit - amount, now
            account.spent += amount
            return True

    def take(self, what: Limited, tenant_id: str, amount: int = 1) -> None:
        """Counts what the tenant asks or sends; raises TooMuch, which says when to come again."""
        if self.admits(what, tenant_id, amount):
            return
        rate = self._rates[what]
        with self._lock:
            self._refused[what] += 1
            credit = _credit(self._accounts[what, tenant_id], rate, self._clock())
        seconds = max(1, math.ceil((1 - credit) / rate))
        raise TooMuch(
            f"The tenant {tenant_id!r} may send {rate:,.0f} {what} a second, which is used up.",
            f"Try again in {seconds} s, or have LEMO_{what.upper()}_PER_SECOND raised.",
            seconds,
        )

    def settle(self) -> None:
        """Tells Redis what was let through since the last time, and learns what is left."""
        now = self._clock()
        with self._lock:
            idle = [each for each, account in self._accounts.items() if now - account.used_at > IDLE_SECONDS]
            for bucket in idle:
                if not self._accounts[bucket].spent:
                    del self._accounts[bucket]
            spent = {bucket: account.spent for bucket, account in self._accounts.items()}
            for account in self._accounts.values():
                account.spent = 0
        if not spent:
            return
        try:
            if self._credit is None:
                redis = connect_redis(self._settings.redis(0), for_people(ANSWER_SECONDS))
                self._credit = Credit(redis, Keys(self._settings.installation))
            left = self._credit.spend(spent, self._rates)
        except EngineUnavailable as error:
            if not self._away:
                log.warning("nothing is limited while Redis is away", error=error.message)
            self._away = True
            return
        self._away = False
        with self._lock:
            for bucket, credit in left.items():
                account = self._accounts[bucket]
                account.credit, account.at = credit - account.spent, self._clock()

    def collect(self) -> Iterator[Metric]:
        """How often this process refused a request because of each limit."""
        refused = CounterMetricFamily(
            "lemo_limited", "Requests that were refused because a tenant's limit was reached.", labels=["limit"]
        )
        limits: tuple[Limited, ...] = ("requests", "events")
        for what in limits:
            refused.add_metric([what], self._refused[what])
        yield refused

    def _settle_on(self) -> None:
        while not self._stop.wait(SETTLE_SECONDS):
            self.settle()
        self.settle()


def _credit(account: _Account, rate: float, now: float) -> float:
    """What is left now, if nobody else spent any of it since."""
    return min(rate, account.credit + (now - account.at) * rate)
