"""Origins: which web pages may call the API from a browser (CORS), and from which page a request comes."""

from collections.abc import Iterable
from typing import Any

import anyio.to_thread
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from lemo.api.access import Access
from lemo.domain.api_key import SAME_ORIGIN

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def origin_of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The origin of the page that sends a request; `SAME_ORIGIN` for a page of the API's own; empty if it says none.

    A browser leaves `Origin` out of a GET to the page's own origin, and then says so in `Sec-Fetch-Site`.
    """
    same = ""
    for name, value in headers:
        if name == b"origin":
            return value.decode("latin-1")
        if name == b"sec-fetch-site" and value == b"same-origin":
            same = SAME_ORIGIN
    return same


class Cors(CORSMiddleware):
    """Answers browsers for the origins of `LEMO_CORS_ORIGINS` and of keys. It goes in front of the hot path.

    `state` is the application's, which has its services once it has started.
    """

    def __init__(self, app: ASGIApp, state: Any) -> None:
        super().__init__(
            app, (), _METHODS, allow_headers=("Authorization",), expose_headers=("Retry-After",), max_age=600
        )
        self._state = state
        self._of_keys: frozenset[str] = frozenset()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a browser's question, or hands the request on and adds the headers to its answer."""
        # What is no request of a page costs nothing more.
        if scope["type"] != "http" or all(name != b"origin" for name, _ in scope["headers"]):
            await self.app(scope, receive, send)
            return
        services = getattr(self._state, "services", None)
        if services is not None:
            self.allow_origins = services.stores.settings.cors_origins
            access: Access = services.access
            known = access.known_origins()
            self._of_keys = await anyio.to_thread.run_sync(access.origins) if known is None else known
        await super().__call__(scope, receive, send)

    def is_allowed_origin(self, origin: str) -> bool:
        """Whether the setting or any key names the origin. Which key may be used from where, `Access` decides."""
        return "*" in self.allow_origins or origin in self.allow_origins or origin in self._of_keys
