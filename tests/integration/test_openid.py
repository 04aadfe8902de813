"""OpenID Connect against a real provider: who is let in, and every ID token that must not be taken."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import OctKey, RSAKey
from pydantic import ValidationError

from identity_providers import Provider, running_provider
from lemo.diagnostics.identity_probe import probe_identity
from lemo.domain.errors import EngineUnavailable, InvalidInput, NotAllowed, WrongCredential
from lemo.domain.openid import Person
from lemo.settings import Settings
from lemo.stores.openid import OpenIdProvider

SECRET = "a client's secret/: 机密"
BACK = "http://127.0.0.1:8080/login/openid/return"
STATE, NONCE, VERIFIER = "s" * 43, "n" * 43, "v" * 43


@pytest.fixture(scope="module")
def running() -> Iterator[Provider]:
    with running_provider() as provider:
        provider.put("1", email="ann@acme.example", email_verified=True, realm={"roles": ["staff", "chiefs"]})
        provider.put("2", email="bob@other.example", email_verified=True, realm={"roles": ["staff"]})
        provider.put("3", email="eve@acme.example", email_verified=False, realm={"roles": ["chiefs"]})
        provider.put("4", email="dan@acme.example", email_verified=True, groups=["cooks"], realm="none")
        yield provider


@pytest.fixture
def provider(running: Provider) -> Iterator[Provider]:
    yield running
    running.spoil, running.key, running.algorithm = None, running.listed, "RS256"


def settings_of(provider: Provider, **more: Any) -> Settings:
    named = {"oidc_client_id": "lemo", "oidc_client_secret": SECRET, "oidc_role_claim": "realm.roles"}
    roles = {"oidc_roles": ["chiefs=admin", "staff=viewer"]}
    return Settings(**{"oidc_issuer": provider.issuer, **named, **roles, **more})


def person(provider: Provider, subject: str, *, nonce: str = NONCE, verifier: str = VERIFIER, **more: Any) -> Person:
    client = OpenIdProvider(settings_of(provider, **more))
    back = provider.log_in(client.authorization_url(BACK, STATE, NONCE, VERIFIER), subject)
    address, _, query = back.partition("?")
    assert address == BACK
    given = dict(part.split("=") for part in query.split("&"))
    assert given["state"] == STATE
    return client.admission.person(client.claims(given["code"], BACK, nonce=nonce, verifier=verifier))


def test_people_get_the_highest_role_that_the_claim_gives(provider: Provider) -> None:
    assert person(provider, "1") == Person("ann@acme.example", "1", "default", "admin")
    assert person(provider, "2", oidc_tenant="acme") == Person("bob@other.example", "2", "acme", "viewer")
    assert person(provider, "4", oidc_default_role="operator", oidc_domains="*").role == "operator"
    assert person(provider, "1", oidc_domains="b.example, ACME.example").role == "admin"
    assert (
        person(provider, "4", oidc_groups="waiters, cooks", oidc_role_claim="", oidc_default_role="viewer").role
        == "viewer"
    )
    assert SECRET.encode() not in repr(provider.credentials).encode()
    assert all(each.startswith("Basic ") for each in provider.credentials)
    person(provider, "1", oidc_client_secret=None)
    assert provider.credentials[-1] == "lemo", "a public client names itself, and proves itself by PKCE alone"


@pytest.mark.parametrize(
    ("subject", "more", "why"),
    [
        ("4", {}, "The claim 'realm.roles' is missing.*LEMO_OIDC_ROLE_CLAIM"),
        ("2", {"oidc_roles": "bosses=admin"}, "'realm.roles' holds 'staff'.*one of: bosses"),
        ("2", {"oidc_domains": "acme.example"}, "of no domain that is let in"),
        ("3", {"oidc_domains": "acme.example"}, "not say that your e-mail address is verified"),
        ("1", {"oidc_groups": "cooks"}, "in no group.*The claim 'groups' is missing"),
    ],
)
def test_others_learn_why_not(provider: Provider, subject: str, more: dict[str, Any], why: str) -> None:
    with pytest.raises(NotAllowed, match=why):
        person(provider, subject, **more)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"iss": "https://evil.example"}, "claim 'iss'.*LEMO_OIDC_ISSUER"),
        ({"aud": "another client"}, "claim 'aud'.*LEMO_OIDC_CLIENT_ID"),
        ({"aud": ["lemo", "other"], "azp": "other"}, "another client"),
        ({"nonce": "of another login"}, "claim 'nonce'"),
        ({"nonce": None}, "claim 'nonce'"),
        ({"exp": time.time() - 3_600}, "clocks.*NTP"),
        ({"iat": time.time() + 3_600}, "clocks.*NTP"),
        ({"exp": None}, "claim 'exp'"),
        ({"sub": None}, "claim 'sub'"),
    ],
)
def test_a_token_for_others_or_of_another_time_is_refused(provider: Provider, change: dict[str, Any], why: str) -> None:
    provider.spoil = lambda claims: claims.update(change)
    with pytest.raises(WrongCredential, match=why):
        person(provider, "1")


def test_a_token_is_taken_after_the_providers_keys_were_rotated(provider: Provider) -> None:
    provider.spoil = lambda claims: claims.update(exp=time.time() - 30)  # within the leeway
    assert person(provider, "1").role == "admin"


def test_a_token_that_others_signed_is_refused(provider: Provider) -> None:
    provider.spoil = lambda claims: claims.update(spoilt=True)
    for provider.key in (
        RSAKey.generate_key(2048, {"kid": "second"}),  # of that name, and not it
        RSAKey.generate_key(2048, {"kid": "third"}),
    ):
        with pytest.raises(WrongCredential, match="not signed by a key of localhost"):
            person(provider, "1")
    # The public key as the secret of HS256, and the client's secret.
    for secret in (provider.listed.as_pem(private=False), SECRET.encode()):
        provider.key, provider.algorithm = OctKey.import_key(secret.hex(), {"kid": "second"}), "HS256"
        with pytest.raises(WrongCredential, match="no ID token that can be read"):
            person(provider, "1")


def test_a_stolen_code_is_worth_nothing_without_the_verifier_and_in_another_login(provider: Provider) -> None:
    with pytest.raises(WrongCredential, match="invalid_grant"):
        person(provider, "1", verifier="w" * 43)
    with pytest.raises(WrongCredential, match="claim 'nonce'"):
        person(provider, "1", nonce="m" * 43)


def test_a_provider_that_is_wrong_or_away_is_explained(provider: Provider, free_port: int) -> None:
    assert probe_identity(Settings()).state == "absent"
    ok = probe_identity(settings_of(provider))
    assert (ok.state, ok.detail) == ("ok", f"client lemo of {provider.issuer}")
    for issuer, kind, why in (
        (f"{provider.issuer}/", InvalidInput, "calls itself 'http://localhost:.*exactly"),
        (f"{provider.issuer}/realm", InvalidInput, "404 .*LEMO_OIDC_ISSUER must be"),
        (f"http://localhost:{free_port}", EngineUnavailable, "does not answer at localhost.*ConnectError"),
    ):
        settings = settings_of(provider, oidc_issuer=issuer)
        with pytest.raises(kind, match=why):
            OpenIdProvider(settings).metadata()
        finding = probe_identity(settings)
        assert (finding.state, SECRET in repr(finding)) == ("missing", False)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"oidc_client_id": ""}, "needs LEMO_OIDC_CLIENT_ID"),
        ({"oidc_issuer": "http://login.example"}, "must begin with https"),
        ({"oidc_issuer": "login.example"}, "must be an address"),
        ({"oidc_role_claim": ""}, "LEMO_OIDC_ROLE_CLAIM, LEMO_OIDC_DEFAULT_ROLE, or both"),
        ({"oidc_roles": "chiefs=king"}, "VALUE=ROLE"),
        ({"oidc_default_role": "viewer"}, "everybody whom the provider knows"),
        ({"oidc_scopes": "email"}, "must hold openid"),
        ({"console_url": "http://lemo.example"}, "must begin with https"),
    ],
)
def test_settings_that_let_in_too_many_or_nobody_are_refused(wrong: dict[str, Any], why: str) -> None:
    whole = {"oidc_issuer": "https://login.example", "oidc_client_id": "lemo", "oidc_role_claim": "roles"}
    Settings(**whole)
    with pytest.raises(ValidationError, match=why):
        Settings(**whole | wrong)


def test_with_a_provider_nobody_sees_the_console_unasked(tmp_path: Path, provider: Provider, redis_url: str) -> None:
    from lemo.console.access import Access
    from lemo.console.queries import Queries
    from lemo.stores.bootstrap import ensure_admin

    settings = settings_of(provider, home=tmp_path, redis_url=redis_url)
    ensure_admin(settings)
    queries = Queries(settings)
    access = Access(settings, queries)
    until = time.time() + 60
    assert access._visitor_of({}) is None
    assert access.has_people("default")
    key = queries.stores.api_keys.create("default")
    assert access._visitor_of({"until": until, "tenant": "default", "key": key.id}) is None, "changes bear names"
    session = {"until": until, "tenant": "default", "person": "ann@acme.example", "role": "operator"}
    visitor = access._visitor_of(session)
    assert visitor is not None
    assert visitor.by == "default, console (OpenID Connect: ann@acme.example)"
    access.require(visitor, "operator")
    with pytest.raises(NotAllowed, match="takes the role admin"):
        access.require(visitor, "admin")
    assert access._visitor_of(session | {"role": "king"}) is None
    assert access._visitor_of(session | {"until": time.time() - 1}) is None
    queries.close()
