"""This machine's own addresses, which no proxy stands in front of, whatever the environment says."""

import ipaddress
import os
from urllib.parse import urlsplit

from pydantic import SecretStr

from lemo.settings import Settings

_ALWAYS = ("localhost", "127.0.0.1", "::1")
_URLS = (
    "clickhouse_url",
    "milvus_uri",
    "embedding_url",
    "s3_endpoint",
    "flink_url",
    "oidc_issuer",
    "otlp_endpoint",
)
"""Settings whose clients follow `http_proxy` and its kin; those of Redis, MongoDB and Kafka do not."""


def is_loopback(host: str) -> bool:
    """Whether only programs on this machine can reach the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def keep_loopback_direct(settings: Settings) -> None:
    """Adds this machine's addresses to `no_proxy` and `NO_PROXY` of this process and of those that it starts.

    The clients of ClickHouse, Milvus (gRPC), S3 and embedding endpoints all read these variables, and some have no
    option of their own. Engines elsewhere go through a proxy where the environment names one.
    """
    hosts = [*_ALWAYS, *filter(is_loopback, (_host(getattr(settings, name)) for name in _URLS))]
    given = [part.strip() for name in ("no_proxy", "NO_PROXY") for part in os.environ.get(name, "").split(",")]
    # Clients differ in which of the two they prefer: both say the same.
    wanted = ",".join(dict.fromkeys(part for part in (*given, *hosts) if part)) if "*" not in given else "*"
    for name in ("no_proxy", "NO_PROXY"):
        if os.environ.get(name) != wanted:
            os.environ[name] = wanted


def _host(url: str | SecretStr | None) -> str:
    text = url.get_secret_value() if isinstance(url, SecretStr) else url or ""
    try:
        return urlsplit(text).hostname or ""
    except ValueError:
        return ""
