import configparser
from pathlib import Path

import pytest

from lemo.embedded.configuration import Folder, configuration
from lemo.embedded.programs import Program, programs
from lemo.embedded.supervisord import LONGEST_PAUSE
from lemo.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, redis_url=None, clickhouse_url=None, milvus_uri="")


def read(text: str) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";",))
    parser.read_string(text)
    return parser


def test_all_engines_and_services_by_default(settings: Settings) -> None:
    table = programs(settings)
    assert [program.name for program in table if program.group == "engines"] == ["redis", "clickhouse", "milvus"]
    assert {program.name for program in table if program.group == "services"} == {
        "api",
        "worker",
        "beat",
        "consumer",
        "console",
    }
    assert {program.command[-2:] for program in table if program.group == "engines"} == {
        ("engine", "redis"),
        ("engine", "clickhouse"),
        ("engine", "milvus"),
    }
    assert all(program.command[-1] == program.name for program in table)


def test_an_engine_with_a_url_is_not_started(tmp_path: Path) -> None:
    settings = Settings(
        home=tmp_path, redis_url="redis://r:6379", clickhouse_url="http://c:8123", milvus_uri="http://m:19530"
    )
    assert [program.name for program in programs(settings) if program.group == "engines"] == []


def test_every_port_names_the_setting_that_changes_it(settings: Settings) -> None:
    for program in programs(settings):
        if program.listens:
            field = program.listens.setting.removeprefix("LEMO_").lower()
            assert getattr(settings, field) == program.listens.port


def test_the_file_never_gives_up_and_holds_no_secret(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, redis_url="redis://:hush@r:6379", key="hush", kafka_password="hush")
    folder = Folder(settings.state)
    folder.prepare()
    text = configuration(programs(settings), folder, Path.cwd())
    assert "hush" not in text
    parsed = read(text)
    names = [section for section in parsed.sections() if section.startswith("program:")]
    assert "program:redis" not in names
    for name in names:
        assert parsed[name]["autorestart"] == "true"
        assert parsed[name]["killasgroup"] == "true"
        # Above the longest pause that the supervisor takes, or a program would end up FATAL.
        assert int(parsed[name]["startretries"]) > LONGEST_PAUSE
    assert parsed["group:services"]["priority"] > parsed["group:engines"]["priority"]  # highest is stopped first
    assert parsed["unix_http_server"]["chmod"] == "0700"


def test_percent_signs_and_spaces_survive(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "100% mine")
    folder.prepare()
    text = configuration([Program("api", ("/a b/lemo", "100%"))], folder, tmp_path / "50% off")
    parsed = read(text)
    assert parsed["program:api"]["command"] == "'/a b/lemo' 100%%"
    assert parsed["program:api"]["directory"].endswith("50%% off")
    assert "100%% mine" in parsed["supervisord"]["logfile"]
