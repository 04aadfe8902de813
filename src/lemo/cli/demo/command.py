"""`lemo demo`: the whole system on a small world, or on your data, with one command."""

import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from lemo.cli.output import console, messages, show_json
from lemo.cli.up import progress

if TYPE_CHECKING:
    from lemo.domain.dataset import Dataset


def demo(
    data: Annotated[
        Path | None,
        typer.Option(
            help="Folder of real data instead of the simulated world: items and events as CSV, JSONL or Parquet, or a"
            " public data set as it comes (docs/import.md).",
            show_default=False,
        ),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Stop everything at the end and print a JSON summary.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of the simulated world.")] = 7,
    scale: Annotated[float, typer.Option(min=0.05, max=100, help="Size of the simulated world.")] = 1.0,
) -> None:
    """Carry real items and events through every service to a recommendation, and show what happened."""
    import time

    from lemo.cli.demo.carry import carry
    from lemo.embedded.supervisor import start, stop
    from lemo.files.folders import open_folder
    from lemo.settings import Settings
    from lemo.stores.bootstrap import credential
    from lemo.stores.connect import Stores

    started = time.monotonic()
    settings = Settings()
    datasets = [open_folder(data)] if data else _world(seed, scale)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with progress() as watch:
            start(settings, watch=watch)
        try:
            key = settings.admin_key_file.read_text().strip()
            summary = carry(Stores(settings), credential(settings), key, datasets)
            summary.seconds = time.monotonic() - started
            summary.print(console)
            if not once:
                messages.print(f"API      http://{settings.api_host}:{settings.api_port}/docs")
                messages.print(f"Console  http://{settings.console_host}:{settings.console_port}/")
                messages.print(f"Key      in {settings.admin_key_file}", soft_wrap=True)
                messages.print("Ctrl-C stops everything.")
                signal.pause()
        finally:
            stop(settings)
    except KeyboardInterrupt:
        messages.print("Stopped.")
        raise typer.Exit(1 if once else 0) from None
    show_json(summary.as_json())
    if summary.failed:
        raise typer.Exit(1)


def _world(seed: int, scale: float) -> "list[Dataset]":
    """The simulated world, which ended last midnight: its last weeks are what the console shows first."""
    from lemo.simulator.trial import NEWER_OR_VARIED
    from lemo.simulator.world import World

    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return World(seed=seed, scale=scale, end=midnight, trial=NEWER_OR_VARIED).datasets()


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt
