"""Explains why an engine does not answer: URL, host, refused connection, time-out, TLS or password."""

import socket
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

from lemo.diagnostics.report import Finding
from lemo.domain.errors import LemoError
from lemo.telemetry.secrets import mask

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
    form: str = ""
    """How the setting is written, where that is no URL."""
    tls_scheme: str = ""
    """What to write so that TLS is spoken: a scheme, or a whole setting; empty: nothing of the kind."""
    authority: str = "let a certificate authority sign it that this machine trusts"
    """What a person does so that a certificate of one's own authority is trusted."""

    def missing(self, what: str, hint: str) -> Finding:
        """The finding that the engine is unavailable."""
        return Finding(state="missing", detail=mask(f"{self.name}: {what}"), cause=mask(what), hint=mask(hint))

    def _hint_refused(self) -> str:
        if self.embedded:
            return "Start the embedded engines: lemo up --detach"
        return f"Start it, or correct {self.variable}. Try it: {self.start}"

    def reach(self) -> Finding | None:
        """None when something accepts a connection at the URL, else the finding with the reason."""
        try:
            parts = urlsplit(self.url)
            host, port = parts.hostname, parts.port or self.default_port
        except ValueError as error:
            return self.missing(f"{self.variable} is no URL: {error}.", self._form())
        if parts.scheme not in self.schemes or not host:
            what = f"list of {self.form}" if self.form else f"{self.schemes[0]}:// URL"
            return self.missing(f"{self.variable} is no {what}.", self._form())
        return self._connect(host, port)

    def _form(self) -> str:
        form = self.form or f"{self.schemes[0]}://user:password@host:{self.default_port}"
        return f"Write it like {form} and set it as {self.variable}"

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
            return self.missing(f"{where} refused the connection: nothing listens there.", self._hint_refused())
        except OSError as error:
            return self.missing(f"{where} is out of reach: {error.strerror or error}.", self._hint_refused())
        return None

    def _hint_silent(self) -> str:
        where = f"Look for an overloaded machine, or whether {self.variable} names the right port."
        return f"{where} Try it: {self.start}"

    def _tls_form(self) -> str:
        return f"{self.tls_scheme}:// in {self.variable}" if self.tls_scheme.islower() else self.tls_scheme

    def _tls(self, text: str) -> Finding:
        """The finding for a handshake that failed."""
        lowered = text.lower()
        if "timed out" in lowered or "timeout:" in lowered:
            return self.missing(
                "TLS failed: it did not answer the handshake: it speaks no TLS at this port, or is overloaded.",
                f"Use its TLS port in {self.variable}, or go without TLS. Try it: {self._certificate()}",
            )
        if any(sign in lowered for sign in _NO_TLS):
            return self.missing(
                "TLS failed: it does not speak TLS at this port.",
                f"Use its TLS port in {self.variable}, or the scheme without TLS.",
            )
        if "hostname mismatch" in lowered or "not valid for" in lowered or "ip address mismatch" in lowered:
            return self.missing(
                "TLS failed: its certificate was made for another name.",
                f"Use the name in the certificate in {self.variable}. See it: {self._certificate()}",
            )
        if "expired" in lowered or "not yet valid" in lowered:
            return self.missing(
                "TLS failed: its certificate is not valid now: expired, or a clock is wrong.",
                f"Renew it, or set the clock. See it: {self._certificate()}",
            )
        if any(sign in lowered for sign in _UNTRUSTED):
            why = (
                "it is self-signed" if "self-signed" in lowered or "self signed" in lowered else "its issuer is unknown"
            )
            return self.missing(
                f"TLS failed: its certificate is not trusted: {why}.",
                f"To trust it: {self.authority}. See it: {self._certificate()}",
            )
        return self.missing(
            f"TLS failed: {_short(text)}",
            f"Correct the scheme or certificate of {self.variable}: {self._certificate()}",
        )

    def _certificate(self) -> str:
        host, port = host_of(self.url), port_of(self.url, self.default_port)
        return f"openssl s_client -connect {host}:{port} </dev/null"

    def _speaks_tls(self) -> bool:
        """Whether a TLS handshake succeeds at the address of an engine that was called without TLS."""
        if not self.tls_scheme or self.url.startswith(f"{self.tls_scheme}:"):
            return False
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            address = host_of(self.url), port_of(self.url, self.default_port)
            with socket.create_connection(address, timeout=0.7) as plain, context.wrap_socket(plain):
                return True
        except (OSError, ValueError):
            return False

    def explain(self, error: BaseException) -> Finding:
        """The finding for an error after the connection: password, protocol, TLS or time-out."""
        text = _whole_text(error)
        lowered = text.lower()
        if any(sign in lowered for sign in _REFUSED):
            return self.missing(
                "it refused the user or password.",
                f"Correct user and password in {self.variable}. Try it: {self.start}",
            )
        if any(sign in lowered for sign in _FULL):
            return self.missing(
                f"it refuses writes: {_short(text)}",
                f"Free disk space or memory where it runs; it then goes on by itself. Try it: {self.start}",
            )
        if any(sign in lowered for sign in _TLS):
            return self._tls(text)
        if self._speaks_tls():
            return self.missing(
                "it speaks TLS, and was asked without.",
                f"Write {self._tls_form()}. A certificate of your own: {self.authority}.",
            )
        if isinstance(error, TimeoutError) or any(sign in lowered for sign in _SILENT):
            return self.missing("it accepted the connection and then was silent.", self._hint_silent())
        if isinstance(error, LemoError) and error.hint:
            return self.missing(_short(error.message), error.hint)
        return self.missing(
            f"something answers, but not as {self.name} does: {_short(text)}",
            f"Look whether {self.variable} names the right port. Try it: {self.start}",
        )


_REFUSED = (
    "wrongpass",
    "noauth",
    "invalid password",
    "invalid username-password",
    "authenticationerror",
    "authentication required",
    "authentication failed",
    "auth failed",
    "authentication_failed",
    "unauthorized",
    "unauthenticated",
    "unsupported authentication",
    "invalidaccesskeyid",
    "signaturedoesnotmatch",
    "not authenticated",
    "code: 516",
    "_authentication",
    "sasl",
    "http error 401",
    "http error 403",
)


_SILENT = ("timed out", "timeout", "fail connecting to server")
"""What clients say that waited in vain; the last is pymilvus, asked only where a connection was accepted before."""
_FULL = (
    "misconf",
    "noreplicas",
    "no space left",
    "not_enough_space",
    "oom command not allowed",
    "used memory > 'maxmemory'",
    "database or disk is full",
    "readonly",
    "read-only",
    "read only",
    "permission denied",
)
"""What an engine says whose disk or memory is full, or that may not write."""
_TLS = ("ssl", "certificate", "tls")
_NO_TLS = ("wrong_version_number", "wrong version number", "record layer", "plaintext broker", "invalidcontenttype")
_UNTRUSTED = ("certificate verify failed", "certificate_verify_failed", "unknownissuer", "caused by: invalid peer cert")


def host_of(url: str) -> str:
    """The host in a URL; empty where there is none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def port_of(url: str, default: int) -> int:
    """The port in a URL, or the default."""
    try:
        return urlsplit(url).port or default
    except ValueError:
        return default


def _whole_text(error: BaseException) -> str:
    """The texts of the error and of its causes."""
    parts: list[str] = []
    current: BaseException | None = error
    while current is not None and len(parts) < 10:
        parts.append(f"{type(current).__name__}: {current}")
        current = current.__cause__ or current.__context__
    return " <- ".join(parts)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 200 else f"{text[:200]}..."
