"""Embedded ClickHouse: chDB behind ClickHouse's own HTTP interface, in the one process that may open the path.

It answers what an unmodified clickhouse-connect 1.x client asks: `/ping`, queries, bound parameters, settings in the
URL, inserts in any input format with gzip, lz4 or zstd bodies. It has no users and no password, so it listens on this
machine only, and it refuses requests that a web page made. Each request stands alone: there are no sessions.
A query may also name a file (`file()`, `INTO OUTFILE`) with the rights of this process.

It is long because what a client may ask of the interface is decided in one place.
"""

import shutil
import socket
import sys
import threading
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Any

import structlog
import uvicorn
from anyio import to_thread
from chdb import ChdbError
from chdb import session as chdb_session
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from lemo.domain.errors import Conflict
from lemo.embedded import clickhouse_http as protocol
from lemo.embedded.clickhouse_definitions import DATA, keep_definitions, mend_definitions, restore_definitions
from lemo.embedded.clickhouse_parts import SIGNS, detach_damaged, set_detached_aside
from lemo.embedded.port_locks import bind, claim_folder, engine_main

log = structlog.get_logger()

DEFAULT_PORT = 8124
PORT_SETTING = "LEMO_CLICKHOUSE_PORT"
_HEAD_BYTES = 65_536  # an INSERT's own text is looked for in so many bytes; data follows in chunks
_BUFFERED_BYTES = 4_000_000  # results up to this size are answered whole, with a summary; longer ones are streamed
_FORM_PART_BYTES = 64_000_000


Session = Any  # chdb.session.Session; chdb has no types


def _open(path: str) -> Session:
    return chdb_session.Session(path)  # type: ignore[no-untyped-call]


_CONFIGURATION = """<clickhouse><merge_tree>
  <!-- Damaged parts keep no table from loading: they are detached, set aside and reported. -->
  <max_suspicious_broken_parts>1000000</max_suspicious_broken_parts>
  <max_suspicious_broken_parts_bytes>1000000000000000</max_suspicious_broken_parts_bytes>
  <!-- An insert is on the disk when it is acknowledged. -->
  <fsync_after_insert>1</fsync_after_insert>
  <fsync_part_directory>1</fsync_part_directory>
</merge_tree></clickhouse>
"""
_CHECK_SECONDS = 60.0
"""Shortest time between two checks of all parts."""


class QueryFailed(Exception):
    """ClickHouse's error for one request: its number and its message."""

    def __init__(self, message: str, code: int | None = None) -> None:
        # The streaming calls put their own words before ClickHouse's.
        start = message.find("Code: ")
        self.message = message[start:] if start > 0 else message
        self.code = protocol.error_code(self.message) if code is None else code
        super().__init__(self.message)


@contextmanager
def _clickhouse_errors() -> Iterator[None]:
    """Turns chDB's errors (RuntimeError and its ChdbError) into QueryFailed."""
    try:
        yield
    except (ChdbError, RuntimeError) as error:
        raise QueryFailed(str(error)) from None


