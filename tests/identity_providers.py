"""A real OpenID Connect provider (oidc-provider-mock, on Authlib) with PKCE enforced, whose ID tokens can be spoilt."""

import base64
import hashlib
import io
import json
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, parse_qsl, quote, urlsplit

import httpx
from joserfc import jwt
from joserfc.jwk import Key, RSAKey
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.test import run_wsgi_app
from werkzeug.wrappers import Response

with warnings.catch_warnings(record=True):  # Authlib's, about Authlib
    from oidc_provider_mock import app as provider_app


class Provider:
    """The provider's address, what it has seen, and what is done to its next ID tokens."""

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._app = provider_app(require_nonce=True)
        self._challenges: dict[str, str] = {}
        self.issuer = ""
        self.listed = RSAKey.generate_key(2048, {"kid": "second", "use": "sig"})
        """A key of the provider beside the first, as after a rotation; listed while ID tokens are spoilt."""
        self.spoil: Callable[[dict[str, Any]], object] | None = None
        """Changes the claims of ID tokens, which are then signed again."""
        self.algorithm: str = "RS256"
        self.key: Key = self.listed
        """What they are signed with."""
        self.credentials: list[str] = []
        """What clients proved themselves with at the token endpoint."""

    def put(self, subject: str, **claims: Any) -> None:
        """Gives the provider a user."""
        answer = httpx.put(f"{self.issuer}/users/{quote(subject)}", json=claims, trust_env=False)
        assert answer.status_code == 204

    def log_in(self, url: str, subject: str) -> str:
        """What a browser does at the provider's page: the address that it is sent back to."""
        answer = httpx.post(url, data={"sub": subject}, trust_env=False)
        assert answer.status_code == 302, answer.text
        return str(answer.headers["Location"])

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path, query = environ["PATH_INFO"], dict(parse_qsl(environ.get("QUERY_STRING", "")))
        if path == "/oauth2/token" and not self._proved(environ):
            refused = Response('{"error": "invalid_grant"}', 400, content_type="application/json")
            return refused(environ, start_response)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            answer = Response(*run_wsgi_app(self._app, environ))
        if path == "/oauth2/authorize":
            for code in parse_qs(urlsplit(answer.headers.get("Location", "")).query).get("code", ()):
                assert query["code_challenge_method"] == "S256"
                self._challenges[code] = query["code_challenge"]
        elif path == "/jwks" and self.spoil is not None:
            found = json.loads(answer.get_data())
            # Keys of kinds that nobody knows yet stand beside the others (RFC 7517, 5).
            found["keys"] += [self.listed.as_dict(private=False), {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA"}]
            answer = Response(json.dumps(found), 200, content_type="application/json")
        elif path == "/oauth2/token" and self.spoil is not None:
            answer = self._spoilt(answer, self.spoil)
        return answer(environ, start_response)

    def _proved(self, environ: dict[str, Any]) -> bool:
        """Whether the verifier of the code's challenge came with it."""
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        form = dict(parse_qsl(body.decode()))
        if "HTTP_AUTHORIZATION" not in environ:
            body += b"&client_secret=any"  # the mock knows no public clients
            environ["CONTENT_LENGTH"] = str(len(body))
        environ["wsgi.input"] = io.BytesIO(body)
        self.credentials.append(environ.get("HTTP_AUTHORIZATION") or form["client_id"])
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        wanted = self._challenges.pop(form.get("code", ""), "")
        return wanted == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    def _spoilt(self, answer: Response, spoil: Callable[[dict[str, Any]], object]) -> Response:
        tokens = json.loads(answer.get_data())
        claims = json.loads(base64.urlsafe_b64decode(tokens["id_token"].split(".")[1] + "=="))
        spoil(claims)
        header = {"alg": self.algorithm, "kid": self.key.kid}
        tokens["id_token"] = jwt.encode(header, claims, self.key, algorithms=[self.algorithm])
        return Response(json.dumps(tokens), 200, content_type="application/json")


class _Quiet(WSGIRequestHandler):
    def log_request(self, *_: object) -> None:
        return


@contextmanager
def running_provider() -> Iterator[Provider]:
    """A provider at `localhost`, which for a browser is another site than `127.0.0.1`."""
    provider = Provider()
    server = make_server("127.0.0.1", 0, provider, threaded=True, request_handler=_Quiet)
    provider.issuer = f"http://localhost:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
