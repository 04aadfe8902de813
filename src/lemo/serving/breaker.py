"""A circuit breaker: an engine that just failed is left alone for a moment, so that requests do not queue at it."""

import time
from threading import Lock


class Breaker:
    """Says whether to try an engine: always while it works; after a failure one caller every `rest_seconds`."""

    def __init__(self, rest_seconds: float = 1.0) -> None:
        self._rest = rest_seconds
        self._lock = Lock()
        self._again_at: float | None = None

    def allows(self) -> bool:
        """Whether this caller may try now. While the engine is away, a caller that may try books the next moment."""
        if self._again_at is None:
            return True
        with self._lock:
            now = time.monotonic()
            if self._again_at is not None and now < self._again_at:
                return False
            self._again_at = now + self._rest
            return True

    def worked(self) -> None:
        """The engine answered."""
        self._again_at = None

    def failed(self) -> None:
        """The engine did not answer."""
        with self._lock:
            self._again_at = time.monotonic() + self._rest