class Engine:
    """The chDB engine of one path. Each request opens a session (0.1 ms), so settings and `USE` never leak.

    Sessions run in parallel; one session is used by one request at a time.
    """

    def __init__(self, folder: Path, home: Path) -> None:
        self._folder, self._home = folder, home
        self._incoming = folder / "incoming"
        shutil.rmtree(self._incoming, ignore_errors=True)  # what a killed process left
        self._incoming.mkdir(parents=True)
        configuration = folder / "engine.xml"
        configuration.write_text(_CONFIGURATION)
        self._path = f"{folder / DATA}?config-file={configuration}"
        self._checking, self._defining = threading.Lock(), threading.Lock()
        self._checked = -_CHECK_SECONDS
        mend_definitions(folder, home)
        try:
            self._root = self._opened()
        except QueryFailed:
            if not restore_definitions(folder, home):
                raise
            self._root = self._opened()
        keep_definitions(folder)
        self.version, self.timezone = self._ask("SELECT version(), timezone()").decode().rstrip("\n").split("\t")
        try:
            set_detached_aside(self._ask, QueryFailed, home)
        except QueryFailed as failed:  # such as of a full disk: at the next start again
            log.error("damaged parts are not set aside yet", error=failed.message)

    def _opened(self) -> Session:
        """A session that keeps the engine open between requests."""
        with _clickhouse_errors():
            return _open(self._path)

    def _ask(self, query: str) -> bytes:
        session = self._opened()
        try:
            with _clickhouse_errors():
                answer: bytes = session.query(query, "TabSeparated").bytes()
                return answer
        finally:
            session.close()

    def defined(self) -> None:
        """A table was made, changed or dropped."""
        with self._defining:
            keep_definitions(self._folder)

    def suspect(self, failed: QueryFailed) -> bool:
        """After a query that failed: if damage can be why, sets aside the parts that cannot be read; True if some."""
        if failed.code not in SIGNS:
            return False
        with self._checking:
            if time.monotonic() - self._checked < _CHECK_SECONDS:
                return False
            found = detach_damaged(self._ask, QueryFailed) > 0 and set_detached_aside(
                self._ask, QueryFailed, self._home
            )
            self._checked = time.monotonic()
        return found

    def close(self) -> None:
        """Ends the engine; what was acknowledged is on disk already."""
        self._root.close()

    @contextmanager
    def incoming(self) -> Iterator[IO[bytes]]:
        """A file for the data of one insert, gone afterwards."""
        file = NamedTemporaryFile(dir=self._incoming)  # noqa: SIM115 - closed below, which may fail
        try:
            yield file
        finally:
            with suppress(OSError):  # of a full disk, which was reported already
                file.close()

    def session(self, url: Mapping[str, str], read_only: bool) -> Session:
        """A session in the URL's database, with the URL's settings and the values of its `param_NAME`s."""
        session = _open(self._path)
        settings = {
            name: value
            for name, value in url.items()
            if name not in protocol.TRANSPORT_PARAMETERS and not name.startswith("param_") and name.isidentifier()
        }
        if read_only:  # as ClickHouse treats GET, so that a link can change nothing
            settings["readonly"] = "2"
        try:
            with _clickhouse_errors():
                if url.get("database"):
                    session.query(f"USE {protocol.identifier(url['database'])}")
                if settings:
                    session.query("SET " + ", ".join(f"{k} = {protocol.quoted(v)}" for k, v in settings.items()))
        except QueryFailed:
            session.close()
            raise
        return session


def bound_parameters(url: Mapping[str, str]) -> dict[str, str]:
    """The values of `{name:Type}` in the query, escaped as ClickHouse's TabSeparated wants them."""
    return {name.removeprefix("param_"): value for name, value in url.items() if name.startswith("param_")}


