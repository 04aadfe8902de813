"""Every knob of Lemo, in one place: `LEMO_*` variables, a `.env` file or `lemo.toml`, in that order of precedence.

It is long because all settings stand in one list, with their words.
"""

import difflib
import tomllib
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from lemo.domain.api_key import checked_origin
from lemo.domain.errors import InvalidInput
from lemo.domain.openid import parsed_roles

DEFAULT_INSTALLATION = "lemo"
"""The name of an installation that shares its engines with no other one."""
NAMED_BY_INSTALLATION = (
    "mongo_database",
    "clickhouse_database",
    "kafka_item_ingest_topics",
    "kafka_event_topic",
    "kafka_dead_letter_topic",
    "kafka_item_results_topic",
    "kafka_served_topic",
    "kafka_accepted_topic",
    "kafka_realtime_topic",
    "kafka_group",
)
"""Settings of names in engines that installations may share."""
Port = Annotated[int, Field(ge=1, le=65535)]


def _comma_separated(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


Names = Annotated[list[str], NoDecode, BeforeValidator(_comma_separated)]


class WrongSettingsFile(InvalidInput):
    """`.env` or `lemo.toml` cannot be read at all."""


class Settings(BaseSettings):
    """All settings. An engine's URL left empty means the embedded engine that `lemo up` starts on this machine."""

    model_config = SettingsConfigDict(
        env_prefix="LEMO_", env_file=".env", toml_file="lemo.toml", extra="ignore", validate_default=True
    )

    # State
    home: Path = Field(Path(".lemo"), description="Folder that holds all that the embedded engines keep.")
    installation: str = Field(
        DEFAULT_INSTALLATION,
        pattern=r"^[a-z][a-z0-9]{0,31}$",
        description="Name of this installation: the beginning of its names in Redis and Milvus. Another name than the"
        " default also begins the topics and the consumer group, names the databases and is a folder below"
        " LEMO_SNAPSHOTS_URL, where those settings are left at their defaults.",
    )
    key: SecretStr | None = Field(
        None, description="Key that the command line uses; empty: the one in `admin.key` below the home folder."
    )

    answer_seconds: float = Field(
        4,
        ge=0.5,
        le=600,
        description="Longest time, in seconds, that a page, a route or a command waits for one answer of an engine.",
    )

    # Redis: cache and recent history (database 0), broker (1), results (2)
    redis_url: SecretStr | None = Field(
        None, description="redis:// or rediss:// URL without a database number; empty: embedded Valkey."
    )
    redis_port: Port = Field(6399, description="Port of the embedded Valkey.")

    # Documents
    mongo_url: SecretStr | None = Field(None, description="mongodb:// URL; empty: SQLite below the home folder.")
    mongo_database: str = Field("lemo", description="Database that holds Lemo's collections.")

    # Events
    clickhouse_url: SecretStr | None = Field(
        None, description="http(s):// URL of ClickHouse's HTTP interface; empty: embedded chDB."
    )
    clickhouse_database: str = Field("lemo", description="Database that holds Lemo's tables.")
    clickhouse_port: Port = Field(8124, description="Port of the embedded ClickHouse (chDB).")

    # Ingest log
    kafka_bootstrap_servers: str = Field("", description="host:port[,host:port]; empty: Redis Streams.")
    kafka_security_protocol: str = Field("PLAINTEXT", description="PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL.")
    kafka_sasl_mechanism: str = Field("", description="PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512, with SASL protocols.")
    kafka_username: str = Field("", description="SASL user name.")
    kafka_password: SecretStr | None = Field(None, description="SASL password.")
    kafka_ca_file: Path | None = Field(None, description="PEM file of the certificate authority, with SSL protocols.")
    kafka_item_ingest_topics: Names = Field(
        ["items-ingest", "vlog-items", "news-items"], description="Topics that carry items, comma-separated."
    )
    kafka_event_topic: str = Field("user-behaviors", description="Topic of events; TOPIC-TENANT: of one tenant.")
    kafka_dead_letter_topic: str = Field("lemo-dead-letters", description="Topic that takes messages that are no good.")
    kafka_item_results_topic: str = Field(
        "items-ingest-results", description="Topic that tells what became of each item; empty: it is not told."
    )
    kafka_served_topic: str = Field(
        "served-answers", min_length=1, description="Topic that tells what the API answered, for ClickHouse."
    )
    kafka_accepted_topic: str = Field(
        "accepted-events",
        min_length=1,
        description="With Flink: topic of the events that the consumer took in, which Flink's jobs read.",
    )
    kafka_realtime_topic: str = Field(
        "realtime-results",
        min_length=1,
        description="With Flink: topic of what its jobs computed, which the consumer writes to ClickHouse and Redis.",
    )
    kafka_group: str = Field("lemo-recommender-group", description="Consumer group of `lemo consumer`.")
    dead_letters_days: int = Field(
        30, ge=1, description="Days that dead letters are kept. Kafka: of a topic that Lemo makes."
    )
    item_results_days: int = Field(7, ge=1, description="The same of the results of items.")
    kafka_group_protocol: Literal["classic", "consumer"] = Field(
        "classic",
        description="How consumers share partitions: classic (cooperative-sticky), or consumer (KIP-848; Kafka 4).",
    )
    stream_max_length: int = Field(
        2_000_000,
        ge=1000,
        description="Redis Streams: consumed messages kept per topic; dead letters and item results at most."
        " Unconsumed ones stay.",
    )

    # What was served
    served_log_share: float = Field(
        1, ge=0, le=1, description="Share of the API's answers that are kept in ClickHouse; 0: none."
    )
    served_log_per_second: int = Field(
        500,
        ge=0,
        description="Answers a second of each API process that are kept at most; of more, a share is kept by chance,"
        " and each row tells it. 0: no limit.",
    )
    served_log_length: int = Field(
        10_000,
        ge=10,
        description="Redis Streams: messages of the API's answers kept at most, each of up to 32 kB; beyond, the oldest"
        " are lost, taken in or not.",
    )
    served_days: int = Field(90, ge=1, le=36_500, description="Days that the API's answers are kept in ClickHouse.")

    # Vectors
    milvus_uri: str = Field("", description="Milvus address (http://host:19530); empty: embedded Milvus Lite.")
    milvus_token: SecretStr | None = Field(None, description="Milvus token, or user:password.")
    milvus_port: Port = Field(19531, description="Port of the embedded Milvus Lite.")
    embedding_dimensions: int = Field(
        64, ge=2, le=1024, description="Length of an item's content vector, where no embedding model is named."
    )
    embedding_model: str = Field(
        "",
        description="Folder of a sentence model (`model.onnx` and `tokenizer.json`, or sentence-transformers'), or its"
        " name behind LEMO_EMBEDDING_URL; empty: TF-IDF and SVD, learnt from the items.",
    )
    embedding_url: SecretStr | None = Field(
        None, description="Address of an OpenAI-compatible interface (https://host/v1) that embeds; empty: none."
    )
    embedding_key: SecretStr | None = Field(None, description="Key for it, sent as `Authorization: Bearer`.")
    embedding_batch: int = Field(64, ge=1, le=4096, description="Texts that are embedded at once by such a model.")
    embedding_timeout_seconds: float = Field(
        30, ge=0.1, le=600, description="Longest time, in seconds, that LEMO_EMBEDDING_URL may take for a batch."
    )

    # Flink
    flink_url: str = Field(
        "",
        description="Address of Flink's REST interface (http://host:8081); empty: no Flink jobs, nothing needs them.",
    )

    # Snapshots
    snapshots_url: SecretStr | None = Field(
        None, description="s3://bucket/prefix or a folder; empty: `snapshots` below the home folder."
    )
    s3_endpoint: str = Field("", description="Endpoint of an S3 that is not Amazon's (MinIO).")
    s3_access_key_id: str = Field("", description="S3 access key id; empty: the usual AWS variables.")
    s3_secret_access_key: SecretStr | None = Field(None, description="S3 secret access key.")

    # API and console
    api_host: str = Field("127.0.0.1", description="Address that the API listens on.")
    api_port: Port = Field(8000, description="Port of the API.")
    api_workers: int = Field(
        1, ge=1, le=256, description="Processes of the API; they share its port, and mapped snapshots in memory."
    )
    console_host: str = Field("127.0.0.1", description="Address that the console listens on.")
    console_port: Port = Field(8080, description="Port of the console.")
    console_url: str = Field(
        "",
        description="Address of the console for browsers (https://lemo.example), where a proxy stands in front of it"
        " and people log in by OpenID Connect; empty: the one that the browser asks for.",
    )
    console_upload_mb: int = Field(
        1000,
        ge=0,
        le=1_000_000,
        description="Largest file, in megabytes, that may be dropped on the console to be imported; it lies below"
        " LEMO_HOME until then. 0: none.",
    )
    cors_origins: Names = Field(
        [],
        description="Origins whose pages may call the API from a browser (https://shop.example), comma-separated,"
        " besides those of keys; `*`: all.",
    )
    requests_per_second: int = Field(
        0, ge=0, description="Requests a second that each tenant may send to the API, all processes together; 0: any."
    )
    events_per_second: int = Field(
        0, ge=0, description="Events a second that each tenant may send to the API, all processes together; 0: any."
    )
    max_body_bytes: int = Field(
        64_000_000,
        ge=1000,
        description="Largest request body that the API reads; of bodies beyond 1 MB each process holds 8 times this.",
    )

    # OpenID Connect: people of an identity provider log in to the console
    oidc_issuer: str = Field(
        "",
        description="Issuer of the identity provider whose people log in to the console, exactly as its discovery"
        " document names it (https://login.example/realm); empty: nobody logs in by OpenID Connect.",
    )
    oidc_client_id: str = Field("", description="Name by which the provider knows Lemo's console.")
    oidc_client_secret: SecretStr | None = Field(
        None, description="Secret of this client; empty: a public client, by PKCE alone."
    )
    oidc_scopes: str = Field("openid email profile", description="Scopes asked for, separated by spaces.")
    oidc_tenant: str = Field("default", description="Tenant whose console these people see.")
    oidc_role_claim: str = Field(
        "", description="Claim that gives the role: its name, or the way to it (realm_access.roles); empty: none."
    )
    oidc_roles: Names = Field(
        [],
        description="Roles by value of this claim (lemo-admins=admin, staff=viewer), comma-separated; empty: the values"
        " are admin, operator or viewer.",
    )
    oidc_default_role: Literal["", "viewer", "operator", "admin"] = Field(
        "", description="Role of those whom the claim gives none; empty: they are refused."
    )
    oidc_domains: Names = Field(
        [],
        description="Domains of verified e-mail addresses that are let in, comma-separated; `*` or empty: any.",
    )
    oidc_groups_claim: str = Field("groups", description="Claim that holds a person's groups.")
    oidc_groups: Names = Field(
        [], description="Groups that are let in, of which a person needs one, comma-separated; empty: any."
    )

    # Jobs
    worker_concurrency: int = Field(2, ge=1, le=256, description="Tasks that one worker runs at a time.")
    beat_loop_seconds: float = Field(
        5, ge=0.1, le=60, description="Longest time, in seconds, between two looks of beat at the schedule."
    )
    beat_lock_seconds: float = Field(
        20,
        ge=0.5,
        le=600,
        description="Life of the leading beat's lock, at least 3 loops: another leads at most this and one loop later.",
    )
    worker_metrics_host: str = Field("127.0.0.1", description="Address of the worker's `/metrics` for Prometheus.")
    worker_metrics_port: int = Field(
        9540, ge=0, le=65535, description="Its port, for each worker of a machine another one; 0: none."
    )
    consumer_metrics_host: str = Field("127.0.0.1", description="Address of the consumer's `/metrics` for Prometheus.")
    consumer_metrics_port: int = Field(
        9541, ge=0, le=65535, description="Its port, for each consumer of a machine another one; 0: none."
    )
    history_length: int = Field(200, ge=1, le=10_000, description="Most recent items of a user kept in Redis.")
    history_days: int = Field(
        90, ge=1, description="Days after its last write that a user's recent history stays in Redis."
    )
    runs_days: int = Field(30, ge=1, description="Days that the history of task runs is kept.")
    audit_days: int = Field(365, ge=1, description="Days that lines of the audit log are kept.")
    events_days: int = Field(0, ge=0, description="Days that events are kept; 0 keeps them for ever.")
    snapshots_kept: int = Field(3, ge=1, description="Snapshots kept per scenario and kind, besides the champion.")

    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="Least severe log line written.")
    log_format: Literal["text", "json"] = Field(
        "text", description="Form of log lines: text for people, or json for programs that collect logs."
    )

    otlp_endpoint: str = Field(
        "",
        pattern=r"^(https?://\S+)?$",
        description="Address of a collector that takes traces by OTLP over HTTP (http://host:4318); empty: no traces,"
        " unless OTEL_EXPORTER_OTLP_ENDPOINT names one.",
    )

    @field_validator("kafka_dead_letter_topic", "kafka_item_results_topic", "kafka_served_topic")
    @classmethod
    def _never_read(cls, topic: str, info: ValidationInfo) -> str:
        events = info.data.get("kafka_event_topic")
        if topic.startswith(f"{events}-"):
            raise ValueError("must not begin with LEMO_KAFKA_EVENT_TOPIC and a hyphen: those are tenants' event topics")
        if topic in (events, *info.data.get("kafka_item_ingest_topics", ())):
            raise ValueError("must not be a topic that the consumer reads: it would read what it writes")
        if topic == info.data.get("kafka_dead_letter_topic"):
            raise ValueError("must not be LEMO_KAFKA_DEAD_LETTER_TOPIC: dead letters are read, shown and sent again")
        if topic and topic == info.data.get("kafka_item_results_topic"):
            raise ValueError("must not be LEMO_KAFKA_ITEM_RESULTS_TOPIC: results of items are no answers")
        return topic

    @field_validator("oidc_issuer", "console_url")
    @classmethod
    def _safe_address(cls, url: str) -> str:
        address = urlsplit(url)
        if url and (address.scheme not in ("http", "https") or not address.hostname or address.query):
            raise ValueError("must be an address, such as https://login.example")
        if address.scheme == "http" and address.hostname not in ("localhost", "127.0.0.1", "::1"):
            raise ValueError("must begin with https: keys to the console travel there")
        return url

    @field_validator("oidc_roles")
    @classmethod
    def _roles_by_value(cls, pairs: list[str]) -> list[str]:
        parsed_roles(pairs)
        return pairs

    @model_validator(mode="after")
    def _openid_is_whole(self) -> Self:
        """A provider that everybody can have an account with must not let everybody in by a forgotten setting."""
        if not self.oidc_issuer:
            return self
        if not self.oidc_client_id:
            raise ValueError("LEMO_OIDC_ISSUER needs LEMO_OIDC_CLIENT_ID")
        if "openid" not in self.oidc_scopes.split():
            raise ValueError("LEMO_OIDC_SCOPES must hold openid")
        if not self.oidc_role_claim and not self.oidc_default_role:
            raise ValueError("LEMO_OIDC_ISSUER needs LEMO_OIDC_ROLE_CLAIM, LEMO_OIDC_DEFAULT_ROLE, or both")
        if self.oidc_default_role and not self.oidc_domains and not self.oidc_groups:
            raise ValueError(
                "LEMO_OIDC_DEFAULT_ROLE lets in everybody whom the provider knows: name LEMO_OIDC_DOMAINS (`*`: any) or"
                " LEMO_OIDC_GROUPS"
            )
        return self

    @field_validator("cors_origins")
    @classmethod
    def _as_browsers_write(cls, origins: list[str]) -> list[str]:
        return [each if each == "*" else checked_origin(each) for each in origins]

    @field_validator("beat_lock_seconds")
    @classmethod
    def _lock_outlives_loops(cls, seconds: float, info: ValidationInfo) -> float:
        if seconds < 3 * info.data.get("beat_loop_seconds", 0):
            raise ValueError("must be at least 3 times LEMO_BEAT_LOOP_SECONDS, or the lock ends between two renewals")
        return seconds

    @model_validator(mode="after")
    def _own_names(self) -> Self:
        """Names that were left at their defaults become those of the installation, where it is not the default one."""
        if self.installation != DEFAULT_INSTALLATION:
            for name in NAMED_BY_INSTALLATION:
                value = getattr(self, name)
                if value != type(self).model_fields[name].default or not value:
                    continue
                if name.endswith("_database"):
                    setattr(self, name, self.installation)
                elif isinstance(value, list):
                    setattr(self, name, [f"{self.installation}-{each}" for each in value])
                else:
                    setattr(self, name, f"{self.installation}-{value}")
        return self

    def __init__(self, **values: Any) -> None:
        """Reads them; a file that cannot be read is named, with what to do."""
        try:
            super().__init__(**values)
            _check_toml()
        except tomllib.TOMLDecodeError as error:
            hint = 'Write one setting a line, as `api_port = 8000` or `home = "folder"`; docs/settings.md has them all.'
            raise WrongSettingsFile(f"lemo.toml is not TOML: {error}.", hint) from error
        except UnicodeDecodeError as error:
            raise WrongSettingsFile(".env or lemo.toml is not UTF-8 text.", "Save it as UTF-8.") from error
        except OSError as error:
            name = error.filename or ".env or lemo.toml"
            hint = "Let the user that runs Lemo read it, or run in another folder."
            raise WrongSettingsFile(f"{name} cannot be read: {error.strerror}.", hint) from error

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic's signature
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Adds `lemo.toml` below the environment."""
        return init_settings, env_settings, dotenv_settings, TomlConfigSettingsSource(settings_cls)

    @cached_property
    def state(self) -> Path:
        """The home folder, absolute."""
        return self.home.expanduser().absolute()

    def redis(self, database: int) -> str:
        """The Redis URL of a database: 0 cache and history, 1 broker, 2 results. May hold a password."""
        base = self.redis_url.get_secret_value() if self.redis_url else f"redis://127.0.0.1:{self.redis_port}"
        # Options such as ?ssl_ca_certs=... stay behind the database.
        place, mark, options = base.partition("?")
        return f"{place.rstrip('/')}/{database}{mark}{options}"

    @property
    def clickhouse(self) -> str:
        """The URL of ClickHouse's HTTP interface. May hold a password."""
        return (
            self.clickhouse_url.get_secret_value()
            if self.clickhouse_url
            else f"http://127.0.0.1:{self.clickhouse_port}"
        )

    @property
    def with_flink(self) -> bool:
        """Whether the consumer feeds Flink's jobs and takes in what they compute."""
        return bool(self.flink_url and self.kafka_bootstrap_servers)

    def flink_group(self, job: str) -> str:
        """The consumer group of a job of Flink, whose offsets tell how far it is."""
        return f"{self.kafka_group}-flink-{job}"

    @property
    def milvus(self) -> str:
        """The address of Milvus."""
        return self.milvus_uri or f"http://127.0.0.1:{self.milvus_port}"

    @property
    def snapshots(self) -> str:
        """The URL or folder of the snapshot store."""
        if not self.snapshots_url:
            return str(self.state / "snapshots")
        place = self.snapshots_url.get_secret_value()
        return place if self.installation == DEFAULT_INSTALLATION else f"{place.rstrip('/')}/{self.installation}"

    @property
    def admin_key_file(self) -> Path:
        """Where the first start writes the admin key of the tenant `default`."""
        return self.state / "admin.key"


