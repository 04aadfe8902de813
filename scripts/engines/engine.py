"""What every engine of the tests is to the command line: something that may lack tools, is installed, runs, stops."""

import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from engines.process import Daemon

SAY = threading.Lock()


def say(name: str, text: str) -> None:
    """One line of progress."""
    with SAY:
        print(f"{name:<9} {text}", file=sys.stderr, flush=True)


@contextmanager
def progress(name: str, text: str, every: float = 20) -> Iterator[None]:
    """Says that something lasts, says so again every `every` seconds, and says how long it took."""
    began = time.monotonic()
    done = threading.Event()

    def remind() -> None:
        while not done.wait(every):
            say(name, f"{text}: {time.monotonic() - began:.0f} s so far")

    say(name, text)
    threading.Thread(target=remind, daemon=True).start()
    try:
        yield
    finally:
        done.set()
    say(name, f"{text}: done in {time.monotonic() - began:.1f} s")


@dataclass(frozen=True)
class Lack:
    """A thing that the machine does not have: what, the command that brings it, its Debian packages (if it has any)."""

    what: str
    hint: str
    packages: tuple[str, ...] = ()


def debian(what: str, *packages: str) -> Lack:
    """A missing program that Debian packages provide."""
    return Lack(what, f"apt-get install -y {' '.join(packages)}", packages)


class Engine:
    """An engine below `folder`. `url` is what tests get; an engine without a daemon is only installed."""

    name: str
    variable: str  # that chooses its port
    usual_port: int

    def __init__(self, services: Path) -> None:
        self.folder = services / self.name
        self.daemon = Daemon(self.folder)

    def lacks(self) -> list[Lack]:
        """What the machine must have first and has not."""
        raise NotImplementedError

    def install(self) -> None:
        """Brings the engine below its folder; does nothing when it is there. Raises Failed."""

    def start(self) -> str:
        """Starts the engine unless it runs, waits until it answers, returns its URL. Raises Failed."""
        raise NotImplementedError

    def url(self) -> str | None:
        """The URL of the running engine, None when it does not run."""
        raise NotImplementedError

    def stop(self) -> bool:
        """Stops the engine; returns whether it ran."""
        return self.daemon.stop()

    def fresh(self, folder: str) -> Path:
        """An empty folder for the engine's data: every start begins from nothing."""
        path = self.folder / folder
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        return path
