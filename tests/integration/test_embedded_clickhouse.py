"""The embedded ClickHouse under an unmodified clickhouse-connect client."""

import datetime
import http.client
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import clickhouse_connect
import pyarrow as pa
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, StreamFailureError

from lemo.embedded import clickhouse_http as protocol
from servers import free_port
from small_disk import small_disk


def ask(port: int, method: str, path: str, **more: Any) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, **more)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def begin(path: Path, port: int) -> subprocess.Popen[str]:
    engine = subprocess.Popen(
        [sys.executable, "-m", "lemo.embedded.clickhouse", "--path", str(path), "--port", str(port)],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    deadline = time.monotonic() + 30
    while True:
        try:
            assert ask(port, "GET", "/ping") == (200, b"Ok.\n")
            return engine
        except OSError:
            assert engine.poll() is None, engine.stderr and engine.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    port = free_port()
    with begin(tmp_path_factory.mktemp("chdb"), port) as engine:
        yield port
        engine.terminate()


@pytest.fixture
def client(port: int) -> Iterator[Any]:
    name = f"d{uuid.uuid4().hex}"
    with clickhouse_connect.get_client(host="127.0.0.1", port=port) as admin:
        admin.command(f"CREATE DATABASE {name}")
    with clickhouse_connect.get_client(dsn=f"http://127.0.0.1:{port}/{name}") as made:
        made.command(
            "CREATE TABLE t (u String, n UInt32, at DateTime64(3, 'UTC'), v Nullable(Float64)) ORDER BY (u, n)"
        )
        yield made
        made.command(f"DROP DATABASE {name}")


MOMENT = datetime.datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=datetime.UTC)


@pytest.mark.parametrize("codec", [False, "lz4", "zstd", "gzip"])
def test_rows_come_back_as_they_went_in(client: Any, port: int, codec: str | bool) -> None:
    rows = [[f"用户 '{i}'\\\n", i, MOMENT, None if i % 2 else i / 4] for i in range(70_000)]
    with clickhouse_connect.get_client(host="127.0.0.1", port=port, database=client.database, compress=codec) as sender:
        summary = sender.insert("t", rows, column_names=["u", "n", "at", "v"])
    assert summary.written_rows == len(rows)
    found = client.query("SELECT u, n, toUnixTimestamp64Milli(at), v FROM t ORDER BY n").result_rows
    milliseconds = int(MOMENT.timestamp() * 1000)
    assert [list(row) for row in found] == [[u, n, milliseconds, v] for u, n, _, v in rows]


def test_arrow_both_ways(client: Any) -> None:
    table = pa.table(
        {
            "u": ["a", "b/ü"] * 60_000,
            "n": pa.array(range(120_000), pa.uint32()),
            "at": pa.array([1_700_000_000_123] * 120_000, pa.timestamp("ms", "UTC")),
            "v": pa.array([None, 1.5] * 60_000, pa.float64()),
        }
    )
    client.insert_arrow("t", table)
    assert client.query_arrow("SELECT * FROM t ORDER BY n", use_strings=True).to_pydict() == table.to_pydict()
    with client.query_row_block_stream("SELECT * FROM t") as blocks:
        assert sum(len(block) for block in blocks) == 120_000


def test_bound_parameters_cannot_leave_their_place(client: Any) -> None:
    nasty = ["it's", "back\\slash", "tab\tline\n", '"; DROP TABLE t; --', "中文 {x:String}", ""]
    for value in nasty:
        row = client.query("SELECT {x:String}, {x:Nullable(String)}", parameters={"x": value}).first_row
        assert row == (value, value)
    assert client.query("SELECT {x:Array(String)}", parameters={"x": nasty}).first_row == (nasty,)
    assert client.query("SELECT {x:Nullable(Int64)}", parameters={"x": None}).first_row == (None,)
    many = [str(number) for number in range(30_000)]  # goes as a form, not in the URL
    assert client.query("SELECT length({x:Array(String)})", parameters={"x": many}).first_row == (30_000,)
    assert client.command("EXISTS TABLE t") == 1


