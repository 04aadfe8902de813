"""Browsers that leave before their answer is ready: no fault of the server, and nothing for its log."""

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_CLIENT_CLOSED_REQUEST = 499
"""nginx's code for it; nobody is there to read it."""


class Departed:
    """Middleware in front of NiceGUI's own, which raise when the browser left (Starlette's issue 2516)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hands the request on; ends it quietly if it failed because nobody waits for its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        left = False

        async def listen() -> Message:
            nonlocal left
            message = await receive()
            left = left or message["type"] == "http.disconnect"
            return message

        try:
            await self._app(scope, listen, send)
        except RuntimeError as error:
            if not left or str(error) != "No response returned.":
                raise
            await Response(status_code=_CLIENT_CLOSED_REQUEST)(scope, receive, send)
