"""Probe of the identity provider that people log in to the console by."""

from lemo.diagnostics.probing import timed_probe
from lemo.diagnostics.reachability import Address
from lemo.diagnostics.report import Finding
from lemo.domain.errors import LemoError
from lemo.settings import Settings
from lemo.stores.openid import DISCOVERY, OpenIdProvider


def probe_identity(settings: Settings) -> Finding:
    """Requests the provider's discovery document, and compares the issuer; absent without one."""
    issuer = settings.oidc_issuer
    if not issuer:
        return Finding(
            state="absent",
            detail="Nobody logs in by OpenID Connect; nothing needs it.",
            hint="To use it: docs/openid.md",
        )
    address = Address(
        name="identity provider",
        url=issuer,
        variable="LEMO_OIDC_ISSUER",
        schemes=("http", "https"),
        default_port=443 if issuer.startswith("https") else 80,
        embedded=False,
        start=f"curl {issuer.rstrip('/')}{DISCOVERY}",
        tls_scheme="https",
    )

    def probe() -> Finding:
        provider = OpenIdProvider(settings.model_copy(update={"answer_seconds": 3.0}))
        try:
            found = provider.metadata()
        except LemoError as error:
            return Finding(state="missing", detail=error.message, hint=error.hint)
        return Finding(
            state="ok", version="OpenID Connect", detail=f"client {settings.oidc_client_id} of {found.issuer}"
        )

    # No connection is tried before: the provider may be behind a proxy that the environment names.
    return timed_probe(probe, address.explain)
