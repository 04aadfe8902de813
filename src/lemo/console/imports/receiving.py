"""`POST /import/file`: the body is a file, in a request that a page of the console made."""

import asyncio
import secrets
from collections.abc import Callable
from contextlib import suppress
from threading import Lock
from urllib.parse import unquote

from nicegui import app
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from lemo.console.access import Access
from lemo.console.acting import in_thread
from lemo.console.imports.uploads import Receiving, Upload, Uploads
from lemo.console.queries import attempt
from lemo.console.visitor import Visitor
from lemo.domain.errors import EngineUnavailable, LemoError, NotAllowed, TooLarge, WrongCredential

PATH = "/import/file"
TICKET, NAME, MODIFIED = "X-Lemo-Ticket", "X-Lemo-Name", "X-Lemo-Modified"
_PART = 1 << 20
"""Bytes that are written at once."""


class Tickets:
    """Secrets of open pages, each for the visitor who may send files from it. A page of another site has none."""

    def __init__(self) -> None:
        self._visitors: dict[str, Visitor] = {}
        self._refusals: dict[str, list[LemoError]] = {}
        self._lock = Lock()

    def issue(self, visitor: Visitor) -> tuple[str, Callable[[], None]]:
        """A ticket, and what ends it."""
        ticket = secrets.token_urlsafe(24)
        with self._lock:
            self._visitors[ticket], self._refusals[ticket] = visitor, []

        def end() -> None:
            with self._lock:
                self._visitors.pop(ticket, None)
                self._refusals.pop(ticket, None)

        return ticket, end

    def visitor(self, ticket: str) -> Visitor:
        """Whose it is; raises WrongCredential."""
        with self._lock:
            found = self._visitors.get(ticket)
        if found is None:
            raise WrongCredential("This page is not open any more.", "Load the page again, and drop the file again.")
        return found

    def refuse(self, ticket: str, why: LemoError) -> None:
        """Keeps why a file was not taken: a browser whose connection ends while it sends reads no answer."""
        with self._lock:
            self._refusals.get(ticket, []).append(why)

    def refusal(self, ticket: str) -> LemoError | None:
        """Why a file was not taken, each once; None where that is not known."""
        with self._lock:
            found = self._refusals.get(ticket)
            return found.pop(0) if found else None


def add_route(access: Access, uploads: Uploads, tickets: Tickets) -> None:
    """Has the server take files."""

    @app.post(PATH)
    async def receive(request: Request) -> Response:
        size, ticket = request.headers.get("content-length", ""), request.headers.get(TICKET, "")

        def begin() -> Receiving:
            visitor = tickets.visitor(ticket)
            access.require(visitor, "operator")
            name = unquote(request.headers.get(NAME, ""))[:1000]
            return uploads.begin(visitor.tenant_id, visitor.by, name, int(size) if size.isdecimal() else None)

        receiving = await in_thread(lambda: attempt(begin))
        if isinstance(receiving, LemoError):
            return _refusal(receiving, tickets, ticket)
        taken: Upload | LemoError | None = None
        try:
            taken = await _take(request, receiving)
        except ClientDisconnect:
            return Response(status_code=499)  # nobody reads it
        finally:
            if not isinstance(taken, Upload):
                await asyncio.to_thread(receiving.give_up)
        if isinstance(taken, LemoError):
            return _refusal(taken, tickets, ticket)
        return JSONResponse({"id": taken.id})


async def _take(request: Request, receiving: Receiving) -> Upload | LemoError:
    part = bytearray()
    try:
        async for chunk in request.stream():
            part += chunk
            if len(part) >= _PART:
                await asyncio.to_thread(receiving.write, bytes(part))
                part.clear()
        await asyncio.to_thread(receiving.write, bytes(part))
    except LemoError as error:
        return error
    modified = None
    with suppress(ValueError):
        modified = int(request.headers.get(MODIFIED, ""))
    return await asyncio.to_thread(receiving.whole, modified if modified and 0 < modified < 2**43 else None)


def _refusal(error: LemoError, tickets: Tickets, ticket: str) -> Response:
    tickets.refuse(ticket, error)
    status = {TooLarge: 413, WrongCredential: 401, NotAllowed: 403, EngineUnavailable: 503}.get(type(error), 400)
    # The rest of the body is not read: the connection ends with it.
    return JSONResponse({"message": str(error)}, status, headers={"Connection": "close"})
