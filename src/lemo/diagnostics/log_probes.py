"""Probes of the ingest log: its topics, the lag of the consumer group, its members, and dead letters."""

from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

from lemo.diagnostics.probing import probe_at
from lemo.diagnostics.reachability import Address
from lemo.diagnostics.redis_probes import brief_redis, redis_address
from lemo.diagnostics.report import Finding
from lemo.settings import Settings
from lemo.stores.connect import Stores
from lemo.streams.connect import kafka_config
from lemo.streams.lag import lag_of, waiting
from lemo.streams.topics import Topics

MUCH_LAG = 100_000
"""Waiting messages from which the consumer counts as far behind."""
READING_COMMANDS = ("xreadgroup", "xautoclaim", "xack")
SILENT_SECONDS = 60
"""A member of the consumer group without a request for so long counts as gone."""
FRESH = timedelta(days=1)
"""Age from which dead letters are no warning: somebody has had the time to see them."""
_SECONDS = 3.0


def log_address(settings: Settings, name: str = "") -> Address:
    """Where the ingest log should be: Kafka's first server, or Redis."""
    if not settings.kafka_bootstrap_servers:
        return redis_address(settings, name or "Redis Streams")
    first = settings.kafka_bootstrap_servers.split(",")[0].strip()
    return Address(
        name=name or "Kafka",
        url=first if "://" in first else f"kafka://{first}",
        variable="LEMO_KAFKA_BOOTSTRAP_SERVERS",
        schemes=("kafka",),
        default_port=9092,
        embedded=False,
        start=f"kafka-broker-api-versions.sh --bootstrap-server {first}",
        form="host:port,host:port",
        tls_scheme="" if "SSL" in settings.kafka_security_protocol else "LEMO_KAFKA_SECURITY_PROTOCOL=SSL or SASL_SSL",
        authority="set LEMO_KAFKA_CA_FILE=/path/to/ca.pem",
    )


def probe_log(settings: Settings) -> Finding:
    """Reads the topics and partitions of the ingest log, and the lag of the consumer group on each."""

    topics = Topics(settings)

    def probe() -> Finding:
        log = Stores(settings, interactive=True).log
        if settings.kafka_bootstrap_servers:
            version, partitions = _kafka(settings)
        else:
            version, partitions = log.ping(), dict.fromkeys(topics.read_of(log), 1)
        lag, _ = waiting(log, list(partitions), settings.kafka_group)
        by_topic = ", ".join(f"{topic} {count:,}" for topic, count in lag.items())
        absent = [topic for topic in topics.fixed if topic not in lag]
        if absent:
            return Finding(
                state="warning",
                version=version,
                detail=f"topics that do not exist: {', '.join(absent)}.",
                hint="Start the consumer, which makes them: lemo consumer",
            )
        if sum(lag.values()) > MUCH_LAG:
            return Finding(
                state="warning",
                version=version,
                detail=f"the group {settings.kafka_group} is far behind: {by_topic}.",
                hint="Start the consumer, or one more of them: lemo consumer --member NAME",
            )
        shown = ", ".join(f"{topic} {lag[topic]:,} ({_partitions(partitions[topic])})" for topic in lag)
        return Finding(state="ok", version=version, detail=f"waiting for {settings.kafka_group}: {shown}")

    return probe_at(log_address(settings), probe)


def _partitions(count: int) -> str:
    return f"{count} partition{'' if count == 1 else 's'}"


def probe_consumer(settings: Settings) -> Finding:
    """Checks that the consumer group has a member that reads, and the lag of the group."""

    def probe() -> Finding:
        members = consumers(settings)
        log = Stores(settings, interactive=True).log
        lag = lag_of(log, Topics(settings).read_of(log), settings.kafka_group)
        if not members:
            return Finding(
                state="missing",
                version=str(lag),
                detail=f"consumer: nobody reads for the group {settings.kafka_group}.",
                hint="lemo up --detach (or on its own: lemo consumer)",
            )
        return Finding(state="ok", version=f"{members} running", detail=f"group {settings.kafka_group}: {lag}")

    return probe_at(log_address(settings, "consumer: the ingest log"), probe)


def consumers(settings: Settings, silent_seconds: float = SILENT_SECONDS) -> int:
    """Members that read for the consumer group; on Redis Streams those connected or recently active."""
    if settings.kafka_bootstrap_servers:
        return _kafka_members(settings)
    return _stream_members(settings, silent_seconds)


