"""Log lines: one readable line per event on standard output, ours and the libraries' alike, without secrets.

    2026-11-23T10:00:00Z INFO  consumer  wrote events  count=2000 seconds=0.31

With `LEMO_LOG_FORMAT=json` a line is a JSON object with the same contents.

Everybody else writes `log = structlog.get_logger()` and `log.info("wrote events", count=2000)`.
"""

import json
import logging
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from lemo.domain.schedule import WORKER_CHECK
from lemo.settings import Settings
from lemo.telemetry.secrets import MASK, mask, names_secret
from lemo.telemetry.tracing import trace_id

_CHATTY = ("httpx", "httpcore", "urllib3", "asyncio", "watchfiles", "kombu", "amqp", "redbeat.schedulers", "pymongo")
"""Libraries that log an INFO line for every request or heartbeat."""
_INTERNAL = ("event", "level", "timestamp", "service", "logger", "exception", "stack")


def configure_command(name: str, settings: Settings) -> None:
    """As `configure`, for a command whose standard output is its result: only warnings, on standard error."""
    configure(name, settings, sys.stderr, logging.WARNING)


def configure(service: str, settings: Settings, stream: TextIO | None = None, least: int = logging.DEBUG) -> None:
    """Writes every log line of this process, structlog's and the standard library's, in one format.

    Lines go to `stream` (standard output by default) from the level `least` on. `service` names the process in each
    line. A second call replaces the configuration. Servers must not configure logging themselves: uvicorn takes
    `log_config=None`, Celery a handler of its `setup_logging` signal.
    """
    level = max(logging.getLevelNamesMapping()[settings.log_level], least)

    def name_service(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event.setdefault("service", service)
        return event

    def name_trace(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        if found := trace_id():
            event.setdefault("trace_id", found)
        return event

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        name_trace,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="%Y-%m-%dT%H:%M:%SZ", utc=True),
        name_service,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.StackInfoRenderer(),
                structlog.processors.format_exc_info,
                hide_secrets,
                render_json if settings.log_format == "json" else render_line,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "celery", "celery.task", "celery.redirected"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    for name in ("celery.worker.strategy", "celery.app.trace"):
        logger = logging.getLogger(name)
        if not any(isinstance(each, _WorkerChecksAreDetail) for each in logger.filters):
            logger.addFilter(_WorkerChecksAreDetail())
    logging.captureWarnings(True)


class _WorkerChecksAreDetail(logging.Filter):
    """Lowers Celery's lines about worker checks to DEBUG: every open page of the console sends some."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written."""
        if record.levelno == logging.INFO and isinstance(record.args, dict) and record.args.get("name") == WORKER_CHECK:
            record.levelno, record.levelname = logging.DEBUG, "DEBUG"
            return logging.getLogger().isEnabledFor(logging.DEBUG)
        return True


def hide_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Masks secrets in every text of the event, tracebacks and nested values included, and in fields named as such."""
    return {name: _masked(name, value) for name, value in event.items()}


def _masked(name: str, value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if names_secret(name):
        return MASK
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {key: _masked(str(key), each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_masked("", each) for each in value]
    return mask(str(value))


def render_line(_logger: WrappedLogger, _method: str, event: MutableMapping[str, Any]) -> str:
    """The event as one line of text; a traceback follows it on indented lines."""
    level = str(event.get("level", "info")).upper()
    level = {"WARNING": "WARN", "CRITICAL": "FATAL"}.get(level, level)
    message = " ".join(str(event.get("event", "")).splitlines())
    parts = [f"{event.get('timestamp', '')} {level:<5} {event.get('service', '-')}", message]
    fields = [f"{name}={_field(value)}" for name, value in event.items() if name not in _INTERNAL]
    if event.get("logger"):
        fields.append(f"logger={event['logger']}")
    if fields:
        parts.append(" ".join(fields))
    line = "  ".join(parts)
    for name in ("stack", "exception"):
        if event.get(name):
            line += "".join(f"\n    {row}" for row in str(event[name]).splitlines())
    return line


def render_json(_logger: WrappedLogger, _method: str, event: MutableMapping[str, Any]) -> str:
    """The event as a JSON object on one line; a traceback is its `exception`. No field replaces the first four."""
    whole = {
        "timestamp": event.get("timestamp", ""),
        "level": str(event.get("level", "info")),
        "service": event.get("service", "-"),
        "message": str(event.get("event", "")),
    }
    whole |= {name: value for name, value in event.items() if name not in whole and name != "event"}
    return json.dumps(whole, ensure_ascii=False, default=str)


def _field(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str):
        plain = value and not any(char.isspace() or char in "\"'=" for char in value)
        return value if plain else json.dumps(value, ensure_ascii=False)
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)
