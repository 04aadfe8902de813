"""Events in the background: a page does not wait for them, and they are sent together."""

import atexit
import threading
from collections import deque
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from lemo.client.calls import LemoRefused, LemoUnavailable
from lemo.client.clients import Client

BATCH = 500
MOST = 10_000


class EventBuffer:
    """Sends events from a thread of its own, `seconds` after the first or when a batch is full.

    Events that cannot be sent wait, at most `capacity` of them; beyond that the oldest are dropped and counted. Each
    gets an `event_id` when it is added, so that one that was sent twice counts once. `close` sends what is left.
    """

    def __init__(self, client: Client, seconds: float = 1.0, capacity: int = MOST) -> None:
        self.dropped = 0
        """Events that found no place."""
        self.rejected: deque[str] = deque(maxlen=100)
        """Why the last rejected events were rejected."""
        self._client = client
        self._seconds = seconds
        self._waiting: deque[dict[str, Any]] = deque()
        self._capacity = capacity
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="lemo-events", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def add(self, user_id: str, item_id: str, action: str, **more: Any) -> None:
        """Takes an event; it happened now, unless `timestamp` says otherwise."""
        event = {"user_id": user_id, "item_id": item_id, "action": action, **more}
        event.setdefault("timestamp", datetime.now(UTC).isoformat())
        event.setdefault("event_id", uuid4().hex)
        with self._changed:
            if len(self._waiting) >= self._capacity:
                self._waiting.popleft()
                self.dropped += 1
            self._waiting.append(event)
            self._changed.notify()

    def close(self) -> None:
        """Sends what waits, and ends the thread; events that cannot be sent now are dropped and counted."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()
        atexit.unregister(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                self._changed.wait_for(lambda: len(self._waiting) >= BATCH or self._closed, self._seconds)
                batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
                closed = self._closed
            if batch and not self._send(batch):
                self._put_back(batch, closed)
            if closed and not self._waiting:
                return

    def _send(self, batch: list[dict[str, Any]]) -> bool:
        """Whether the API has decided on the events."""
        try:
            answer = self._client.send_events(batch)
        except LemoRefused as error:
            self.rejected.append(str(error))
            return True
        except LemoUnavailable:
            return False
        self.rejected.extend(why for _, why in answer.rejected)
        return True

    def _put_back(self, batch: list[dict[str, Any]], closed: bool) -> None:
        with self._changed:
            room = 0 if closed else max(self._capacity - len(self._waiting), 0)
            kept = batch[len(batch) - room :] if room else []
            self.dropped += len(batch) - len(kept)
            self._waiting.extendleft(reversed(kept))
            if closed:
                self.dropped += len(self._waiting)
                self._waiting.clear()