SCHEMES = {
    "redis_url": ("redis", "rediss"),
    "mongo_url": ("mongodb", "mongodb+srv"),
    "clickhouse_url": ("http", "https"),
    "milvus_uri": ("http", "https", "tcp"),
    "embedding_url": ("http", "https"),
}
"""The kinds of URL that each engine's client can make something of."""


def check_urls(settings: Settings) -> None:
    """Raises InvalidInput that names the first URL of a wrong kind, without its value.

    The doctor reports such a URL among its findings; what starts services must not, because an engine's client would
    say so late, or wait for ever.
    """
    for name, schemes in SCHEMES.items():
        value = getattr(settings, name)
        url = value.get_secret_value() if isinstance(value, SecretStr) else value
        if url and url.partition("://")[0] not in schemes:
            raise InvalidInput(
                f"LEMO_{name.upper()} must start with {' or '.join(f'{scheme}://' for scheme in schemes)}.",
                "Correct it in the environment, .env or lemo.toml; without it the embedded engine is used.",
            )


def wrong_settings(error: ValidationError) -> str:
    """Which variables are wrong and why, without their values: any of them may hold a password."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(
        f"LEMO_{str(fault['loc'][0]).upper()}: {fault['msg'].removeprefix('Value error, ')}" for fault in faults
    )


def meant(name: str) -> str:
    """The setting that an unknown name may stand for, as the end of a sentence; empty where none is near."""
    near = difflib.get_close_matches(name, list(Settings.model_fields), 1, cutoff=0.7)
    return f"; was LEMO_{near[0].upper()} meant?" if near else ""


def _check_toml() -> None:
    """Raises WrongSettingsFile for a key of `lemo.toml` that is no setting: nobody but Lemo reads that file."""
    file = Path("lemo.toml")
    if not file.is_file():
        return
    unknown = [key for key in tomllib.loads(file.read_text("utf-8")) if key not in Settings.model_fields]
    if unknown:
        words = ", ".join(f"{key!r}{meant(key).rstrip('?')}" for key in unknown)
        raise WrongSettingsFile(
            f"lemo.toml holds what is no setting: {words}.",
            "Correct or remove it; docs/settings.md has all settings, written here in lower case without LEMO_.",
        )
