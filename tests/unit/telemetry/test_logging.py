"""Log lines: their form, the libraries' lines among them, and that no secret is in one."""

import json
import logging
import re
from collections.abc import Iterator

import pytest
import structlog

from lemo.settings import Settings
from lemo.telemetry.logging import configure
from lemo.telemetry.secrets import mask

KEY = "lemo_Zk3vN0-q8rT_x7Yw2LmB5cPfHs9dJgQa"


@pytest.fixture(autouse=True)
def _logging_restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def test_an_event_is_one_line_with_time_level_service_message_and_fields(capsys: pytest.CaptureFixture[str]) -> None:
    configure("consumer", Settings())
    structlog.get_logger().info("wrote events", count=2000, seconds=0.3100001, topic="user behaviors")
    line = capsys.readouterr().out
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ INFO  consumer  wrote events"
        r'  count=2000 seconds=0.31 topic="user behaviors"\n',
        line,
    )


def test_a_librarys_line_has_the_same_form_and_names_its_logger(capsys: pytest.CaptureFixture[str]) -> None:
    configure("api", Settings())
    logging.getLogger("uvicorn.error").warning("Application %s\nfor %d s", "slow", 3)
    assert re.fullmatch(r"\S+Z WARN  api  Application slow for 3 s  logger=uvicorn\.error\n", capsys.readouterr().out)


def test_json_has_one_object_a_line_with_fields_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    configure("consumer", Settings(log_format="json"))
    structlog.get_logger().info("wrote\nevents", count=2000, seconds=0.3100001, message="none of ours", 名="值")
    logging.getLogger("uvicorn.error").warning("Application %s", "slow")
    try:
        raise ValueError(f"no good: {KEY}")
    except ValueError:
        structlog.get_logger().exception("failed", password="hunter2")
    ours, librarys, failed = map(json.loads, capsys.readouterr().out.splitlines())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", ours.pop("timestamp"))
    assert ours == {
        "level": "info",
        "service": "consumer",
        "message": "wrote\nevents",
        "count": 2000,
        "seconds": 0.3100001,
        "名": "值",
    }
    assert (librarys["level"], librarys["message"], librarys["logger"]) == (
        "warning",
        "Application slow",
        "uvicorn.error",
    )
    assert "Traceback" in failed["exception"]
    assert KEY not in failed["exception"]
    assert failed["password"] == "***"


def test_context_is_bound_to_every_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure("worker", Settings())
    structlog.contextvars.bind_contextvars(tenant="default")
    structlog.get_logger().info("trained")
    assert "  trained  tenant=default" in capsys.readouterr().out


def test_lines_below_the_level_are_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    configure("worker", Settings(log_level="WARNING"))
    structlog.get_logger().info("quiet")
    logging.getLogger("kafka").info("quiet too")
    structlog.get_logger().error("loud")
    out = capsys.readouterr().out
    assert "quiet" not in out
    assert "ERROR worker  loud" in out


def test_configuring_twice_writes_each_line_once(capsys: pytest.CaptureFixture[str]) -> None:
    configure("api", Settings())
    configure("api", Settings())
    structlog.get_logger().info("once")
    assert capsys.readouterr().out.count("once") == 1


def test_secrets_are_masked_in_messages_fields_nested_values_and_tracebacks(capsys: pytest.CaptureFixture[str]) -> None:
    configure("api", Settings())
    log = structlog.get_logger()
    log.info(f"using {KEY}", url="redis://ada:hunter2@db:6379/1", password="hunter2", nested={"token": "hunter2"})
    logging.getLogger("celery").error("cannot connect to %s", "mongodb://ada:hunter2@db/")
    try:
        raise ValueError("http://ada:hunter2@db refused")
    except ValueError:
        log.exception("failed")
    out = capsys.readouterr().out
    assert "hunter2" not in out
    assert KEY not in out
    assert "redis://ada:***@db:6379/1" in out
    assert "\n    ValueError: http://ada:***@db refused" in out


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("redis://:s3cret@h:1/0", "redis://:***@h:1/0"),
        ("amqp://u:p@ss/w:rd@h", "amqp://u:***@h"),
        ("http://host:8123/path", "http://host:8123/path"),
        (f"key {KEY}.", "key lemo_***."),
        ("Authorization: Bearer abcdefgh12345678", "Authorization: Bearer ***"),
        ("sasl.password=abc&x=1", "sasl.password=***&x=1"),
        ("lemo_default_scenario", "lemo_default_scenario"),
        ("令牌 token: 秘密", "令牌 token: ***"),
    ],
)
def test_mask(text: str, masked: str) -> None:
    assert mask(text) == masked


def test_lines_about_canaries_are_detail(capsys: pytest.CaptureFixture[str]) -> None:
    """Celery tells of each task twice, and each open page of the console sends canaries."""

    def tell() -> str:
        for name in ("celery.worker.strategy", "celery.app.trace"):
            for task in ("lemo.worker-check", "lemo.run.train-model-daily"):
                context = {"name": task, "id": "1"}
                logging.getLogger(name).info("Task %(name)s[%(id)s] told", context, extra={"data": context})
        return capsys.readouterr().out

    configure("worker", Settings())
    assert tell().count("told") == 2
    configure("worker", Settings(log_level="DEBUG"))
    said = tell()
    assert said.count("told") == 4
    assert said.count("DEBUG") == 2
