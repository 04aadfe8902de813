"""Waiting for others to do their work, and when that has no sense any more."""

import time
from collections.abc import Callable

LOOK_SECONDS = 0.2
"""Between two looks."""
QUIET_SECONDS = 60
"""When nothing has moved for this long, the worker is probably not running, and the person should hear of it."""
DOUBT_SECONDS = 8.0
"""When nothing has moved for this long, it is asked whether anybody is there who would move it."""


class Doubt:
    """Decides when waiting has no sense: within seconds when nobody is there to do the work, else after a minute."""

    def __init__(self, is_there: Callable[[], bool]) -> None:
        self._is_there = is_there
        self._absent = 0
        self._seen: object = None
        self._moved = time.monotonic()
        self._asked = 0.0
        self._pause = DOUBT_SECONDS

    def nobody(self, seen: object) -> bool:
        """Whether what is waited for looks as it did and nobody is there who would change that."""
        now = time.monotonic()
        if seen != self._seen:
            self._seen, self._moved, self._asked, self._pause, self._absent = seen, now, now, DOUBT_SECONDS, 0
        if now - self._asked < self._pause:
            return False
        if self._is_there():
            # Asking costs those who work a little, and a long stage of a job shows nothing for minutes.
            self._absent, self._pause = 0, min(self._pause * 2, 15.0)
        else:
            # Asked twice: an overloaded machine may miss one answer.
            self._absent, self._pause = self._absent + 1, LOOK_SECONDS
        self._asked = time.monotonic()
        return self._absent > 1

    @property
    def quiet(self) -> bool:
        """Whether nothing has moved for a minute, whoever is there."""
        return time.monotonic() - self._moved > QUIET_SECONDS