class Answer:
    """One request: reads its body, runs its query, answers with ClickHouse's headers."""

    def __init__(self, engine: Engine, request: Request) -> None:
        self.engine = engine
        self.request = request
        self.url = dict(request.query_params)
        self.query_id = self.url.get("query_id") or str(uuid.uuid4())
        self.started = time.monotonic_ns()

    async def respond(self) -> Response:
        """The response, errors included."""
        try:
            return await self._run()
        except QueryFailed as failed:
            text = f"{failed.message} (version {self.engine.version} (chDB))\n"
            headers = self._headers({"X-ClickHouse-Exception-Code": str(failed.code)})
            return PlainTextResponse(text, protocol.http_status(failed.code), headers)

    def _headers(self, more: Mapping[str, str]) -> dict[str, str]:
        return {
            "X-ClickHouse-Query-Id": self.query_id,
            "X-ClickHouse-Timezone": self.engine.timezone,
            "X-ClickHouse-Server-Display-Name": "lemo",
            **more,
        }

    def _elapsed(self) -> int:
        return time.monotonic_ns() - self.started

    async def _run(self) -> Response:
        head = self.url.get("query", "").encode()
        if self.request.headers.get("content-type", "").startswith("multipart/form-data"):
            async with self.request.form(max_part_size=_FORM_PART_BYTES) as form:
                for name, value in form.items():
                    if not isinstance(value, str):
                        raise QueryFailed("Code: 48. External tables are not offered by the embedded ClickHouse.")
                    self.url[name] = value
            return await self._query(self.url.get("query", "").encode())
        body = self._body()
        # A query in the URL and the body are one text, as in ClickHouse.
        separator = b"\n" if head else b""
        async for chunk in body:
            head += separator + chunk
            separator = b""
            if len(head) >= _HEAD_BYTES and protocol.is_insert(head):
                break
        insert = protocol.split_insert(head)
        if insert:
            statement, data_format, offset = insert
            return await self._insert(statement, data_format, head[offset:], body)
        return await self._query(head + b"".join([chunk async for chunk in body]))

    async def _body(self) -> AsyncIterator[bytes]:
        encoding = self.request.headers.get("content-encoding", "").lower()
        if encoding not in protocol.ENCODINGS:
            raise QueryFailed(f"Code: 378. DB::Exception: Unknown encoding {encoding!r}. (UNKNOWN_COMPRESSION_METHOD)")
        decoder = protocol.Decoder(encoding)
        async for chunk in self.request.stream():
            if chunk:
                try:
                    decoded = decoder.feed(chunk)
                except Exception as error:  # noqa: BLE001 - every codec raises a class of its own
                    raise QueryFailed(
                        f"Code: 271. DB::Exception: The body is not {encoding}: {error}. (CANNOT_DECOMPRESS)"
                    ) from None
                if decoded:
                    yield decoded
        if not decoder.complete:
            raise QueryFailed(f"Code: 271. DB::Exception: The {encoding} body was cut off. (CANNOT_DECOMPRESS)")

    async def _insert(self, statement: str, data_format: str, data: bytes, body: AsyncIterator[bytes]) -> Response:
        """Takes the whole body into a file, then inserts that: half a body inserts nothing.

        Not by chDB's `send_insert`, which takes the data as they come: when the disk is full, it says that they are
        written (26.9).
        """
        with self.engine.incoming() as file:
            try:
                await to_thread.run_sync(file.write, data)
                async for chunk in body:
                    await to_thread.run_sync(file.write, chunk)
                await to_thread.run_sync(file.flush)
            except OSError as error:
                raise QueryFailed(f"Code: 243. DB::Exception: {error} (NOT_ENOUGH_SPACE)") from None
            query = protocol.insert_of_file(statement, data_format, file.name)
            session = await to_thread.run_sync(self.engine.session, self.url, False)
            try:
                written = await to_thread.run_sync(_whole, session, query, bound_parameters(self.url))
            finally:
                await to_thread.run_sync(session.close)
        summary = protocol.summary(
            written_rows=written.rows_written(),
            written_bytes=written.bytes_written(),
            result_rows=written.rows_written(),
            result_bytes=written.bytes_written(),
            elapsed_ns=self._elapsed(),
        )
        return Response(b"", 200, self._headers({"X-ClickHouse-Summary": summary}), "text/plain; charset=UTF-8")

    async def _query(self, body: bytes) -> Response:
        try:
            query = body.decode()
        except UnicodeDecodeError as error:
            raise QueryFailed(f"Code: 62. DB::Exception: The query is not UTF-8: {error}. (SYNTAX_ERROR)") from None
        if not query.strip():
            if self.request.method == "GET":
                return PlainTextResponse("Ok.\n")
            raise QueryFailed("Code: 62. DB::Exception: Empty query. (SYNTAX_ERROR)")
        session = await to_thread.run_sync(self.engine.session, self.url, self.request.method == "GET")
        data_format = protocol.output_format(query) or self.url.get("default_format") or "TabSeparated"
        try:
            chunks = self._watched(_chunks(session, query, data_format, bound_parameters(self.url)))
            first, more = await to_thread.run_sync(_fill, chunks)
        except BaseException:
            await to_thread.run_sync(session.close)
            raise
        headers = {"X-ClickHouse-Format": data_format} if protocol.answers_rows(query) else {}
        if more:
            return StreamingResponse(
                _rest(session, first, chunks), 200, self._headers(headers), "application/octet-stream"
            )
        await to_thread.run_sync(session.close)
        if protocol.defines(query):
            await to_thread.run_sync(self.engine.defined)
        headers["X-ClickHouse-Summary"] = protocol.summary(result_bytes=len(first), elapsed_ns=self._elapsed())
        return Response(first, 200, self._headers(headers), "text/plain; charset=UTF-8")

    def _watched(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        try:
            yield from chunks
        except QueryFailed as failed:
            if self.engine.suspect(failed):
                raise QueryFailed(f"{failed.message} Damaged parts were set aside now: ask again.") from None
            raise


def _whole(session: Session, query: str, parameters: dict[str, str]) -> Any:  # chdb's result
    with _clickhouse_errors():
        return session.query(query, "TabSeparated", params=parameters)


def _chunks(session: Session, query: str, data_format: str, parameters: dict[str, str]) -> Iterator[bytes]:
    with _clickhouse_errors():
        if not protocol.streams(query, data_format):
            yield session.query(query, data_format, params=parameters).bytes()
            return
        with session.send_query(query, data_format, params=parameters) as stream:
            for chunk in stream:
                yield chunk.bytes()


def _fill(chunks: Iterator[bytes]) -> tuple[bytes, bool]:
    """The beginning of a result, and whether more may follow."""
    parts, size = [], 0
    for chunk in chunks:
        parts.append(chunk)
        size += len(chunk)
        if size > _BUFFERED_BYTES:
            return b"".join(parts), True
    return b"".join(parts), False


async def _rest(session: Session, first: bytes, chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    # An error in here ends the connection before the last chunk's mark, so that no client takes half for the whole.
    try:
        yield first
        while (chunk := await to_thread.run_sync(next, chunks, None)) is not None:
            yield chunk
    finally:
        await to_thread.run_sync(session.close)


def application(engine: Engine) -> Starlette:
    """The HTTP interface over an engine."""

    async def ping(_: Request) -> Response:
        return PlainTextResponse("Ok.\n")

    async def answer(request: Request) -> Response:
        # A browser names where its request comes from; no ClickHouse client does. Without a password, any web page
        # that is open on this machine could else write here.
        if "origin" in request.headers or "sec-fetch-site" in request.headers:
            return PlainTextResponse("Requests by web pages are refused: this engine has no password.\n", 403)
        try:
            return await Answer(engine, request).respond()
        except ClientDisconnect:
            return Response(status_code=499)  # nobody is there to read it; the insert was cancelled

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await to_thread.run_sync(engine.close)

    return Starlette(
        routes=[Route("/ping", ping), Route("/", answer, methods=["GET", "POST"])],
        lifespan=lifespan,
    )


def serve(path: Path, port: int, host: str = "127.0.0.1") -> None:
    """Runs the engine of `path` until SIGTERM or SIGINT; raises Conflict when the path or the port is taken."""
    lock = claim_folder(path, "ClickHouse (chDB)")
    listening: socket.socket | None = None
    try:
        listening = bind(host, port, "ClickHouse (chDB)", PORT_SETTING)
        try:
            engine = Engine(path, path.parent)
        except QueryFailed as failed:
            raise Conflict(
                f"chDB cannot open {path / DATA}: {failed.message}",
                "Is the disk full, or does another program have the folder open?",
            ) from None
        config = uvicorn.Config(
            application(engine), log_level="warning", access_log=False, timeout_graceful_shutdown=15
        )
        log.info("listening", engine="ClickHouse (chDB)", version=engine.version, port=port)
        uvicorn.Server(config).run(sockets=[listening])
    finally:
        if listening:
            listening.close()
        lock.release()


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m lemo.embedded.clickhouse --path DIR --port P`; returns the exit code."""
    return engine_main(argv, "clickhouse", "ClickHouse's HTTP interface over chDB.", DEFAULT_PORT, serve)


if __name__ == "__main__":
    sys.exit(main())
