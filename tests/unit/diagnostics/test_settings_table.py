"""The settings as they are shown: complete, described, and without a secret."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from lemo.diagnostics.settings_table import as_markdown, setting_rows
from lemo.settings import Settings

PAGE = Path(__file__).parents[3] / "docs" / "settings.md"


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_has_a_meaning(name: str) -> None:
    assert (Settings.model_fields[name].description or "").endswith(".")


def test_no_secret_is_shown_but_where_the_engine_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEMO_REDIS_URL", "redis://ada:hunter2@db.example:6379")
    monkeypatch.setenv("LEMO_KAFKA_PASSWORD", "hunter2")
    monkeypatch.setenv("LEMO_S3_ENDPOINT", "http://ada:hunter2@s3.example")
    monkeypatch.setenv("LEMO_KAFKA_ITEM_INGEST_TOPICS", "one,two")
    values = {row.variable: row.value for row in setting_rows(Settings())}
    assert values["LEMO_REDIS_URL"] == "redis://ada:***@db.example:6379"
    assert values["LEMO_KAFKA_PASSWORD"] == "***"
    assert values["LEMO_KAFKA_ITEM_INGEST_TOPICS"] == "one,two"
    assert values["LEMO_MONGO_URL"] == ""
    assert "hunter2" not in str(values)


def test_what_differs_from_its_default_is_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEMO_API_PORT", "8001")
    changed = {row.variable for row in setting_rows(Settings()) if not row.is_default}
    assert changed == {"LEMO_API_PORT"}


def test_the_reference_page_is_up_to_date() -> None:
    """Fix: lemo settings --format markdown > docs/settings.md"""
    assert PAGE.read_text(encoding="utf-8") == as_markdown()


def test_the_command_prints_every_setting() -> None:
    import json

    import typer

    from lemo.cli.settings_command import settings

    app = typer.Typer()
    app.command()(settings)
    answer = CliRunner().invoke(app, ["--format", "json"])
    assert answer.exit_code == 0
    assert len(json.loads(answer.stdout)) == len(Settings.model_fields)
    assert CliRunner().invoke(app, ["--format", "xml"]).exit_code == 2
