"""Why an engine does not answer: wrong URL, unknown host, refused connection, silence or refused password."""

import socket
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

from lemo.domain.errors import LemoError
from lemo.observability.report import Finding
from lemo.observability.secrets import mask

CONNECT_SECONDS = 2.0
"""How long a host may take to accept a connection."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where an engine should listen, and what a person changes if it does not.

    `variable` names the setting, `embedded` tells that `lemo up` starts the engine here, `start` is the command that
    starts or tries a foreign one.
    """

    name: str
    url: str
    variable: str
    schemes: tuple[str, ...]
    default_port: int
    embedded: bool
    start: str

    def missing(self, what: str, mend: str) -> Finding:
        """The finding that the engine is not there."""
        return Finding(state="missing", detail=mask(f"{self.name}: {what}"), mend=mask(mend))

    def _mend_away(self) -> str:
        if self.embedded:
            return "Start the embedded engines: lemo up --detach"
        return f"Start it, or correct {self.variable}. Try it: {self.start}"

    def reach(self) -> Finding | None:
        """None when something accepts a connection at the URL, else what is wrong with it."""
        try:
            parts = urlsplit(self.url)
            host, port = parts.hostname, parts.port or self.default_port
        except ValueError as error:
            return self.missing(f"{self.variable} is no URL: {error}.", self._form())
        if parts.scheme not in self.schemes or not host:
            return self.missing(f"{self.variable} is no {self.schemes[0]}:// URL.", self._form())
        return self._connect(host, port)

    def _form(self) -> str:
        return f"Write it like {self.schemes[0]}://user:password@host:{self.default_port} and set it as {self.variable}"

    def _connect(self, host: str, port: int) -> Finding | None:
        where = f"{host}:{port}"
        try:
            socket.create_connection((host, port), timeout=CONNECT_SECONDS).close()
        except (socket.gaierror, UnicodeError):
            return self.missing(
                f"the host {host!r} is unknown.", f"Correct {self.variable}, or DNS. Try it: getent hosts {host}"
            )
        except TimeoutError:
            return self.missing(
                f"{where} did not accept a connection within {CONNECT_SECONDS:.0f} s.",
                f"Look for a firewall in between, or correct {self.variable}. Try it: {self.start}",
            )
        except ConnectionRefusedError:
            return self.missing(f"{where} refused the connection: nothing listens there.", self._mend_away())
        except OSError as error:
            return self.missing(f"{where} is out of reach: {error.strerror or error}.", self._mend_away())
        return None

    def explain(self, error: BaseException) -> Finding:
        """The finding for an error that came after the connection stood: password, protocol, TLS, time-out."""
        text = _whole_text(error)
        lowered = text.lower()
        if any(sign in lowered for sign in _REFUSED):
            return self.missing(
                "it refused the user or password.",
                f"Correct user and password in {self.variable}. Try it: {self.start}",
            )
        if isinstance(error, ssl.SSLError) or "ssl" in lowered or "certificate" in lowered:
            return self.missing(f"TLS failed: {_short(text)}", f"Correct the scheme or certificate of {self.variable}")
        if any(sign in lowered for sign in _FULL):
            return self.missing(
                f"it refuses writes: {_short(text)}",
                f"Free disk space or memory where it runs; it then goes on by itself. Try it: {self.start}",
            )
        if isinstance(error, TimeoutError) or "timed out" in lowered or "timeout" in lowered:
            return self.missing("it accepted the connection and then was silent.", self._mend_away())
        if isinstance(error, LemoError) and error.mend:
            return self.missing(_short(error.message), error.mend)
        return self.missing(
            f"something answers, but not as {self.name} does: {_short(text)}",
            f"Look whether {self.variable} names the right port. Try it: {self.start}",
        )


_REFUSED = (
    "wrongpass",
    "noauth",
    "invalid password",
    "invalid username-password",
    "authentication required",
    "authentication failed",
    "auth failed",
    "authentication_failed",
    "unauthorized",
    "unauthenticated",
    "not authenticated",
    "code: 516",
    "_authentication",
    "sasl",
    "http error 401",
    "http error 403",
)


_FULL = ("misconf", "no space left", "not_enough_space", "oom command not allowed")
"""What an engine says whose disk or memory is full."""


def _whole_text(error: BaseException) -> str:
    """The error's text and that of everything it came from."""
    parts: list[str] = []
    current: BaseException | None = error
    while current is not None and len(parts) < 10:
        parts.append(f"{type(current).__name__}: {current}")
        current = current.__cause__ or current.__context__
    return " <- ".join(parts)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 200 else f"{text[:200]}..."
