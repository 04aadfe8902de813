"""Rows of PostgreSQL and MySQL through Debezium's settings, as `lemo connect` prints them, into the real Kafka."""

import json
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from typer.testing import CliRunner

from consumers import connected, consume, consumer_settings, letters, refused
from lemo.cli.main import app
from lemo.domain.errors import InvalidInput
from lemo.domain.scope import Scope
from lemo.streams.kafka.connectors import Database, Source, checked_source, settings, statements

PRODUCTS = {"item_id": "id", "title": "name", "is_active": "on_sale"}
ORDERS = {"user_id": "customer_id", "item_id": "product_id", "timestamp": "ordered_at", "value": "rating"}
MOMENT = 1_700_000_000_000


def change(op: str, before: Any, after: Any, moment: int = MOMENT) -> dict[str, Any]:
    """A change as Debezium tells it: c, r (snapshot), u or d."""
    source = {"version": "3.0.0.Final", "connector": "postgresql", "ts_ms": moment, "schema": "public"}
    return {"before": before, "after": after, "source": source, "op": op, "ts_ms": moment + 5, "transaction": None}


def transformed(config: dict[str, str], envelope: dict[str, Any] | None) -> tuple[str, bytes | None] | None:
    """Topic and value of what the settings make of a change, by the documents of Debezium and Kafka Connect."""
    topic, row = config["topic.prefix"], None
    if envelope is None:
        return None  # unwrap drops Debezium's tombstones in these modes
    for step in config["transforms"].split(","):
        options = {
            name.removeprefix(f"transforms.{step}."): value
            for name, value in config.items()
            if name.startswith(f"transforms.{step}.")
        }
        match options.pop("type").rpartition(".")[2]:
            case "ExtractNewRecordState":
                deleted = envelope["op"] == "d"
                if deleted and options["delete.tombstone.handling.mode"] == "drop":
                    return None
                row = dict(envelope["before"] if deleted else envelope["after"])
                if options["delete.tombstone.handling.mode"] == "rewrite":
                    row["__deleted"] = "true" if deleted else "false"
                for field in filter(None, options.get("add.fields", "").split(",")):
                    struct, _, name = field.partition(".")
                    row[f"__{struct}_{name}"] = envelope[struct][name]
            case "ReplaceField$Value":
                assert row is not None
                renames = dict(pair.split(":") for pair in options["renames"].split(","))
                row = {renames.get(name, name): value for name, value in row.items()}
            case "InsertField$Value":
                assert row is not None
                row[options["static.field"]] = options["static.value"]
            case "RegexRouter":
                assert options["regex"] == ".*"
                topic = options["replacement"]
            case other:
                raise AssertionError(other)
    return topic, json.dumps(row).encode()


