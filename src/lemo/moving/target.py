"""The engines to which an installation is moved, by their URLs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from lemo.domain.errors import InvalidInput
from lemo.settings import Settings

_SETTINGS: Mapping[str, str] = {
    "mongodb": "mongo_url",
    "mongodb+srv": "mongo_url",
    "redis": "redis_url",
    "rediss": "redis_url",
    "http": "clickhouse_url",
    "https": "clickhouse_url",
    "kafka": "kafka_bootstrap_servers",
    "s3": "snapshots_url",
}
"""The setting that a URL is for, by its scheme. Vectors are made anew, so Milvus is none of them."""
_NEEDED = {"mongo_url": "mongodb://...", "redis_url": "redis://...", "clickhouse_url": "http://..."}
ENV_FILE = "lemo.env"


def target_settings(source: Settings, urls: Sequence[str], home: Path) -> Settings:
    """The settings of the services on the engines at the URLs; raises InvalidInput.

    What has no URL there (an ingest log in Redis Streams, snapshots in a folder) is below `home`, or in that Redis.
    """
    named: dict[str, str] = {}
    for url in urls:
        scheme = urlsplit(url).scheme
        name = _SETTINGS.get(scheme)
        if name is None:
            raise InvalidInput(
                f"--to takes no URL of the kind {scheme or 'without a scheme'!r}.",
                f"It takes {', '.join(f'{each}://' for each in _SETTINGS)}.",
            )
        if name in named:
            raise InvalidInput(f"--to names two engines for LEMO_{name.upper()}.", "Name one of each kind.")
        named[name] = url.removeprefix("kafka://") if scheme == "kafka" else url
    missing = [f"--to {form}" for name, form in _NEEDED.items() if name not in named]
    if missing:
        raise InvalidInput("Documents, Redis and ClickHouse need an engine each.", f"Add {', '.join(missing)}.")
    elsewhere = {"kafka_bootstrap_servers": "", "snapshots_url": None, **named}
    return source.model_copy(
        update={
            "home": home,
            **{
                name: SecretStr(value) if value and name != "kafka_bootstrap_servers" else value
                for name, value in elsewhere.items()
            },
        }
    )


def write_env(target: Settings) -> Path:
    """Writes the settings that differ from the source's into a file for its owner alone, and returns it."""
    lines = []
    for name in dict.fromkeys(_SETTINGS.values()):
        value = getattr(target, name)
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if text:
            lines.append(f"LEMO_{name.upper()}={text}\n")
    file = target.state / ENV_FILE
    file.touch(mode=0o600)
    file.chmod(0o600)
    file.write_text("".join([f"LEMO_HOME={target.state}\n", *lines]), "utf-8")
    return file
