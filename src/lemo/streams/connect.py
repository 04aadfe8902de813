"""The one place that decides which engine holds the ingest log."""

from lemo.domain.deadlines import FOR_JOBS, Deadlines
from lemo.domain.errors import InvalidInput
from lemo.settings import Settings
from lemo.streams import Log


def open_log(settings: Settings, deadlines: Deadlines = FOR_JOBS) -> Log:
    """Kafka where `kafka_bootstrap_servers` is set, else Redis Streams. InvalidInput when its package lacks."""
    kept_days = {
        settings.kafka_dead_letter_topic: settings.dead_letters_days,
        settings.kafka_item_results_topic: settings.item_results_days,
    }
    if not settings.kafka_bootstrap_servers:
        from lemo.streams.redis.log import RedisLog

        return RedisLog(
            settings.redis(0),
            settings.stream_max_length,
            kept_days,
            settings.installation,
            deadlines,
            {settings.kafka_served_topic: settings.served_log_length},
        )
    try:
        from lemo.streams.kafka.log import KafkaLog
    except ModuleNotFoundError as error:
        if error.name != "confluent_kafka":
            raise
        raise InvalidInput(
            "LEMO_KAFKA_BOOTSTRAP_SERVERS is set, but the package for Kafka is not installed.",
            "Install it: pip install 'lemo-recommender[kafka]'",
        ) from error
    return KafkaLog(kafka_config(settings), kept_days, settings.kafka_group_protocol, deadlines)


def kafka_config(settings: Settings) -> dict[str, str]:
    """librdkafka's properties of every client: servers and security."""
    config: dict[str, str] = {
        "bootstrap.servers": settings.kafka_bootstrap_servers,
        "security.protocol": settings.kafka_security_protocol,
        "sasl.mechanism": settings.kafka_sasl_mechanism,
        "sasl.username": settings.kafka_username,
        "sasl.password": settings.kafka_password.get_secret_value() if settings.kafka_password else "",
        "ssl.ca.location": str(settings.kafka_ca_file or ""),
    }
    return {name: value for name, value in config.items() if value}
