"""Publishes the messages of many requests together: one round trip takes what came during the one before it."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from lemo.streams import Message

Publish = Callable[[Sequence[Message]], None]
"""Returns when the log has the messages."""


class GroupCommit:
    """One per event loop. Messages of one request stay together and in order."""

    def __init__(self, publish: Publish) -> None:
        self._publish = publish
        self._waiting: list[tuple[Sequence[Message], asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="group-commit")

    async def publish(self, messages: Sequence[Message]) -> None:
        """Returns when the log has the messages; raises what publishing its group raised. Who leaves stops no other."""
        loop = asyncio.get_running_loop()
        taken: asyncio.Future[None] = loop.create_future()
        self._waiting.append((messages, taken))
        if self._task is None:
            self._task = loop.create_task(self._publish_all())
        await taken

    async def _publish_all(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            group, self._waiting = self._waiting, []
            messages = [message for each, _ in group for message in each]
            error: Exception | None = None
            try:
                await loop.run_in_executor(self._thread, self._publish, messages)
            except Exception as caught:  # noqa: BLE001 - whoever waits gets it; else they would wait for ever
                error = caught
            for _, taken in group:
                if taken.done():  # its client has left
                    continue
                if error is None:
                    taken.set_result(None)
                else:
                    taken.set_exception(error)
        self._task = None

    def close(self) -> None:
        """Waits for what is being published."""
        self._thread.shutdown()
