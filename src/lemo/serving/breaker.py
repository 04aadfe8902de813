"""A circuit breaker: requests skip an engine for a moment after it failed, and do not wait for it."""

import time
from threading import Lock


class Breaker:
    """Closed, it lets every call through. After a failure it lets one call through every `rest_seconds`."""

    def __init__(self, rest_seconds: float = 1.0) -> None:
        self._rest = rest_seconds
        self._lock = Lock()
        self._again_at: float | None = None

    def allows(self) -> bool:
        """Whether a call may be made now. While open, an allowed call takes the slot of the next `rest_seconds`."""
        if self._again_at is None:
            return True
        with self._lock:
            now = time.monotonic()
            if self._again_at is not None and now < self._again_at:
                return False
            self._again_at = now + self._rest
            return True

    def worked(self) -> None:
        """Closes the breaker: the engine answered."""
        self._again_at = None

    def failed(self) -> None:
        """Opens the breaker: the engine did not answer."""
        with self._lock:
            self._again_at = time.monotonic() + self._rest
