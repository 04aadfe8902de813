"""Limits of attempts to log in, so that nobody guesses passwords or keys."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Lock

from lemo.domain.errors import TooMuch

SECONDS = 300
MOST_KEPT = 10_000


class Attempts:
    """Failed attempts of the last `SECONDS`, in the memory of the console's process. Safe for threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: OrderedDict[str, list[float]] = OrderedDict()
        self._lock = Lock()

    def begin(self, limits: Sequence[tuple[str, int]]) -> None:
        """Counts an attempt as failed under each name; raises TooMuch where one has reached its limit.

        It is counted before the password is looked at, so that attempts at the same time do not slip through.
        """
        now = self._clock()
        with self._lock:
            for name, limit in limits:
                recent = [moment for moment in self._failed.get(name, ()) if now - moment < SECONDS]
                if len(recent) >= limit:
                    seconds = max(1, math.ceil(recent[-limit] + SECONDS - now))
                    raise TooMuch("There were too many attempts to log in.", f"Try again in {seconds} s.", seconds)
            for name, limit in limits:
                self._failed[name] = [*self._failed.get(name, ())[-limit:], now]
                self._failed.move_to_end(name)
            while len(self._failed) > MOST_KEPT:
                self._failed.popitem(last=False)

    def succeeded(self, limits: Sequence[tuple[str, int]]) -> None:
        """Takes the last attempt back."""
        with self._lock:
            for name, _ in limits:
                if moments := self._failed.get(name):
                    moments.pop()
