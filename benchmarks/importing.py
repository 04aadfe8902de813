"""Rows a minute of `lemo import events`, step by step, beside polars' bare reader of the same file.

Ratings with foreign column names. Each step contains the ones before: rows, messages by validation alone, messages as
imported, and messages in the ingest log (Redis Streams). Seconds are of this process's processor, medians of turns, so
that other work on the machine tells little; the log's server spends its own.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import polars

from lemo.domain.event import Event
from lemo.domain.scope import Scope
from lemo.files.plain_events import PlainEvents
from lemo.files.reading import Reading
from lemo.files.repeats import Repeats
from lemo.files.tally import Tally
from lemo.settings import Settings
from lemo.stores.connect import Stores
from lemo.streams import Message
from lemo.streams.messages import event_message
from servers import own_embedded

SCOPE = Scope("default", "films")
ACTIONS = ("view", "rate")
TOPIC = "user-behaviors"


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--turns", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "ratings.csv")
        with path.open("w") as file:
            file.write("userId,movieId,rating,timestamp\n")
            file.writelines(
                f"{n % 4_000},{n * 7919 % 10_007},{n % 5 + 1}.0,{1_700_000_000 + n}\n" for n in range(given.rows)
            )
        server = own_embedded("redis", Path(folder) / "redis")
        server.start()
        try:
            with closing(Stores(Settings(home=Path(folder) / "home", redis_url=server.url))) as stores:
                measure(path, given.rows, given.turns, stores)
        finally:
            server.kill()


def measure(path: Path, rows: int, turns: int, stores: Stores) -> None:
    """Takes the steps in turns and prints them."""
    steps: Mapping[str, Callable[[], Any]] = {
        "polars' bare reader": lambda: polars.read_csv(path),
        "rows": lambda: sum(1 for _ in reading(path, plain=False).table.rows()),
        "messages, each validated": lambda: sum(len(batch) for batch in reading(path, plain=False).batches()),
        "messages": lambda: sum(len(batch) for batch in reading(path).batches()),
        "messages in the log": lambda: publish(stores, reading(path)),
    }
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(turns):
        for name, step in steps.items():
            begin = time.process_time()
            step()
            taken[name].append(time.process_time() - begin)
        stores.redis.flushall()
    print("| step | us a row | million rows a minute |\n|---|---|---|")
    for name, seconds in taken.items():
        each = statistics.median(seconds) / rows
        print(f"| {name} | {each * 1e6:.2f} | {60 / each / 1e6:.1f} |")


def reading(path: Path, plain: bool = True) -> Reading[Message]:
    """An import as the command line begins it."""
    return Reading(
        path,
        Event,
        lambda event: event_message(SCOPE, event),
        repeats=Repeats(),
        actions=ACTIONS,
        plain=PlainEvents(SCOPE, ACTIONS, Tally(), set()) if plain else None,
    )


def publish(stores: Stores, rows: Reading[Message]) -> None:
    """Sends all of a file."""
    with closing(stores.log.publisher()) as publisher:
        for batch in rows.batches():
            publisher.publish(TOPIC, batch)


if __name__ == "__main__":
    main()
