"""`lemo runs watch`: it shows how far runs are, returns once they have ended, and says so if one failed."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lemo.domain.run import Outcome, Progress, Run
from lemo.settings import Settings
from lemo.stores.connect import Stores

TENANT = "default"


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Stores]:
    stores = Stores(Settings(home=tmp_path))
    stores.tenants.create(TENANT)
    yield stores
    stores.close()


def run(stores: Stores, outcome: Outcome, error: str = "") -> Run:
    made = stores.runs.create(TENANT, "train-model-daily", "shop", "manual")
    made.outcome, made.error, made.progress = outcome, error, Progress(stage="counting", done=1, total=4)
    stores.runs.save(TENANT, made)
    return made


def watch(stores: Stores, *arguments: str) -> "subprocess.Popen[str]":
    settings = {"LEMO_HOME": str(stores.settings.home), "LEMO_KEY": stores.tenants.new_key(TENANT), "COLUMNS": "200"}
    return subprocess.Popen(
        [sys.executable, "-m", "lemo.cli", "runs", "watch", *arguments],
        env={**os.environ, **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_what_is_under_way_is_followed_until_it_ends(stores: Stores) -> None:
    old, one = run(stores, "ok"), run(stores, "running")
    with watch(stores) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(3)
        one.outcome = "ok"
        stores.runs.save(TENANT, one)
        said, _ = process.communicate(timeout=30)
    assert process.returncode == 0, said
    assert one.run_id in said
    assert old.run_id not in said


def test_a_run_that_failed_is_told_by_the_exit_code(stores: Stores) -> None:
    failed = run(stores, "failed", "Milvus did not answer.")
    with watch(stores, failed.run_id) as process:
        said, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "Milvus did not answer." in said


def test_an_unknown_run_is_told(stores: Stores) -> None:
    with watch(stores, "nothing") as process:
        said, _ = process.communicate(timeout=30)
    assert process.returncode != 0
    assert "There is no task run 'nothing'" in said


def test_nothing_under_way_ends_at_once(stores: Stores) -> None:
    with watch(stores) as process:
        said, _ = process.communicate(timeout=30)
    assert process.returncode == 0, said
