"""The identity provider: OpenID Connect's discovery, the exchange of a code, and the check of ID tokens.

Nothing of it is kept but the discovery document, for minutes. No error holds a token, a code or the client's secret.
"""

import base64
import hashlib
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import httpx
from joserfc import jwt
from joserfc.errors import (
    BadSignatureError,
    ExpiredTokenError,
    InvalidClaimError,
    InvalidKeyIdError,
    JoseError,
    MissingClaimError,
)
from joserfc.jwk import KeySet, import_key
from pydantic import BaseModel, ValidationError

from lemo.domain.errors import EngineUnavailable, InvalidInput, LemoError, WrongCredential
from lemo.domain.openid import Admission, parsed_roles, values_at
from lemo.domain.reasons import shortened
from lemo.settings import Settings
from lemo.stores.loopback import is_loopback

DISCOVERY = "/.well-known/openid-configuration"
DISCOVERED_SECONDS = 300
LEEWAY_SECONDS = 60
"""How far the clocks of provider and console may differ."""
_LARGEST_ANSWER = 1_000_000
_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"]
"""By public keys alone: with HS256 the client's secret would sign, and with `none` nobody."""


class Metadata(BaseModel):
    """What Lemo needs of a provider's discovery document."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str = ""
    token_endpoint_auth_methods_supported: list[str] = ["client_secret_basic"]


class OpenIdProvider:
    """The provider that the settings name. Every call raises EngineUnavailable, or InvalidInput for a wrong setting."""

    def __init__(self, settings: Settings) -> None:
        self.issuer = settings.oidc_issuer
        self._id = settings.oidc_client_id
        self._secret = settings.oidc_client_secret.get_secret_value() if settings.oidc_client_secret else ""
        self._scopes = settings.oidc_scopes
        self._seconds = settings.answer_seconds
        self._found: tuple[float, Metadata] | None = None
        self.admission = Admission(
            tenant_id=settings.oidc_tenant,
            role_claim=settings.oidc_role_claim,
            roles=parsed_roles(settings.oidc_roles),
            default_role=settings.oidc_default_role or None,
            domains=frozenset(each.lower() for each in settings.oidc_domains),
            groups_claim=settings.oidc_groups_claim,
            groups=frozenset(settings.oidc_groups),
        )

    @property
    def host(self) -> str:
        """The provider's host, for people."""
        return urlsplit(self.issuer).netloc

    def metadata(self) -> Metadata:
        """The provider's discovery document."""
        if self._found is None or time.monotonic() - self._found[0] > DISCOVERED_SECONDS:
            self._found = (time.monotonic(), self._discovered())
        return self._found[1]

    def authorization_url(self, redirect_uri: str, state: str, nonce: str, verifier: str) -> str:
        """Where a browser goes to log in; it comes back to `redirect_uri` with the state and a code."""
        endpoint = self.metadata().authorization_endpoint
        parameters = {
            "response_type": "code",
            "client_id": self._id,
            "redirect_uri": redirect_uri,
            "scope": self._scopes,
            "state": state,
            "nonce": nonce,
            "code_challenge": base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest())
            .rstrip(b"=")
            .decode(),
            "code_challenge_method": "S256",
        }
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(parameters)}"

    def claims(self, code: str, redirect_uri: str, nonce: str, verifier: str) -> Mapping[str, Any]:
        """The checked claims of whoever logged in; raises WrongCredential for a code or a token that is not good."""
        metadata = self.metadata()
        tokens = self._tokens(metadata, code, redirect_uri, verifier)
        claims = self._checked(metadata, str(tokens.get("id_token", "")), nonce)
        missing = [name for name in self.admission.claims() if name not in claims and not values_at(claims, name)]
        access_token = tokens.get("access_token")
        if missing and metadata.userinfo_endpoint and isinstance(access_token, str):
            more = self._json("GET", metadata.userinfo_endpoint, headers={"Authorization": f"Bearer {access_token}"})
            if more.get("sub") != claims["sub"]:
                raise WrongCredential(f"{self.host} told of two different people in one login.", "Log in again.")
            claims = {**more, **claims}
        return claims

    def _discovered(self) -> Metadata:
        url = self.issuer.rstrip("/") + DISCOVERY
        hint = f"LEMO_OIDC_ISSUER must be the address below which {DISCOVERY} stands."
        try:
            found = Metadata.model_validate(self._json("GET", url))
        except ValidationError as error:
            raise InvalidInput(f"{url} holds no discovery document of OpenID Connect.", hint) from error
        except WrongCredential as error:
            raise InvalidInput(error.message, hint) from error
        if found.issuer != self.issuer:
            raise InvalidInput(
                f"The identity provider calls itself {shortened(found.issuer, 200)}, not {self.issuer!r}.",
                "Set LEMO_OIDC_ISSUER to exactly that, if it is your provider; a slash at the end counts.",
            )
        for each in (found.authorization_endpoint, found.token_endpoint, found.jwks_uri, found.userinfo_endpoint):
            if each and not is_safe(each):
                raise InvalidInput(
                    f"The identity provider names an address that is not https: {shortened(each, 200)}.",
                    "Have its administrator turn on TLS.",
                )
        return found

    def _tokens(self, metadata: Metadata, code: str, redirect_uri: str, verifier: str) -> Mapping[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        headers = {}
        methods = metadata.token_endpoint_auth_methods_supported
        if not self._secret:
            form["client_id"] = self._id
        elif "client_secret_basic" in methods or "client_secret_post" not in methods:
            # RFC 6749, 2.3.1: both are encoded as in a form first.
            pair = f"{quote(self._id, safe='')}:{quote(self._secret, safe='')}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form |= {"client_id": self._id, "client_secret": self._secret}
        return self._json("POST", metadata.token_endpoint, data=form, headers=headers)

    def _checked(self, metadata: Metadata, id_token: str, nonce: str) -> dict[str, Any]:
        """The claims of an ID token for this client and this login, signed by the provider."""
        registry = jwt.JWTClaimsRegistry(
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": self.issuer},
            aud={"essential": True, "value": self._id},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        try:
            claims = jwt.decode(id_token, self._keys(metadata), algorithms=_ALGORITHMS).claims
            registry.validate(claims)
        except (JoseError, ValueError) as error:
            raise _refusal(self.host, error) from error
        if claims.get("azp", self._id) != self._id:
            raise WrongCredential(f"{self.host} answered a login at another client.", "Check LEMO_OIDC_CLIENT_ID.")
        return claims

    def _keys(self, metadata: Metadata) -> KeySet:
        """The provider's keys of now, so that a rotation needs nothing here. Keys of unknown kinds are passed over."""
        keys = []
        listed = self._json("GET", metadata.jwks_uri).get("keys")
        for each in listed if isinstance(listed, list) else ():
            if isinstance(each, dict) and each.get("kty") in ("RSA", "EC", "OKP") and each.get("use", "sig") == "sig":
                try:
                    keys.append(import_key(each))
                except (JoseError, ValueError):
                    continue
        return KeySet(keys)

    def _json(self, method: str, url: str, **request: Any) -> dict[str, Any]:
        """A JSON object; raises WrongCredential where the provider answers anything else."""
        place = f"{urlsplit(url).netloc}{urlsplit(url).path}"
        try:
            answer = httpx.request(method, url, timeout=self._seconds, **request)
        except httpx.HTTPError as error:
            raise EngineUnavailable(
                f"The identity provider does not answer at {place} ({type(error).__name__}).",
                "Check LEMO_OIDC_ISSUER and the network; an account with a password can log in meanwhile.",
            ) from error
        if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise EngineUnavailable(
                f"The identity provider answers {answer.status_code} at {place}.",
                "Look at its log, or try again later.",
            )
        try:
            found = answer.json() if len(answer.content) <= _LARGEST_ANSWER else None
        except ValueError:
            found = None
        if answer.status_code != httpx.codes.OK:
            said = found.get("error_description") or found.get("error") if isinstance(found, dict) else None
            raise WrongCredential(
                f"The identity provider answers {answer.status_code} at {place}"
                + (f": {shortened(str(said), 200)}." if said else "."),
                "Log in again; if it stays so, check LEMO_OIDC_CLIENT_ID, LEMO_OIDC_CLIENT_SECRET and the address of"
                " return that is registered there.",
            )
        if not isinstance(found, dict):
            raise WrongCredential(f"The identity provider answers no JSON at {place}.", "Check LEMO_OIDC_ISSUER.")
        return found


def is_safe(url: str) -> bool:
    """Whether secrets may travel there: https, or this machine."""
    address = urlsplit(url)
    return address.scheme == "https" or (address.scheme == "http" and is_loopback(address.hostname or ""))


def _refusal(host: str, error: Exception) -> LemoError:
    """Why an ID token is not taken, without the token."""
    if isinstance(error, ExpiredTokenError) or (
        isinstance(error, InvalidClaimError) and getattr(error, "claim", "") in ("iat", "nbf")
    ):
        return WrongCredential(
            f"The ID token of {host} is not valid now: the clocks of the provider and of this machine differ by more"
            f" than {LEEWAY_SECONDS} s, or the login took too long.",
            "Set both clocks by NTP, then log in again.",
        )
    if isinstance(error, InvalidClaimError | MissingClaimError):
        claim = getattr(error, "claim", "")
        hint = {
            "iss": "LEMO_OIDC_ISSUER must be the issuer as the token names it.",
            "aud": "LEMO_OIDC_CLIENT_ID must be the client that the provider knows Lemo by.",
        }.get(claim, "Log in again.")
        return WrongCredential(f"The ID token of {host} has a wrong or no claim {claim!r}.", hint)
    if isinstance(error, BadSignatureError | InvalidKeyIdError):
        return WrongCredential(f"The ID token was not signed by a key of {host}.", "Log in again.")
    return WrongCredential(f"{host} answered no ID token that can be read ({type(error).__name__}).", "Log in again.")
