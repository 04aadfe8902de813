"""`lemo flink` says what it lacks before it asks Flink for anything."""

import pytest
from typer.testing import CliRunner

from lemo.cli.flink import app
from lemo.domain.errors import InvalidInput


@pytest.mark.parametrize(
    ("words", "variables", "told"),
    [
        (["list"], {}, "LEMO_FLINK_URL is empty"),
        (["stop"], {}, "LEMO_FLINK_URL is empty"),
        (["submit"], {"LEMO_FLINK_URL": "http://127.0.0.1:1"}, "LEMO_KAFKA_BOOTSTRAP_SERVERS"),
        (["submit", "sesions"], {}, "no job 'sesions'"),
        (["submit", "--from", "file:/x"], {}, "A savepoint is of one job"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_lacking_is_told(
    words: list[str], variables: dict[str, str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = CliRunner().invoke(app, words).exception
    assert isinstance(found, InvalidInput)
    assert told in f"{found.message} {found.hint}"