def test_settings_belong_to_their_request(client: Any) -> None:
    ask = "SELECT getSetting('max_threads')"
    assert client.query(ask, settings={"max_threads": 3}).first_row == (3,)
    assert client.query(ask).first_row != (3,)


@pytest.mark.parametrize(
    ("query", "code", "name"),
    [
        ("SELECT nope FROM t", 47, "UNKNOWN_IDENTIFIER"),
        ("SELECT 1 FROM nope", 60, "UNKNOWN_TABLE"),
        ("SELEC 1", 62, "SYNTAX_ERROR"),
        ("SELECT throwIf(number = 9) FROM numbers(10)", 395, "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"),
    ],
)
def test_errors_are_clickhouses(client: Any, query: str, code: int, name: str) -> None:
    with pytest.raises(DatabaseError, match=rf"(?s)code: {code}, .*{name}") as raised:
        client.query(query)
    assert raised.value.code == code


def test_an_error_late_in_a_long_answer_is_no_short_answer(client: Any) -> None:
    late = "SELECT throwIf(number = 9_000_000), number FROM numbers(10_000_000) SETTINGS max_block_size = 1000"
    with pytest.raises(StreamFailureError):
        assert client.query(late).result_rows


def test_a_query_as_curl_sends_it(port: int) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert ask(port, "POST", "/", body="SELECT 1 + 1, 'a=b&c'", headers=form) == (200, b"2\ta=b&c\n")
    assert ask(port, "GET", "/?query=SELECT+1") == (200, b"1\n")


def test_a_bad_insert_leaves_the_table_alone_and_the_engine_well(client: Any, port: int) -> None:
    url = f"/?database={client.database}&query=INSERT+INTO+t+FORMAT+Native"
    for body, headers in (
        (b"garbage" * 50, {}),
        (b"garbage", {"Content-Encoding": "lz4"}),
        (b"x", {"Content-Encoding": "br"}),
    ):
        status, text = ask(port, "POST", url, body=body, headers=headers)
        assert status >= 400, text
        assert b"Code: " in text
    assert client.command("SELECT count() FROM t") == 0


def test_inserts_by_text(client: Any) -> None:
    client.command("INSERT INTO t (u, n) VALUES ('a;b', 1), ('FORMAT Native', 2)")
    client.raw_insert("t", ["u", "n"], '{"u": "json", "n": 3}\n', fmt="JSONEachRow")
    client.command("INSERT INTO t SELECT 'copied', n + 10, at, v FROM t WHERE n = 1")
    client.insert_df("t", __import__("pandas").DataFrame({"u": ["frame"], "n": [4]}))
    assert client.query("SELECT u, n FROM t ORDER BY n").result_rows == [
        ("a;b", 1),
        ("FORMAT Native", 2),
        ("json", 3),
        ("frame", 4),
        ("copied", 11),
    ]


def test_clients_work_side_by_side(client: Any, port: int) -> None:
    def work(worker: int) -> int:
        with clickhouse_connect.get_client(host="127.0.0.1", port=port, database=client.database) as mine:
            for step in range(10):
                mine.insert("t", [[f"w{worker}", step]], column_names=["u", "n"])
            return len(mine.query(f"SELECT n FROM t WHERE u = 'w{worker}'").result_rows)

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(work, range(6))) == [10] * 6


def test_a_get_changes_nothing_and_a_web_page_is_refused(client: Any, port: int) -> None:
    url = f"/?database={client.database}&query=DROP+TABLE+t"
    status, text = ask(port, "GET", url)
    assert status >= 400
    assert b"READONLY" in text
    assert ask(port, "POST", url, headers={"Origin": "https://example.org"})[0] == 403
    assert client.command("EXISTS TABLE t") == 1


def test_an_acknowledged_insert_survives_kill_9(tmp_path: Path) -> None:
    port, acknowledged = free_port(), 0
    for _ in range(3):
        with begin(tmp_path, port) as engine:
            with clickhouse_connect.get_client(host="127.0.0.1", port=port) as client:
                client.command("CREATE TABLE IF NOT EXISTS t (n UInt64) ORDER BY n")
                assert client.command("SELECT count() FROM t") == acknowledged
                for _ in range(5):
                    client.insert("t", [[n] for n in range(1000)], column_names=["n"])
                    acknowledged += 1000
            engine.kill()
    with begin(tmp_path, port) as engine:
        with clickhouse_connect.get_client(host="127.0.0.1", port=port) as client:
            assert client.command("SELECT count() FROM t") == acknowledged
        engine.send_signal(signal.SIGTERM)
        assert engine.wait(20) in (0, -signal.SIGTERM)


