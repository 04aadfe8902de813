"""Deadlines for clients that send slowly, and the longest head: uvicorn has neither for the head of a request."""

import asyncio
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

PATIENCE_SECONDS = 30.0
"""How long a client may take for the head of a request, and how long it may send nothing of the body."""
LEAST_RATE = 500
"""Bytes a second that a body must bring on average, after that time: the rule of Apache's mod_reqtimeout."""

LONGEST_HEAD = 262_144
"""Bytes that a head may have, about: parts are counted as they come. GET takes many ids in its query."""


class DeadlineProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, which closes a connection whose client finishes no request, or whose head has no end.

    It covers what the application does not see: a head that does not end, and a body that nobody reads any more.
    While the application reads the body, `BodyDeadline` is what ends it.
    """

    _deadline: asyncio.TimerHandle | None = None
    _head_begun = False
    _head_size = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the time of the first request."""
        super().connection_made(transport)
        self._start_deadline()

    def on_message_begin(self) -> None:
        """Starts the time of a request."""
        super().on_message_begin()
        self._head_begun, self._head_size = True, 0
        self._start_deadline()

    def data_received(self, data: bytes) -> None:
        """Hands the bytes to the parser, which would keep a head of any size."""
        begun = self._head_begun
        super().data_received(data)
        if begun and self._head_begun and not self.transport.is_closing():
            self._head_size += len(data)
            if self._head_size > LONGEST_HEAD:
                self._close_with(431)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Takes a header; those behind a body are dropped: the application has its headers already."""
        if self._head_begun:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Notes that the application has the request now."""
        self._head_begun = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Ends the time of a request."""
        self._stop_deadline()
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """Ends the time: a WebSocket may be silent."""
        self._stop_deadline()
        super().handle_websocket_upgrade()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the time."""
        self._stop_deadline()
        super().connection_lost(exc)

    def _start_deadline(self) -> None:
        self._stop_deadline()
        self._deadline = self.loop.call_later(PATIENCE_SECONDS, self._out_of_time)

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _out_of_time(self) -> None:
        if self.transport.is_closing():
            return
        if self.cycle is not None and not self.cycle.response_complete:
            # The answer to this request, or to the one before it, is still being made.
            self._start_deadline()
            return
        if self._head_begun:
            self._close_with(408)
        self.transport.close()

    def _close_with(self, status: int) -> None:
        self.transport.write(STATUS_LINE[status] + b"content-length: 0\r\nconnection: close\r\n\r\n")
        self.transport.close()


class BodyDeadline:
    """ASGI middleware: a body that comes too slowly is answered by `refuse`; the application sees its client leave."""

    def __init__(self, app: ASGIApp, refuse: ASGIApp) -> None:
        self._app = app
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hands the request on, with a deadline for each part of its body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        size = 0
        waited = 0.0
        whole = started = refused = False

        async def listen() -> Message:
            nonlocal size, waited, whole, refused
            if whole:
                return await receive()
            # Only the time spent waiting for the client counts, not what the application takes between two parts.
            left = PATIENCE_SECONDS + size / LEAST_RATE - waited
            began = time.monotonic()
            try:
                async with asyncio.timeout(max(0.0, min(PATIENCE_SECONDS, left))):
                    message = await receive()
            except TimeoutError:
                whole = refused = True
                if not started:
                    await self._refuse(scope, receive, send)
                return {"type": "http.disconnect"}
            waited += time.monotonic() - began
            size += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            return message

        async def answer(message: Message) -> None:
            nonlocal started
            started = True
            if not refused:
                await send(message)

        await self._app(scope, listen, answer)
