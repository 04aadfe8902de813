"""One bounded question to each service: does it run, and do its packages stand ready?"""

from datetime import timedelta
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import httpx

from lemo.observability.dependencies import EXTRAS, QUEUES, Service, packages
from lemo.observability.engine_probes import asked, brief_redis, log_address, redis_address
from lemo.observability.reachability import Address
from lemo.observability.report import Finding
from lemo.settings import Settings
from lemo.stores.beats import Beats

BEAT_LOCK = "lemo:redbeat::lock"
"""RedBeat's leader lock: its key prefix and `:lock`."""
READING_COMMANDS = ("xreadgroup", "xautoclaim", "xack")
SILENT_SECONDS = 60
"""A member of the consumer group that asked for nothing for so long counts as gone."""


def probe_packages(service: Service, settings: Settings) -> Finding:
    """Looks the service's packages up in the environment, without importing them."""
    found, absent = [], []
    for name in packages(service, settings):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            absent.append(name)
    if not absent:
        others = f" and {len(found) - 1} more" if len(found) > 1 else ""
        return Finding(state="ok", version=f"{found[0]}{others}", detail=", ".join(found))
    wanted = [f"'lemo-recommender[{EXTRAS[name]}]'" if name in EXTRAS else name for name in absent]
    return Finding(
        state="missing",
        version=", ".join(found),
        detail=f"{service.value}: not installed: {', '.join(absent)}.",
        mend=f"pip install {' '.join(wanted)}",
    )


def probe_http(service: Service, settings: Settings) -> Finding:
    """Asks the API or the console for `/health/live`."""
    is_api = service is Service.api
    host = settings.api_host if is_api else settings.console_host
    port = settings.api_port if is_api else settings.console_port
    # An address that means "every interface" is no address to call.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    base = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    variable = f"LEMO_{service.name.upper()}_PORT"
    name = "API" if is_api else "Console"
    address = Address(name, base, variable, ("http",), port, embedded=False, start=f"curl {base}/health/live")

    def question() -> Finding:
        answer = httpx.get(f"{base}/health/live", timeout=3, trust_env=False)
        if answer.status_code != 200:
            return Finding(
                state="missing",
                detail=f"{name}: {base} answered {answer.status_code}: another program may have the port.",
                mend=f"ss -ltnp 'sport = :{port}', then set {variable} to a free port",
            )
        return Finding(state="ok", version="running", detail=base)

    finding = asked(address, question)
    if "refused the connection" in finding.detail:
        return finding.model_copy(update={"mend": f"lemo up --detach (or on its own: lemo {service.value})"})
    return finding


def probe_worker(settings: Settings) -> Finding:
    """Asks the Celery workers for a sign of life, and whether every queue has a reader."""

    def question() -> Finding:
        from celery import Celery

        with brief_redis(settings, 1) as client:
            client.ping()  # Celery would retry a refused password for longer than the report takes
        with Celery("doctor", broker=settings.redis(1), set_as_current=False) as app:
            app.conf.update(
                broker_connection_retry=False,
                broker_transport_options={"socket_timeout": 3, "socket_connect_timeout": 2},
            )
            # One broadcast answers both questions: who is there, and which queues he reads.
            queues = app.control.inspect(timeout=1.5).active_queues() or {}
        if not queues:
            return Finding(
                state="missing",
                detail="worker: no worker answered.",
                mend="lemo up --detach (or on its own: lemo worker)",
            )
        unread = set(QUEUES) - {queue["name"] for read in queues.values() for queue in read}
        said = f"{len(queues)} running"
        if unread:
            return Finding(
                state="warning",
                version=said,
                detail=f"worker: no worker reads {', '.join(sorted(unread))}.",
                mend="Start one that reads every queue: lemo worker",
            )
        return Finding(state="ok", version=said, detail=", ".join(sorted(queues)))

    return asked(redis_address(settings, "worker: the broker"), question)


def probe_beat(settings: Settings) -> Finding:
    """Looks for the lock that the leading beat holds and renews, and for beats that stand by."""

    def question() -> Finding:
        within = timedelta(seconds=settings.beat_lock_seconds)
        with brief_redis(settings, 0) as client:
            left = client.pttl(BEAT_LOCK)
            alive = [beat for beat in Beats(client).list() if beat.alive(within)]
        if int(left) <= 0:
            return Finding(
                state="missing",
                detail="beat: no beat holds the schedule's lock.",
                mend="lemo up --detach (or on its own: lemo beat)",
            )
        leaders = ", ".join(beat.name for beat in alive if beat.state == "leading") or "a beat"
        standby = sum(beat.state == "standby" for beat in alive)
        others = f"; {standby} standing by" if standby else ""
        return Finding(
            state="ok", version="leading", detail=f"{leaders} holds the lock for {int(left) / 1000:.0f} s more{others}"
        )

    return asked(redis_address(settings, "beat: the schedule's Redis"), question)


def probe_consumer(settings: Settings) -> Finding:
    """Looks whether the ingest log's consumer group has a member that reads."""

    def question() -> Finding:
        members = _kafka_members(settings) if settings.kafka_bootstrap_servers else _stream_members(settings)
        if not members:
            return Finding(
                state="missing",
                detail=f"consumer: nobody reads for the group {settings.kafka_group}.",
                mend="lemo up --detach (or on its own: lemo consumer)",
            )
        return Finding(state="ok", version=f"{members} running", detail=f"group {settings.kafka_group}")

    address = log_address(settings)
    return asked(Address("consumer: the ingest log", *_rest(address)), question)


def _rest(address: Address) -> tuple[str, str, tuple[str, ...], int, bool, str]:
    return (address.url, address.variable, address.schemes, address.default_port, address.embedded, address.start)


def _kafka_members(settings: Settings) -> int:
    """Members of the Kafka consumer group."""
    from confluent_kafka.admin import AdminClient

    password = settings.kafka_password.get_secret_value() if settings.kafka_password else ""
    options: dict[str, Any] = {
        "bootstrap.servers": settings.kafka_bootstrap_servers,
        "security.protocol": settings.kafka_security_protocol,
        # librdkafka writes to standard error by itself unless it is given somebody to tell.
        "error_cb": lambda _error: None,
        "log_level": 0,
    }
    if settings.kafka_sasl_mechanism:
        options |= {
            "sasl.mechanism": settings.kafka_sasl_mechanism,
            "sasl.username": settings.kafka_username,
            "sasl.password": password,
        }
    if settings.kafka_ca_file:
        options["ssl.ca.location"] = str(settings.kafka_ca_file)
    # The client must outlive the answer: its thread brings it.
    client = AdminClient(options)
    group = settings.kafka_group
    described = client.describe_consumer_groups([group], request_timeout=3)[group]
    return len(described.result(timeout=3.5).members)


def _stream_members(settings: Settings) -> int:
    """Clients that read Redis Streams in a group, or members of our group that did lately."""
    from redis.exceptions import ResponseError

    with brief_redis(settings, 0) as client:
        topics = [*settings.kafka_item_ingest_topics, settings.kafka_event_topic]
        lately: set[bytes] = set()
        for topic in topics:
            try:
                members: list[dict[str, Any]] = client.xinfo_consumers(topic, settings.kafka_group)
            except ResponseError:
                continue  # no such stream or group yet
            lately |= {member["name"] for member in members if member["idle"] < SILENT_SECONDS * 1000}
        # Before Redis 7.2 a member that waits on an empty topic looks idle, but its connection tells.
        clients: list[dict[str, str]] = client.client_list()
        waiting = sum(each.get("cmd") in READING_COMMANDS for each in clients)
    return max(len(lately), waiting)