def test_a_full_disk_acknowledges_nothing_that_is_not_stored(tmp_path: Path) -> None:
    port = free_port()
    rows = pa.table({"n": pa.array(range(10_000), pa.uint64())})
    with small_disk(tmp_path / "disk", 64) as disk, begin(disk.folder / "chdb", port) as engine:
        try:
            with clickhouse_connect.get_client(host="127.0.0.1", port=port) as client:
                client.command("CREATE TABLE t (n UInt64) ORDER BY n")
                client.insert_arrow("t", rows)
                for room in (0, 600_000):  # enough for what arrives, not for a part of the table
                    disk.fill(but=room)
                    with pytest.raises(DatabaseError, match="NOT_ENOUGH_SPACE"):
                        client.insert_arrow("t", rows)
                    with pytest.raises(DatabaseError, match="NOT_ENOUGH_SPACE"):
                        client.insert("t", [[1]], column_names=["n"])
                    assert client.command("SELECT count() FROM t") == 10_000
                    disk.empty()
                assert client.insert_arrow("t", rows).written_rows == 10_000
                assert client.command("SELECT count() FROM t") == 20_000
            assert list((disk.folder / "chdb" / "incoming").iterdir()) == []
        finally:
            engine.kill()


def test_a_second_process_and_a_taken_port_say_so(tmp_path: Path, port: int) -> None:
    def refused(path: Path, port: int) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "lemo.embedded.clickhouse", "--path", str(path), "--port", str(port)],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 1
        assert len(done.stderr.splitlines()) == 1
        return done.stderr

    assert f"127.0.0.1:{port}: Address already in use" in refused(tmp_path / "other", port)
    assert "LEMO_CLICKHOUSE_PORT" in refused(tmp_path / "other", port)
    with begin(tmp_path / "own", free_port()) as engine:
        assert f"in use by process {engine.pid}" in refused(tmp_path / "own", free_port())
        os.kill(engine.pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"INSERT INTO t FORMAT Native\n\x01\x02", ("INSERT INTO t ", "Native", 28)),
        (
            b"/* FORMAT x */ insert into `a FORMAT b` (`FORMAT`) format CSV 1,2",
            ("/* FORMAT x */ insert into `a FORMAT b` (`FORMAT`) ", "CSV", 62),
        ),
        (b"INSERT INTO t VALUES (1)", None),
        (b"INSERT INTO t SELECT 1 FORMAT Native", None),
        (b"SELECT 1 FORMAT Native", None),
    ],
)
def test_where_an_inserts_data_begins(head: bytes, expected: tuple[str, str, int] | None) -> None:
    assert protocol.split_insert(head) == expected


@pytest.mark.parametrize(
    ("statement", "whole"),
    [
        ("INSERT INTO t (a) ", r"INSERT INTO t (a) FROM INFILE '/a/\'b'  FORMAT CSV"),
        (
            "INSERT INTO `SETTINGS` (settings) SETTINGS max_threads = 1 ",
            r"INSERT INTO `SETTINGS` (settings) FROM INFILE '/a/\'b' SETTINGS max_threads = 1 FORMAT CSV",
        ),
    ],
)
def test_an_insert_of_a_file_names_it_before_its_settings(statement: str, whole: str) -> None:
    assert protocol.insert_of_file(statement, "CSV", "/a/'b") == whole


def test_an_insert_with_settings_in_its_text(client: Any, port: int) -> None:
    query = f"INSERT INTO {client.database}.t (u, n) SETTINGS max_threads = 1 FORMAT CSV\nx,7\n"
    assert ask(port, "POST", "/", body=query.encode())[0] == 200
    assert client.query("SELECT u, n FROM t").result_rows == [("x", 7)]
