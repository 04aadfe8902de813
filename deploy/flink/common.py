"""What the three jobs share: their arguments, the topics as tables, events counted once."""

import argparse
from pathlib import Path

from pyflink.datastream import StreamExecutionEnvironment
from pyflink.table import StreamTableEnvironment

DAY_HOURS = 24
"""Older events are left to the worker, which corrects what they change."""
STATE_HOURS = 48
"""State that nothing has changed for so long is dropped. A repeat of an event that still counts is always known."""


def arguments(name: str) -> argparse.Namespace:
    """The arguments of a job: `lemo flink submit` gives them."""
    parser = argparse.ArgumentParser(description=name)
    parser.add_argument("--bootstrap-servers", required=True)
    parser.add_argument("--accepted", default="accepted-events", help="topic of the events that the consumer took in")
    parser.add_argument("--results", default="realtime-results", help="topic that the consumer writes to the stores")
    parser.add_argument("--since-ms", type=int, default=0, help="where to begin without a savepoint (Unix ms)")
    parser.add_argument("--group", default=f"lemo-flink-{name}", help="group whose offsets tell how far the job is")
    parser.add_argument("--checkpoint-seconds", type=int, default=10)
    parser.add_argument("--kafka-properties", type=Path, help="file with further properties of Kafka clients")
    return parser.parse_args()


def tables(name: str, given: argparse.Namespace) -> StreamTableEnvironment:
    """The environment of a job, with the tables `events` (each counted once) and `results` (JSON texts)."""
    table = StreamTableEnvironment.create(StreamExecutionEnvironment.get_execution_environment())
    settings = {
        "pipeline.name": f"lemo {name}",
        "execution.checkpointing.interval": f"{given.checkpoint_seconds} s",
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        "table.exec.state.ttl": f"{STATE_HOURS} h",
        # An idle partition must not hold anything up; nothing here waits for watermarks.
        "table.exec.source.idle-timeout": "5 s",
        "restart-strategy.type": "exponential-delay",
        "restart-strategy.exponential-delay.max-backoff": "10 s",
        "python.fn-execution.bundle.time": "200",
    }
    for key, value in settings.items():
        table.get_config().set(key, value)
    table.execute_sql(f"""
        CREATE TABLE accepted (
            tenant_id STRING, scenario_id STRING, event_id STRING, user_id STRING, item_id STRING, action STRING,
            at_ms BIGINT, placement STRING, `value` DOUBLE, converts BOOLEAN, weight DOUBLE,
            taken TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL,
            clock AS PROCTIME()
        ) WITH (
            'connector' = 'kafka', 'topic' = '{quoted(given.accepted)}',
            {client(given)}, 'properties.group.id' = '{quoted(given.group)}',
            'scan.startup.mode' = 'timestamp', 'scan.startup.timestamp-millis' = '{given.since_ms}',
            'format' = 'json', 'json.ignore-parse-errors' = 'true'
        )
    """)
    table.execute_sql(f"""
        CREATE VIEW events AS
        SELECT tenant_id, scenario_id, event_id, user_id, item_id, action, at_ms, placement, `value`, converts, weight,
               taken
        FROM (
            SELECT *, ROW_NUMBER() OVER (PARTITION BY tenant_id, scenario_id, event_id ORDER BY clock) AS number
            FROM accepted
            WHERE tenant_id IS NOT NULL AND scenario_id IS NOT NULL AND event_id IS NOT NULL AND user_id IS NOT NULL
                AND item_id IS NOT NULL AND action IS NOT NULL AND at_ms IS NOT NULL AND placement IS NOT NULL
                AND at_ms > (UNIX_TIMESTAMP() - {DAY_HOURS * 3600}) * 1000
        )
        WHERE number = 1
    """)
    table.execute_sql(f"""
        CREATE TABLE results (body STRING) WITH (
            'connector' = 'kafka', 'topic' = '{quoted(given.results)}',
            {client(given)}, 'format' = 'raw', 'sink.delivery-guarantee' = 'at-least-once'
        )
    """)
    return table


def client(given: argparse.Namespace) -> str:
    """The options of a table by which it reaches Kafka."""
    file: Path | None = given.kafka_properties
    lines = [] if file is None else [line.strip() for line in file.read_text().splitlines()]
    pairs = [line.split("=", 1) for line in lines if line and not line.startswith("#")]
    found = {"bootstrap.servers": given.bootstrap_servers} | {key.strip(): value.strip() for key, value in pairs}
    return ", ".join(f"'properties.{quoted(key)}' = '{quoted(value)}'" for key, value in found.items())


def quoted(text: str) -> str:
    """A text within quotes of SQL."""
    return text.replace("'", "''")
