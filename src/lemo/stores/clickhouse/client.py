"""A connection to ClickHouse's HTTP interface, for the stores that keep tables there."""

import logging
import math
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote, urlsplit

import clickhouse_connect
import urllib3
from clickhouse_connect.driver.exceptions import ClickHouseError, OperationalError
from clickhouse_connect.driver.httputil import check_env_proxy, get_pool_manager_options

from lemo.domain.deadlines import FOR_JOBS, Deadlines
from lemo.domain.errors import EngineUnavailable
from lemo.domain.scope import Scope

if TYPE_CHECKING:
    import pyarrow

Answer = TypeVar("Answer")
Parameter = str | int | list[str] | list[int] | list[float]

# It logs every failed call, although it also raises: the caller decides what is an error.
for _library in ("clickhouse_connect", "urllib3.connectionpool"):
    logging.getLogger(_library).setLevel(logging.CRITICAL)

WHERE_SCOPE = "tenant_id = {tenant:String} AND scenario_id = {scenario:String}"
"""The condition of every query on one scope's rows."""


class ClickHouse:
    """One database, of a server or of the embedded engine. Safe for threads; connected on first use.

    Every call raises EngineUnavailable when the engine does not answer.
    """

    def __init__(self, url: str, database: str, deadlines: Deadlines = FOR_JOBS) -> None:
        self._deadlines = deadlines
        parts = urlsplit(url)
        self._connection: dict[str, Any] = {
            "interface": parts.scheme or "http",
            "host": parts.hostname or "127.0.0.1",
            "port": parts.port or (8443 if parts.scheme == "https" else 8123),
            "username": unquote(parts.username) if parts.username else "default",
            "password": unquote(parts.password) if parts.password else "",
        }
        self._name = database
        self._database = "`" + database.replace("\\", "\\\\").replace("`", "\\`") + "`"
        self._lock = threading.Lock()
        self._connected: Any = None
        self._pool = urllib3.PoolManager()

    def ping(self) -> str:
        """Asks the engine for a sign of life; returns its name and version."""
        version = self._ask(lambda client: client.query("SELECT version()").first_row[0])
        return f"ClickHouse {version}"

    def clock(self) -> float:
        """The engine's own clock, in Unix seconds."""
        return (
            float(self._ask(lambda client: client.query("SELECT toUnixTimestamp64Milli(now64(3))").first_row[0])) / 1000
        )

    def close(self) -> None:
        """Lets go of connections."""
        with self._lock:
            if self._connected is not None:
                self._connected.close()
                self._pool.clear()
                self._connected = None

    def _table_of(self, query: str, scope: Scope, **parameters: Parameter) -> "pyarrow.Table":
        parameters |= {"tenant": scope.tenant_id, "scenario": scope.scenario_id}
        settings = {"output_format_arrow_low_cardinality_as_dictionary": 0}
        return self._ask(
            lambda client: client.query_arrow(query, parameters=parameters, settings=settings, use_strings=True)
        )

    def _query(self, query: str, scope: Scope, **parameters: Parameter) -> list[tuple[Any, ...]]:
        parameters |= {"tenant": scope.tenant_id, "scenario": scope.scenario_id}
        return list(self._ask(lambda client: client.query(query, parameters=parameters).result_rows))

    def _one(self, query: str, scope: Scope) -> Any:
        return self._query(query, scope)[0][0]

    def _command(self, statement: str, scope: Scope, **parameters: Parameter) -> None:
        """Runs a statement about one scope, and waits for what it changes (mutations_sync)."""
        parameters |= {"tenant": scope.tenant_id, "scenario": scope.scenario_id}
        self._ask(lambda client: client.command(statement, parameters=parameters, settings={"mutations_sync": 1}))

    def _ask(self, call: Callable[[Any], Answer]) -> Answer:
        try:
            return call(self._client())
        except (ClickHouseError, urllib3.exceptions.HTTPError, OSError) as error:
            raise self._unavailable(error) from error

    def _client(self) -> Any:
        with self._lock:
            if self._connected is None:
                self._pool = self._new_pool()
                self._connected = clickhouse_connect.get_client(
                    **self._connection,
                    pool_mgr=self._pool,
                    compress=False,
                    # One client serves several threads, which one session would not allow.
                    autogenerate_session_id=False,
                    connect_timeout=math.ceil(self._deadlines.connect),  # it takes whole seconds only
                    send_receive_timeout=math.ceil(self._deadlines.answer),
                    query_retries=0,
                )
            return self._connected

    def _new_pool(self) -> urllib3.PoolManager:
        """Connections as the client would make them, but with no second attempt where a person waits."""
        options = get_pool_manager_options(retries=1 if self._deadlines.retries > 1 else 0)
        proxy = check_env_proxy(*(self._connection[part] for part in ("interface", "host", "port")))
        if proxy is None:
            return urllib3.PoolManager(**options)
        return urllib3.ProxyManager(proxy if "://" in proxy else f"http://{proxy}", **options)

    def _unavailable(self, error: Exception) -> EngineUnavailable:
        engine = f"ClickHouse at {self._connection['host']}:{self._connection['port']}"
        if _caused_by(error, urllib3.exceptions.ReadTimeoutError):
            return EngineUnavailable(
                f"{engine} did not answer within {self._deadlines.answer:g} s.",
                "It hangs or has too much to do: `lemo status` and `lemo doctor` tell. Large questions of pages and"
                " commands may take longer with a larger LEMO_ANSWER_SECONDS.",
                engine=engine,
                seconds=self._deadlines.answer,
            )
        if _caused_by(error, urllib3.exceptions.NewConnectionError):
            return EngineUnavailable(
                f"{engine} cannot be reached: nothing listens there.",
                "Start it (`lemo up` for the embedded one), or correct LEMO_CLICKHOUSE_URL.",
                engine=engine,
            )
        lines = str(error).splitlines()
        detail = lines[0][:300] if lines and not isinstance(error, OperationalError) else type(error).__name__
        if self._connection["password"]:
            detail = detail.replace(self._connection["password"], "***")
        return EngineUnavailable(
            f"{engine} did not do what it was asked: {detail}.",
            "Check that it runs (`lemo doctor`); the call may be repeated.",
            engine=engine,
        )


def _caused_by(error: BaseException | None, kind: type[Exception]) -> bool:
    """Whether an error of the kind is the error or stands behind it; urllib3 keeps its own as `reason`."""
    while error is not None:
        if isinstance(error, kind) or isinstance(getattr(error, "reason", None), kind):
            return True
        error = error.__cause__ or error.__context__
    return False