def consumer_is_there(settings: Settings) -> bool:
    """Whether a consumer reads now; True also where the log is away, for who asks it for the lag waits for it."""
    from redis.exceptions import RedisError

    try:
        return consumers(settings, silent_seconds=5) > 0
    except (RedisError, OSError):
        return True


def probe_dead_letters(settings: Settings) -> Finding:
    """Counts the waiting dead letters. A warning while the newest is less than a day old."""

    def probe() -> Finding:
        with closing(Stores(settings, interactive=True)) as stores:
            count, newest = stores.dead_letters.count_waiting(stores.tenants.list())
        if not count:
            return Finding(state="ok", version="none", detail=settings.kafka_dead_letter_topic)
        moment = datetime.fromtimestamp(newest / 1000, UTC)
        detail = f"dead letters: {count:,} refused messages wait, the newest of {moment:%Y-%m-%d %H:%M:%S} UTC."
        if datetime.now(UTC) - moment > FRESH:
            return Finding(state="ok", version=f"{count:,} old", detail=detail)
        return Finding(
            state="warning",
            version=f"{count:,}",
            detail=detail,
            hint="See why, fix the cause, and send them again: lemo dead-letters list, lemo dead-letters replay",
        )

    return probe_at(log_address(settings, "dead letters: the ingest log"), probe)


def _admin(settings: Settings) -> tuple[Any, list[str]]:
    """Kafka's admin client, and a list that receives its errors."""
    from confluent_kafka.admin import AdminClient

    errors: list[str] = []
    options: dict[str, Any] = {**kafka_config(settings), "log_level": 0}
    # librdkafka writes errors to standard error unless it has a callback.
    options["error_cb"] = lambda error: errors.append(str(error))
    return AdminClient(options), errors


def _metadata(client: Any, errors: list[str]) -> tuple[str, dict[str, int]]:
    """Number of brokers, and number of partitions by topic."""
    from confluent_kafka import KafkaException

    try:
        found = client.list_topics(timeout=_SECONDS)
    except KafkaException as error:
        client.poll(0.1)
        # The exception has no cause. The callback receives it.
        if not errors:
            raise TimeoutError(str(error)) from None
        raise OSError(" ".join([*dict.fromkeys(errors), str(error)])) from None
    brokers = len(found.brokers)
    version = f"Kafka ({brokers} broker{'' if brokers == 1 else 's'})"
    return version, {name: len(topic.partitions) for name, topic in found.topics.items()}


def _kafka(settings: Settings) -> tuple[str, dict[str, int]]:
    """Version, and partitions by topic, of the topics that exist."""
    client, errors = _admin(settings)
    version, everything = _metadata(client, errors)
    return version, {topic: count for topic, count in everything.items() if Topics(settings).is_read(topic)}


def _kafka_members(settings: Settings) -> int:
    """Members of the Kafka consumer group."""
    from lemo.streams.kafka.client import coordinated

    # The client must live until the answer: its thread receives it.
    client, errors = _admin(settings)
    _metadata(client, errors)
    group = settings.kafka_group

    def describe() -> Any:
        return client.describe_consumer_groups([group], request_timeout=_SECONDS)[group].result(timeout=_SECONDS)

    return len(coordinated(describe).members)


def _stream_members(settings: Settings, silent_seconds: float) -> int:
    """Clients that read Redis Streams in a group now, or members of our group that did recently."""
    from redis.exceptions import ResponseError

    from lemo.streams.redis.client import reader_name, stream_key

    with brief_redis(settings, 0) as client:
        lately: set[bytes] = set()
        for topic in Topics(settings).fixed:
            try:
                members: list[dict[str, Any]] = client.xinfo_consumers(
                    stream_key(topic, settings.installation), settings.kafka_group
                )
            except ResponseError:
                continue  # no such stream or group yet
            lately |= {member["name"] for member in members if member["idle"] < silent_seconds * 1000}
        # Before Redis 7.2 a member that waits on an empty topic looks idle, but its connection is open.
        clients: list[dict[str, str]] = client.client_list()
        waiting = sum(
            each.get("cmd") in READING_COMMANDS and each.get("name") == reader_name(settings.installation)
            for each in clients
        )
    return max(len(lately), waiting)
