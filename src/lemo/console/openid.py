"""Logging in by OpenID Connect: authorization code with PKCE, state and nonce.

The session's cookie is `SameSite=strict`, so it does not come along when the provider sends the browser back. Another
cookie, `Lax` and for these two addresses alone, ties the way there to the way back: state, nonce and verifier are
derived from it by a key that never leaves the process. The page of return leads on by itself, and so with the session's
cookie.
"""

import base64
import hashlib
import hmac
import html
import secrets

import structlog
from nicegui import app, run
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from lemo.console.access import Access
from lemo.console.language import COOKIE as LANGUAGE
from lemo.console.language import Language, chosen, language_of
from lemo.console.queries import Queries, attempt
from lemo.domain.errors import InvalidInput, LemoError, WrongCredential
from lemo.domain.openid import Person
from lemo.domain.reasons import shortened
from lemo.domain.scope import Scope
from lemo.settings import Settings
from lemo.stores.openid import OpenIdProvider

BEGIN, RETURN = "/login/openid", "/login/openid/return"
COOKIE, COOKIE_SECONDS = "lemo-openid", 600
PROBLEM = "openid_problem"
"""Where the session of a browser says why its login failed, for the login page to show once."""
log = structlog.get_logger()


class OpenIdLogin:
    """The two addresses between console and provider. One per process."""

    def __init__(self, settings: Settings, queries: Queries, access: Access, provider: OpenIdProvider) -> None:
        self._url = settings.console_url.rstrip("/")
        self._queries = queries
        self._access = access
        self._provider = provider
        self._key = secrets.token_bytes(32)

    def add_routes(self) -> None:
        """Adds them to NiceGUI's application."""
        app.add_api_route(BEGIN, self.begin, include_in_schema=False)
        app.add_api_route(RETURN, self.end, include_in_schema=False)

    async def begin(self, request: Request) -> Response:
        """Sends the browser to the provider."""
        flow, back = secrets.token_urlsafe(32), self._return_url(request)
        state, nonce, verifier = (self._derived(flow, name) for name in ("state", "nonce", "verifier"))
        found = await run.io_bound(
            attempt, lambda: self._provider.authorization_url(back, state=state, nonce=nonce, verifier=verifier)
        )
        if not isinstance(found, str):
            return self._refused(found)
        response = RedirectResponse(found, 303, {"Cache-Control": "no-store"})
        safe = back.startswith("https:")
        response.set_cookie(COOKIE, flow, COOKIE_SECONDS, path=BEGIN, secure=safe, httponly=True, samesite="lax")
        return response

    async def end(self, request: Request) -> Response:
        """Begins the session of whoever comes back from the provider."""
        flow, back = request.cookies.get(COOKIE, ""), self._return_url(request)
        given = {name: request.query_params.get(name, "") for name in ("state", "code", "error", "iss")}
        spoken = language_of(request.cookies.get(LANGUAGE, ""), request.headers.get("accept-language", ""))
        address = request.client.host if request.client else ""
        found = await run.io_bound(attempt, lambda: self._person(flow, given, back, spoken, address))
        if not isinstance(found, Person):
            return self._refused(found)
        self._access.begin_session(found)
        return _leading_to("/")

    def _person(self, flow: str, given: dict[str, str], back: str, spoken: Language, address: str) -> Person:
        if not flow or not hmac.compare_digest(given["state"].encode(), self._derived(flow, "state").encode()):
            raise WrongCredential(
                chosen(
                    spoken,
                    "This login was not begun in this browser, or more than 10 minutes ago.",
                    "此登录不是在本浏览器中发起的，或已超过 10 分钟。",
                ),
                chosen(spoken, "Begin it again.", "请重新登录。"),
            )
        host, issuer = self._provider.host, self._provider.issuer
        if given["error"] or not given["code"]:
            reason = shortened(given["error"] or "no code", 100)
            raise WrongCredential(
                chosen(spoken, f"{host} did not log you in: {reason}.", f"{host} 未能完成登录：{reason}。"),
                chosen(spoken, "Try again, or ask its administrator.", "请重试，或联系其管理员。"),
            )
        if given["iss"] and given["iss"] != issuer:
            raise WrongCredential(
                chosen(spoken, "Another provider than the one asked has answered.", "应答的不是所请求的身份提供方。"),
                chosen(spoken, "Begin it again.", "请重新登录。"),
            )
        claims = self._provider.claims(
            given["code"], back, nonce=self._derived(flow, "nonce"), verifier=self._derived(flow, "verifier")
        )
        person = self._provider.admission.person(claims)
        stores = self._queries.stores
        if person.tenant_id not in stores.tenants.list():
            raise InvalidInput(f"There is no tenant {person.tenant_id!r}.", "Correct LEMO_OIDC_TENANT.")
        by = f"{person.tenant_id}, console (OpenID Connect: {person.name})"
        more = {"address": address, "issuer": issuer, "sub": person.subject, "role": person.role}
        stores.audit.note(Scope(person.tenant_id), by, "console.login", person.name, **more)
        return person

    def _refused(self, error: LemoError | None) -> Response:
        """Back to the login page, which says why."""
        log.warning("a login by OpenID Connect failed", error=str(error))
        app.storage.user[PROBLEM] = str(error or "")
        return _leading_to("/login")

    def _return_url(self, request: Request) -> str:
        return (self._url or str(request.base_url).rstrip("/")) + RETURN

    def _derived(self, flow: str, name: str) -> str:
        """43 characters that only this process can make of the cookie."""
        digest = hmac.digest(self._key, f"{name}:{flow}".encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _leading_to(path: str) -> Response:
    """A page that leads on at once. A redirect would still count as the provider's, and come without the session."""
    target = html.escape(path, quote=True)
    response = HTMLResponse(
        f'<!doctype html><meta http-equiv="refresh" content="0;url={target}"><title>Lemo</title>'
        f'<a href="{target}">Lemo</a>',
        headers={"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"},
    )
    response.delete_cookie(COOKIE, path=BEGIN, httponly=True, samesite="lax")
    return response