@pytest.mark.parametrize("database", ["postgresql", "mysql"])
def test_rows_of_a_database_become_items_and_events(
    database: Database, request: pytest.FixtureRequest, scope: Scope, tmp_path: Path, kafka_servers: str
) -> None:
    installed = consumer_settings(request, "kafka", tmp_path)
    topics = (installed.kafka_item_ingest_topics[0], installed.kafka_event_topic)
    products = settings(Source(database, "products", "items", PRODUCTS), scope, topics[0], kafka_servers)
    orders = settings(Source(database, "orders", "events", ORDERS, "rate"), scope, topics[1], kafka_servers)
    # MySQL tells booleans as 0 and 1; times come as milliseconds or ISO 8601.
    on, off = (True, False) if database == "postgresql" else (1, 0)
    lamp = {"id": 7, "name": "Lamp", "price": 9.5, "on_sale": on, "published_at": MOMENT}
    chair = {"id": 8, "name": None, "price": None, "on_sale": None, "published_at": None}
    changes: list[tuple[dict[str, str], Any]] = [
        (products, change("r", None, lamp)),
        (products, change("c", None, chair)),
        (products, change("u", lamp, lamp | {"name": "Lamp II", "on_sale": off}, MOMENT + 2_000)),
        (products, change("u", lamp, lamp | {"name": "from before"}, MOMENT + 1_000)),  # delivered late, once more
        (products, change("d", chair, None, MOMENT + 3_000)),
        (products, None),
    ]
    order = {"id": 1, "customer_id": 42, "product_id": 7, "ordered_at": "2023-11-14T22:13:20Z", "rating": 4.0}
    changes += [(orders, change("c", None, order)), (orders, change("c", None, order | {"id": 2, "product_id": 8}))]
    changes += [(orders, change("d", order, None))]
    with connected(installed, scope) as stores:
        producer = Producer({"bootstrap.servers": kafka_servers})
        for config, each in changes:
            if (sent := transformed(config, each)) is not None:
                producer.produce(sent[0], sent[1], b'{"id":7}')
        # What other settings would let through: a tombstone, which says nothing, and envelopes, which are told.
        producer.produce(topics[0], None, b'{"id":8}')
        producer.produce(topics[1], None, b'{"id":1}')
        producer.produce(topics[0], json.dumps(change("c", None, lamp)).encode(), b"")
        producer.produce(topics[1], json.dumps({"schema": {}, "payload": order}).encode(), b"")
        assert producer.flush(30) == 0
        consume(installed, stores)
        items = stores.items.get_many(scope, ["7", "8"])
        assert (items["7"].title, items["7"].is_active, items["7"].attributes) == ("Lamp II", False, {"price": 9.5})
        assert items["8"].deleted
        events = stores.events.interactions(scope).to_pylist()
        found = [(each["user_id"], each["item_id"], each["action"], each["value"]) for each in events]
        assert sorted(found) == [("42", "7", "rate", 4.0), ("42", "8", "rate", 4.0)]
        assert {each["timestamp"] for each in events} == {MOMENT}
        assert letters(stores, scope.tenant_id) == []
        reasons = sorted(refused(stores).values())
        assert ["schemas.enable=false" in reasons[0], "`lemo connect`" in reasons[1], len(reasons)] == [True, True, 2]


def test_names_that_could_end_a_statement_are_refused() -> None:
    for table in ("a;drop table b", "a b", 'a"b', "a.b.c", ""):
        with pytest.raises(InvalidInput):
            checked_source(Source("postgresql", table, "items", {}))
    with pytest.raises(InvalidInput, match="cannot be renamed"):
        checked_source(Source("mysql", "t", "items", {"item_id": "a:b"}))
    sql = statements(checked_source(Source("postgresql", "shop.products", "items", {})))
    assert "ALTER TABLE shop.products REPLICA IDENTITY FULL;" in sql
    assert "FOR TABLE shop.products;" in sql


def test_the_command_prints_what_to_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEMO_HOME", str(tmp_path / "home"))

    def lemo(*arguments: str) -> str:
        result = CliRunner().invoke(app, list(arguments))
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.stdout

    from lemo.settings import Settings
    from lemo.stores.bootstrap import ensure_admin

    ensure_admin(Settings())
    lemo("scenarios", "create", "shop", "--template", "ecommerce")
    mapped = ("--map", "user_id=customer", "--action", "purchase")
    command = ("connect", "mysql", "shop.orders", "--as", "events", "--scenario", "shop", *mapped)
    with pytest.raises(InvalidInput, match="Redis Streams"):
        lemo(*command)
    monkeypatch.setenv("LEMO_KAFKA_BOOTSTRAP_SERVERS", "kafka.example:9092")
    told = json.loads(lemo(*command, "--format", "json"))
    assert "GRANT SELECT, RELOAD" in told["sql"]
    assert told["config"]["transforms"] == "unwrap,names,tenant_id,scenario_id,action,topic"
    assert told["config"]["transforms.tenant_id.static.value"] == "default"
    assert "curl -X PUT" in lemo(*command, "--out", str(tmp_path / "connector.json"))
    assert json.loads((tmp_path / "connector.json").read_text()) == told["config"]
    with pytest.raises(InvalidInput, match="is not an action"):
        lemo(*command[:-1], "dance")
