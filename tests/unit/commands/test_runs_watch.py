"""`lemo runs watch`: it shows how far runs are, returns once they have ended, and says so if one failed."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lemo.cli.runs import app
from lemo.domain.errors import NotFound
from lemo.domain.run import Outcome, Progress, Run
from lemo.settings import Settings
from lemo.stores.connect import Stores

TENANT = "default"


@pytest.fixture
def stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stores]:
    stores = Stores(Settings(home=tmp_path))
    stores.tenants.create(TENANT)
    monkeypatch.setenv("LEMO_HOME", str(tmp_path))
    monkeypatch.setenv("LEMO_KEY", stores.api_keys.create(TENANT).key)
    yield stores
    stores.close()


def run(stores: Stores, outcome: Outcome, error: str = "") -> Run:
    made = stores.runs.create(TENANT, "train-model-daily", "shop", "manual")
    made.outcome, made.error, made.progress = outcome, error, Progress(stage="counting", done=1, total=4)
    stores.runs.save(TENANT, made)
    return made


def test_what_is_under_way_is_followed_until_it_ends(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    old, one, other = run(stores, "ok"), run(stores, "running"), run(stores, "queued")
    left = [one, other]

    def another_ends(_: float) -> None:
        ends = left.pop()
        ends.outcome = "ok"
        stores.runs.save(TENANT, ends)

    # One of them ends between two looks.
    monkeypatch.setattr(time, "sleep", another_ends)
    said = CliRunner().invoke(app, ["watch", "--format", "json"])
    assert said.exit_code == 0, said.output
    assert left == []
    assert {one.run_id in said.stdout, other.run_id in said.stdout} == {True}
    assert old.run_id not in said.stdout


def test_a_run_that_failed_is_told_by_the_exit_code(stores: Stores) -> None:
    failed = run(stores, "failed", "Milvus did not answer.")
    said = CliRunner().invoke(app, ["watch", failed.run_id, "--format", "json"])
    assert said.exit_code == 1
    assert "Milvus did not answer." in said.stdout


def test_an_unknown_run_is_told(stores: Stores) -> None:
    said = CliRunner().invoke(app, ["watch", "nothing"])
    assert isinstance(said.exception, NotFound)
    assert "There is no task run 'nothing'" in str(said.exception)


def test_nothing_under_way_ends_at_once(stores: Stores) -> None:
    assert CliRunner().invoke(app, ["watch"]).exit_code == 0


def test_a_run_is_shown_with_its_log_line_by_line(stores: Stores) -> None:
    made = run(stores, "running")
    for text in ("attempt 1 on worker-1", "reading events"):
        made.note(text)
    stores.runs.save(TENANT, made)
    shown = CliRunner().invoke(app, ["show", made.run_id])
    assert shown.exit_code == 0, shown.output
    assert f"{made.log[0].at:%H:%M:%S} attempt 1 on worker-1" in shown.output
    assert f"{made.log[1].at:%H:%M:%S} reading events" in shown.output
