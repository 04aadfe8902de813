"""`lemo up`, `down` and `status`: everything on one machine; `lemo engine`: one embedded engine by itself."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from lemo.cli.output import Format, FormatOption, console, messages, show
from lemo.settings import Settings

if TYPE_CHECKING:
    from lemo.embedded.programs import Program
    from lemo.embedded.supervisor import Watch

engine = typer.Typer(
    no_args_is_help=True,
    help="Run one embedded engine in the foreground. `lemo up` runs all that are needed; these are for looking closer, "
    "or for running one by another supervisor (systemd, Docker).",
)


def up(
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Return when all is ready, instead of showing the log.")
    ] = False,
) -> None:
    """Start the engines and services of this machine, and stay until Ctrl-C.

    Engines whose URL is set (LEMO_REDIS_URL, LEMO_CLICKHOUSE_URL, LEMO_MILVUS_URI) are not started. What dies is
    started again. The first start makes the tenant `default` and its admin key. Stop with Ctrl-C or `lemo down`.
    """
    from lemo.embedded import supervisor
    from lemo.embedded.logs import follow

    settings = Settings()
    with _signals_as_interrupt():
        try:
            with progress() as watch:
                supervised = supervisor.start(settings, watch=watch)
        except KeyboardInterrupt:  # start has stopped what it started
            messages.print("Stopped.")
            raise typer.Exit from None
        messages.print(f"API http://{settings.api_host}:{settings.api_port}/docs")
        messages.print(f"Console http://{settings.console_host}:{settings.console_port}")
        if detach:
            messages.print(f"Logs in {supervised.logs}; see `lemo status`, stop with `lemo down`.", soft_wrap=True)
            return
        messages.print("Ctrl-C stops everything.")
        try:
            for line in follow(supervised.logs, lambda: supervisor.running(settings) is not None):
                console.out(line, highlight=False)
            if supervisor.stop(settings):  # nobody asked it to stop, or it would have left nobody behind
                messages.print("[bold red]The supervisor ended unasked; what it left behind was stopped.[/]")
                messages.print(f"Logs in {supervised.logs}; start again with `lemo up`.", soft_wrap=True)
                raise typer.Exit(1)
            messages.print("Everything was stopped by `lemo down`.")
        except KeyboardInterrupt:
            messages.print("Stopping ...")
            supervisor.stop(settings)
            messages.print("Stopped.")


def down() -> None:
    """Stop everything that `lemo up` started on this home folder; fine when nothing runs."""
    from lemo.embedded import supervisor

    settings = Settings()
    with messages.status("Stopping services, then engines ..."):
        ran = supervisor.stop(settings)
    messages.print("Stopped." if ran else f"Nothing runs on {escape(str(settings.state))}.", soft_wrap=True)


def status(format: FormatOption = Format.table) -> None:
    """Show each process: its state, pid, uptime in seconds and how often it was started again.

    Exit code 0 when all of them run, 1 when one does not or nothing was started.
    """
    from lemo.embedded import supervisor

    settings = Settings()
    states = supervisor.status(settings)
    if states or format is Format.json:
        rows = [asdict(state) for state in states]
        if format is Format.table:
            rows = [
                {**row, "pid": str(row["pid"] or "")} for row in rows
            ]  # a number, but not one to group by thousands
        show(rows, format, columns=["name", "state", "pid", "uptime", "restarts"])
    else:
        messages.print(f"Nothing runs on {escape(str(settings.state))}: start it with `lemo up`.", soft_wrap=True)
    if not states or any(state.state != "RUNNING" for state in states):
        raise typer.Exit(1)


@engine.command()
def redis() -> None:
    """Run the embedded Redis (Valkey) on LEMO_REDIS_PORT, with its data in `redis` below the home folder."""
    from lemo.embedded.redis import serve

    settings = Settings()
    serve(settings.state / "redis", settings.redis_port)


@engine.command()
def clickhouse() -> None:
    """Run the embedded ClickHouse (chDB) on LEMO_CLICKHOUSE_PORT, with its data in `clickhouse` below the home folder.

    It speaks ClickHouse's HTTP interface to this machine only, and has no password.
    """
    from lemo.embedded.clickhouse import serve
    from lemo.telemetry.logging import configure

    settings = Settings()
    configure("clickhouse", settings)
    serve(settings.state / "clickhouse", settings.clickhouse_port)


@engine.command()
def milvus() -> None:
    """Run the embedded Milvus (Milvus Lite) on LEMO_MILVUS_PORT, with its data in `milvus` below the home folder."""
    from lemo.embedded.milvus import serve
    from lemo.telemetry.logging import configure

    settings = Settings()
    configure("milvus", settings)
    serve(settings.state / "milvus", settings.milvus_port)


@contextmanager
def progress() -> Iterator["Watch"]:
    """A line per program, to hand to `supervisor.start` as its `watch`."""
    columns = (
        SpinnerColumn(finished_text="[green]✓[/]"),
        TextColumn("{task.description:<11}"),
        TextColumn("{task.fields[state]}"),
    )
    with Progress(*columns, TimeElapsedColumn(), console=messages) as bars:
        tasks = {}

        def watch(program: "Program", state: str) -> None:
            if program.name not in tasks:
                tasks[program.name] = bars.add_task(program.name, total=1, state=state)
            bars.update(tasks[program.name], state=state, completed=1 if state == "ready" else 0)

        yield watch


@contextmanager
def _signals_as_interrupt() -> Iterator[None]:
    """SIGTERM and a closed terminal stop everything as Ctrl-C does."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
