"""After `lemo down` every command says within seconds that nothing runs and what to do; so it is without a worker."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

import servers
from command_lines import COMMANDS, run_command, words, write_files
from lemo.domain.scenario import scenario_from_template
from lemo.domain.scope import DEFAULT_TENANT
from lemo.settings import Settings
from lemo.stores.bootstrap import ensure_admin
from lemo.stores.connect import Stores

NEED_ENGINES = {
    "stats",
    "recommend",
    "evaluate",
    "audience",
    "pipeline check",
    "import items",
    "import events",
    "jobs run",
    "schedule run",
    "dead-letters list",
}
LONGEST_SECONDS = 20
"""The word is there within 3 s on an idle machine; what this forbids took 22 s to minutes."""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A home in which everything ran once and nothing runs now."""
    home = tmp_path_factory.mktemp("home")
    settings = Settings(home=home)
    ensure_admin(settings)
    stores = Stores(settings)
    stores.scenarios.create(DEFAULT_TENANT, scenario_from_template("shop", "ecommerce"))
    stores.close()
    ports = ("API", "CONSOLE", "REDIS", "CLICKHOUSE", "MILVUS")
    return {
        **os.environ,
        "LEMO_HOME": str(home),
        "COLUMNS": "200",
        **{f"LEMO_{name}_PORT": str(servers.free_port()) for name in ports},
    }


def run(
    given: list[str], folder: Path, environment: dict[str, str], seconds: float = LONGEST_SECONDS
) -> "subprocess.CompletedProcess[str]":
    write_files(folder)
    return run_command(given, environment, folder, seconds)


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=[path for path, _ in COMMANDS])
def test_with_nothing_running_every_command_ends_soon_and_in_words(
    path: str, command: Any, tmp_path: Path, environment: dict[str, str]
) -> None:
    found = run(words(path, command), tmp_path, environment)
    said = found.stdout + found.stderr
    assert "Traceback" not in said
    assert found.returncode in (0, 1), f"give its arguments above: {said}"
    if path in NEED_ENGINES:
        assert found.returncode == 1
        assert "Nothing runs on" in found.stderr
        assert "lemo up --detach" in found.stderr
        assert len(found.stderr.strip().splitlines()) <= 2, found.stderr


def test_a_run_that_no_worker_can_take_is_not_waited_for(
    tmp_path: Path, environment: dict[str, str], valkey_url: str
) -> None:
    """Redis is elsewhere and there, and no worker."""
    outside = {**environment, "LEMO_REDIS_URL": valkey_url}
    found = run(["jobs", "run", "train-model-daily", "--scenario", "shop", "--wait"], tmp_path, outside, 45)
    assert found.returncode == 1
    assert "No worker runs: 1 run wait" in found.stderr
    assert "lemo up --detach" in found.stderr
    assert "Traceback" not in found.stderr
