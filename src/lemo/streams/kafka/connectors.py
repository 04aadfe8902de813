"""Settings of Debezium connectors that write rows of PostgreSQL and MySQL into the ingest log, and the SQL before them.

A connector sends each change in an envelope. Its transformations take the row out, rename columns, add tenant and
scenario, and make of a deletion a row with `deleted`. The topic gets messages as `streams.messages` has them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from lemo.domain.errors import InvalidInput
from lemo.domain.scope import Scope

Database = Literal["postgresql", "mysql"]
Kind = Literal["items", "events"]

_TABLE = re.compile(r"[A-Za-z_]\w{0,62}(\.[A-Za-z_]\w{0,62})?\Z")
_COLUMN = re.compile(r"[^\s,:'\"`]{1,63}\Z")
_CLASSES: dict[Database, str] = {
    "postgresql": "io.debezium.connector.postgresql.PostgresConnector",
    "mysql": "io.debezium.connector.mysql.MySqlConnector",
}
_PORTS: dict[Database, str] = {"postgresql": "5432", "mysql": "3306"}
USER = "lemo_connect"


@dataclass(frozen=True, slots=True)
class Source:
    """A table, and what it holds."""

    database: Database
    table: str
    """With its schema (PostgreSQL) or database (MySQL) before a dot; else `public` or `name`."""
    kind: Kind
    fields: Mapping[str, str]
    """For fields, the columns they are in, where these are named otherwise."""
    action: str = ""
    """The action of every event, where no column says it."""
    host: str = "db.example"
    name: str = "shop"
    """The database."""

    @property
    def full_table(self) -> str:
        """The table with what stands before its dot."""
        schema = "public" if self.database == "postgresql" else self.name
        return self.table if "." in self.table else f"{schema}.{self.table}"


def checked_source(source: Source) -> Source:
    """The source; raises InvalidInput for names that cannot stand in SQL or in a connector's settings."""
    if not _TABLE.match(source.table) or not _TABLE.match(source.name):
        raise InvalidInput(
            f"{source.table[:80]!r} of {source.name[:80]!r} is no plain name of a table.",
            "Write TABLE or SCHEMA.TABLE, of letters, digits and _; make a view for any other.",
        )
    for column in source.fields.values():
        if not _COLUMN.match(column):
            raise InvalidInput(
                f"{column[:80]!r} cannot be renamed by Kafka Connect.", "Rename the column in the database or a view."
            )
    return source


def statements(source: Source) -> str:
    """The SQL that a database's administrator runs once; the password is theirs to choose."""
    table = source.full_table
    if source.database == "postgresql":
        schema, _, _ = table.partition(".")
        return "\n".join(
            [
                "-- postgresql.conf: wal_level = logical (takes a restart)",
                f"CREATE ROLE {USER} WITH REPLICATION LOGIN PASSWORD 'choose one';",
                f"GRANT CONNECT ON DATABASE {source.name} TO {USER};",
                f"GRANT USAGE ON SCHEMA {schema} TO {USER};",
                f"GRANT SELECT ON {table} TO {USER};",
                "-- A deletion then tells the whole row, of which the id may be any column.",
                f"ALTER TABLE {table} REPLICA IDENTITY FULL;",
                f"CREATE PUBLICATION {_slot(source)} FOR TABLE {table};",
            ]
        )
    return "\n".join(
        [
            "-- my.cnf: server-id = 1, log_bin = binlog, binlog_format = ROW, binlog_row_image = FULL",
            f"CREATE USER '{USER}'@'%' IDENTIFIED BY 'choose one';",
            f"GRANT SELECT, RELOAD, SHOW DATABASES, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO '{USER}'@'%';",
        ]
    )


def settings(source: Source, scope: Scope, topic: str, servers: str) -> dict[str, str]:
    """A connector's settings, as `PUT /connectors/NAME/config` takes them; they hold no password.

    `topic` is the ingest topic, `servers` are Kafka's brokers.
    """
    common = {
        "connector.class": _CLASSES[source.database],
        "tasks.max": "1",
        "database.hostname": source.host,
        "database.port": _PORTS[source.database],
        "database.user": USER,
        "database.password": "${file:/etc/kafka-connect/lemo.properties:password}",
        "topic.prefix": _slot(source),
        "table.include.list": source.full_table,
        "snapshot.mode": "initial",
        "tombstones.on.delete": "false",
        # What JSON cannot say otherwise: prices as numbers, and times as milliseconds or ISO 8601.
        "decimal.handling.mode": "double",
        "time.precision.mode": "connect",
        "key.converter": "org.apache.kafka.connect.json.JsonConverter",
        "key.converter.schemas.enable": "false",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        "value.converter.schemas.enable": "false",
    }
    if source.database == "postgresql":
        own = {
            "database.dbname": source.name,
            "plugin.name": "pgoutput",
            "publication.name": _slot(source),
            "publication.autocreate.mode": "disabled",
            "slot.name": _slot(source),
        }
    else:
        own = {
            "database.include.list": source.full_table.partition(".")[0],
            "database.server.id": "54001",
            "schema.history.internal.kafka.bootstrap.servers": servers,
            "schema.history.internal.kafka.topic": f"{_slot(source)}-schema",
            "include.schema.changes": "false",
        }
    return common | own | _transformations(source, scope, topic)


def _transformations(source: Source, scope: Scope, topic: str) -> dict[str, str]:
    """From Debezium's envelope to our messages, in order."""
    renames = {column: name for name, column in source.fields.items() if name != column}
    steps: dict[str, dict[str, str]] = {
        "unwrap": {
            "type": "io.debezium.transforms.ExtractNewRecordState",
            # Events are never taken back; of items a deletion becomes the last row with `__deleted`.
            "delete.tombstone.handling.mode": "rewrite" if source.kind == "items" else "drop",
        }
    }
    if source.kind == "items":
        # The moment of the change in the database is the item's version: no replay brings an older row back.
        steps["unwrap"]["add.fields"] = "source.ts_ms"
        renames |= {"__deleted": "deleted", "__source_ts_ms": "updated_at"}
    if renames:
        pairs = ",".join(f"{column}:{name}" for column, name in renames.items())
        steps["names"] = {"type": "org.apache.kafka.connect.transforms.ReplaceField$Value", "renames": pairs}
    fixed = {"tenant_id": scope.tenant_id, "scenario_id": scope.scenario_id}
    if source.action:
        fixed["action"] = source.action
    for name, value in fixed.items():
        steps[name] = {
            "type": "org.apache.kafka.connect.transforms.InsertField$Value",
            "static.field": name,
            "static.value": value,
        }
    steps["topic"] = {
        "type": "org.apache.kafka.connect.transforms.RegexRouter",
        "regex": ".*",
        "replacement": topic,
    }
    found = {"transforms": ",".join(steps)}
    for step, options in steps.items():
        found |= {f"transforms.{step}.{name}": value for name, value in options.items()}
    return found


def _slot(source: Source) -> str:
    """One name for topic prefix, publication and slot: lower-case letters, digits and `_`, at most 63."""
    return f"lemo_{source.full_table.replace('.', '_')}".lower()[:63]
