"""The servers of the tests are there and are what their names say."""

import os
import urllib.request
from pathlib import Path

import pytest
import redis

import servers
from lemo.settings import Settings
from lemo.stores.vectors.milvus import Vectors


def test_redis(redis_url: str) -> None:
    with redis.Redis.from_url(f"{redis_url}/15") as client:
        assert client.ping()


def test_the_embedded_valkey_is_another_one(redis_url: str, valkey_url: str) -> None:
    with redis.Redis.from_url(redis_url) as one, redis.Redis.from_url(valkey_url) as other:
        assert one.info("server")["run_id"] != other.info("server")["run_id"]
        assert other.config_get("appendonly") == {"appendonly": "yes"}


def test_kafka(kafka_servers: str) -> None:
    admin = pytest.importorskip("confluent_kafka.admin").AdminClient({"bootstrap.servers": kafka_servers})
    assert len(admin.list_topics(timeout=10).brokers) == 1


def test_mongo(mongo_url: str) -> None:
    with pytest.importorskip("pymongo").MongoClient(mongo_url) as client:
        assert client.admin.command("ping")["ok"] == 1


def test_clickhouse(clickhouse_url: str) -> None:
    with urllib.request.urlopen(f"{clickhouse_url}/?query=SELECT+40%2B2", timeout=10) as answer:  # noqa: S310
        assert answer.read() == b"42\n"


def test_milvus(milvus_uri: str) -> None:
    vectors = Vectors(milvus_uri)
    try:
        assert vectors.ping().startswith("Milvus Lite")
    finally:
        vectors.close()


def test_s3(s3_url: str, s3_bucket: str) -> None:
    with urllib.request.urlopen(f"{s3_url}/{s3_bucket}", timeout=10) as answer:  # noqa: S310
        assert s3_bucket.encode() in answer.read()


def test_chromium(chromium_path: str) -> None:
    assert os.access(chromium_path, os.X_OK)


def test_settings_are_those_of_no_machine(tmp_path: Path) -> None:
    assert Path.cwd() == tmp_path
    assert not servers.product_variables(os.environ)
    assert not Settings().model_fields_set
