"""The command line: light to start, and every command says what it does."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from lemo.cli.main import app

HEAVY = ("chdb", "pymilvus", "sklearn", "scipy", "numpy", "nicegui", "polars", "pyarrow", "fastapi", "celery",
         "confluent_kafka", "pymongo", "clickhouse_connect", "uvicorn")  # fmt: skip


def test_help_loads_no_heavy_library() -> None:
    """Eight services and every command pay for each import of the command line."""
    code = f"import sys, lemo.cli.main; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []


def commands(command: Any, path: str = "lemo") -> list[tuple[str, Any]]:
    inside = getattr(command, "commands", {})
    return [(path, command), *(pair for name, sub in inside.items() for pair in commands(sub, f"{path} {name}"))]


ALL = commands(typer.main.get_command(app))


@pytest.mark.parametrize(("path", "command"), ALL, ids=[path for path, _ in ALL])
def test_every_command_and_option_explains_itself(path: str, command: Any) -> None:
    assert command.help, f"{path} has no help"
    for parameter in command.params:
        if parameter.name in ("help", "install_completion", "show_completion"):
            continue
        assert getattr(parameter, "help", None), f"{path} {parameter.name} has no help"


def test_wrong_use_exits_with_2() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "lemo.cli.main", "nonsense"], capture_output=True, text=True, check=False
    )
    assert found.returncode == 2
    assert "nonsense" in found.stderr


def test_a_wrong_setting_is_named() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "lemo.cli.main", "settings"],
        capture_output=True,
        text=True,
        check=False,
        env={"LEMO_API_PORT": "eighty", "LEMO_REDIS_PORT": "hidden", "PATH": "/usr/bin:/bin"},
    )
    assert found.returncode == 2
    assert "LEMO_API_PORT: Input should be a valid integer" in found.stderr
    assert "hidden" not in found.stderr


@pytest.mark.parametrize("name", ["LEMO_REDIS_URL", "LEMO_MONGO_URL", "LEMO_CLICKHOUSE_URL", "LEMO_MILVUS_URI"])
def test_nothing_is_started_with_a_url_of_the_wrong_kind(name: str, tmp_path: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "lemo.cli.main", "up", "--detach"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={name: "gopher://user:hidden@host", "PATH": "/usr/bin:/bin"},
    )
    assert found.returncode == 1
    assert f"{name} must start with" in found.stderr
    assert "hidden" not in found.stderr


def test_what_the_log_says_goes_to_standard_error(tmp_path: Path) -> None:
    """An engine that is away is told of without a word between the data, and without what was being sent."""
    code = (
        "import lemo.intake.retry as patience, lemo.cli.main\n"
        "from lemo.domain.errors import EngineUnavailable\n"
        "calls = []\n"
        "def call(argument):\n"
        "    calls.append(1)\n"
        "    if len(calls) == 1: raise EngineUnavailable('Redis does not answer.')\n"
        "lemo.cli.main.options(False)\n"
        "patience.patiently(call)('secret-user')\n"
        "print('data')\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert found.stdout == "data\n"
    assert "Redis does not answer." in found.stderr
    assert "secret-user" not in found.stderr


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("lemo.toml", b"this is [not toml", "lemo.toml is not TOML"),
        ("lemo.toml", b"\xff\xfe", "is not UTF-8 text"),
        (".env", b"LEMO_API_PORT=\xff\xfe", "is not UTF-8 text"),
    ],
)
def test_a_settings_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    found = subprocess.run(
        [sys.executable, "-m", "lemo.cli.main", "status"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "COLUMNS": "200"},
    )
    assert found.returncode == 2
    assert said in found.stderr
    assert "What to do:" in found.stderr
    assert "Traceback" not in found.stderr


def test_a_misspelt_setting_is_told(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("LEMO_API_PRT=8001\nOTHER=1\n")
    found = subprocess.run(
        [sys.executable, "-m", "lemo.cli.main", "settings", "--format", "json"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={
            "LEMO_REDIS_ULR": "redis://user:hidden@host",
            "LEMO_ZZZ": "hidden",
            "LEMO_API_PORT": "8002",
            "LEMO_TEST_ANYTHING": "1",
            "LEMO_API_PORT_8000_TCP_ADDR": "10.0.0.1",
            "LEMO_API_SERVICE_HOST": "10.0.0.1",
            "PATH": "/usr/bin:/bin",
        },
    )
    assert "LEMO_REDIS_ULR is no setting and is ignored; was LEMO_REDIS_URL meant?" in found.stderr
    assert "LEMO_API_PRT in .env is no setting and is ignored; was LEMO_API_PORT meant?" in found.stderr
    assert "LEMO_ZZZ is no setting and is ignored." in found.stderr
    assert found.stderr.count("is no setting") == 3
    assert "hidden" not in found.stderr
    assert json.loads(found.stdout)


def test_a_key_of_lemo_toml_that_is_no_setting_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "lemo.toml").write_text("api_prt = 8001\n")
    found = subprocess.run(
        [sys.executable, "-m", "lemo.cli.main", "settings"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin"},
    )
    assert found.returncode == 2
    assert "lemo.toml holds what is no setting: 'api_prt'; was LEMO_API_PORT meant." in found.stderr
    assert "Traceback" not in found.stderr


def test_celerys_own_command_tells_of_unknown_settings_too(tmp_path: Path, free_port: int) -> None:
    code = "from celery.signals import beat_init; import lemo.tasks.signals; beat_init.send(None)"
    found = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"LEMO_REDIS_ULR": "redis://user:hidden@host", "LEMO_REDIS_PORT": str(free_port), "PATH": "/usr/bin:/bin"},
    )
    assert "LEMO_REDIS_ULR is no setting" in found.stdout + found.stderr
