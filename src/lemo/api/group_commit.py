"""Publishes the messages of many requests together: one round trip takes what came during the one before it."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from lemo.domain.errors import EngineUnavailable
from lemo.streams import Message

Publish = Callable[[Sequence[Message]], None]
"""Returns when the log has the messages; raises EngineUnavailable."""


class GroupCommit:
    """One per event loop. Messages of one request stay together and in order."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Sequence[Message], asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="group-commit")

    async def publish(self, publish: Publish, messages: Sequence[Message]) -> None:
        """Returns when the log has the messages; raises EngineUnavailable. Whoever leaves does not stop the others."""
        loop = asyncio.get_running_loop()
        taken: asyncio.Future[None] = loop.create_future()
        self._waiting.append((messages, taken))
        if self._task is None:
            self._task = loop.create_task(self._publish_all(publish))
        await taken

    async def _publish_all(self, publish: Publish) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            group, self._waiting = self._waiting, []
            messages = [message for each, _ in group for message in each]
            error: EngineUnavailable | None = None
            try:
                await loop.run_in_executor(self._thread, publish, messages)
            except EngineUnavailable as caught:
                error = caught
            for _, taken in group:
                if taken.done():  # its client has left
                    continue
                if error is None:
                    taken.set_result(None)
                else:
                    taken.set_exception(EngineUnavailable(error.message, error.hint))
        self._task = None

    def close(self) -> None:
        """Waits for what is being published."""
        self._thread.shutdown()
