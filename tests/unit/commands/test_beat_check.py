"""`lemo beat --check`: what a liveness probe asks."""

import os
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lemo.cli.main import app
from lemo.scheduling.rounds import note_round, rounds_file
from lemo.settings import Settings


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("LEMO_HOME", str(tmp_path))
    return Settings()


def check() -> int:
    return CliRunner().invoke(app, ["beat", "--check"]).exit_code


def test_a_beat_that_made_no_round_or_none_for_long_does_not_live(settings: Settings) -> None:
    assert check() != 0
    note_round(settings)
    assert check() == 0
    long_ago = time.time() - 120
    os.utime(rounds_file(settings), (long_ago, long_ago))
    assert check() != 0
    note_round(settings)
    assert check() == 0


def test_a_home_that_takes_no_file_ends_no_beat(settings: Settings) -> None:
    (settings.state / "run").write_text("no folder")
    note_round(settings)
    assert check() != 0
