"""`lemo import`: items and events out of files, into the ingest log."""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from lemo.cli.output import Format, FormatOption, ScenarioOption, messages, show, show_json

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.progress import Progress

    from lemo.domain.scenario import Scenario
    from lemo.domain.scope import Scope
    from lemo.files.reading import Reading
    from lemo.settings import Settings
    from lemo.stores.connect import Stores
    from lemo.streams import Log, Message

M = TypeVar("M", bound="BaseModel")

app = typer.Typer(no_args_is_help=True, help="Send items and events from files: CSV, JSONL or Parquet.")

FilesArgument = Annotated[
    list[Path],
    typer.Argument(metavar="FILE...", help="CSV, JSONL or Parquet; .csv.gz and .jsonl.gz too.", show_default=False),
]
NoWaitOption = Annotated[
    bool, typer.Option("--no-wait", help="Do not wait until the consumer has taken what was sent.")
]
LeaveOutOption = Annotated[
    list[str] | None,
    typer.Option("--leave-out", metavar="COLUMN", help="Read as if the column were not there; may be repeated."),
]
HEAD_BATCHES = 10
"""Batches of a file, of 2,000 rows, that are read before the first is sent: what kind of file it is, shows there."""
MANY_CONFLICTS = 5
"""Fewer rows whose event_id stands for another event are bad rows, and no reason to stop."""
LOOK_SECONDS = 0.2


@app.command()
def items(
    files: FilesArgument,
    scenario: ScenarioOption,
    no_wait: NoWaitOption = False,
    leave_out: LeaveOutOption = None,
    format: FormatOption = Format.table,
) -> None:
    """Send items, e.g. `lemo import items items.csv --scenario shop`.

    Columns: item_id, and optionally title, description, categories, tags (lists, or a|b in CSV), author, published_at,
    expires_at, is_active, url, image_url. Other columns become attributes. Bad rows are written to FILE.rejects.jsonl.
    Exit code 1 where most rows of a file are bad.
    """
    from lemo.domain.item import Item
    from lemo.streams.messages import item_message, item_topic

    with _target(scenario) as target:

        def message(item: Item) -> "Message":
            return item_message(target.scope, item)

        topic = item_topic(target.settings.kafka_item_ingest_topics, target.scenario.template)
        readings = _readings(files, Item, message, leave_out or ())
        _import(target, readings, topic, not no_wait, format)


@app.command()
def events(
    files: FilesArgument,
    scenario: ScenarioOption,
    no_wait: NoWaitOption = False,
    leave_out: LeaveOutOption = None,
    format: FormatOption = Format.table,
) -> None:
    """Send events, e.g. `lemo import events events.csv --scenario shop`.

    Columns: user_id, item_id, action, timestamp (ISO 8601, or Unix seconds or milliseconds), and optionally event_id,
    value, request_id, position, device. Other columns become attributes. Bad rows are written to FILE.rejects.jsonl.
    Exit code 1 where most rows of a file are bad.

    An event_id names one event: what comes again under it counts once, and is a bad row where its contents differ.
    Where the column holds what several events share, such as an order's number, `--leave-out event_id`: an id is
    derived from each row then. Sending a file twice counts once either way.
    """
    from lemo.domain.errors import InvalidInput
    from lemo.domain.event import Event
    from lemo.streams.messages import event_message

    with _target(scenario) as target:
        actions = target.scenario.actions
        unknown = f"is not an action of this scenario; it knows {', '.join(actions)}"

        named: set[str] = set()

        def message(event: Event) -> "Message":
            if event.action not in actions:
                raise InvalidInput(f"action: {event.action!r} {unknown}")
            named.add(event.item_id)
            return event_message(target.scope, event)

        readings = _readings(files, Event, message, leave_out or ())
        _import(target, readings, target.settings.kafka_event_topic, not no_wait, format, named)


def _readings(
    files: Sequence[Path], model: "type[M]", message: "Callable[[M], Message]", leave_out: Sequence[str]
) -> "list[Reading[Message]]":
    """Opens the files, which share the ids that came before."""
    from lemo.domain.errors import InvalidInput
    from lemo.files.plan import REQUIRED
    from lemo.files.reading import Reading
    from lemo.files.repeats import Repeats

    if needed := [name for name in leave_out if name in REQUIRED[model]]:
        raise InvalidInput(f"{needed[0]} cannot be left out: no row is read without it.")
    repeats = Repeats()
    return [Reading(path, model, message, leave_out=leave_out, repeats=repeats) for path in files]


@dataclass(frozen=True, slots=True)
class _Target:
    """Where an import goes."""

    settings: "Settings"
    stores: "Stores"
    scope: "Scope"
    scenario: "Scenario"

    @property
    def log(self) -> "Log":
        """The ingest log."""
        return self.stores.log

    def unknown(self, item_ids: Collection[str]) -> list[str]:
        """Those of the items that the catalogue does not hold, where it has to."""
        if not item_ids or self.scenario.catalogue == "none":
            return []
        return self.stores.items.unknown(self.scope, item_ids)


@contextmanager
def _target(scenario: str) -> Iterator[_Target]:
    from lemo.cli.session import check_engines, known_scenario
    from lemo.stores.connect import Stores

    settings, scope, found = known_scenario(scenario)
    check_engines(settings, "log")
    with closing(Stores(settings)) as stores:
        yield _Target(settings, stores, scope, found)


def _import(
    target: _Target,
    readings: "Sequence[Reading[Message]]",
    topic: str,
    wait: bool,
    format: Format,
    named: Collection[str] = (),
) -> None:
    """Publishes, waits and prints; ends with exit code 1 where most rows were bad or the consumer took nothing."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    started = time.monotonic()
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[rows]}"),
        TimeElapsedColumn(),
        console=messages,
    ) as bars:
        for reading in readings:
            _publish(target.log, topic, reading, bars)
        published = sum(reading.good for reading in readings)
        left = _await_consumer(target, topic, bars) if wait and published else None
    unknown = target.unknown(named)
    _summary(readings, left, time.monotonic() - started, format, unknown)
    if unknown:
        messages.print(
            f"{len(unknown):,} of {len(named):,} item ids in these events are not in the catalogue, and will be in no"
            f" answer: {', '.join(unknown[:5])}{', ...' if len(unknown) > 5 else ''}. Import these items, or let events"
            f" alone decide: lemo scenarios edit {target.scenario.scenario_id} --set catalogue=none",
            style="yellow",
            markup=False,
        )
    if left:
        messages.print(
            f"[bold red]The consumer does not take them: {left:,} messages wait.[/] They are safe in the log, and taken"
            " when it runs: `lemo up --detach` (or `lemo consumer`). `lemo status` tells.",
            soft_wrap=True,
        )
    mostly_bad = [reading for reading in readings if reading.rejects.count > reading.good]
    for reading in mostly_bad:
        messages.print(
            f"Most rows of {reading.path} were rejected: {reading.rejects.count:,} of {reading.read:,}."
            " Correct what the reasons name and import it again: rows that were taken count once.",
            style="bold red",
            markup=False,
        )
    if left or mostly_bad or not published:
        raise typer.Exit(1)


def _publish(log: "Log", topic: str, reading: "Reading[Message]", bars: "Progress") -> None:
    from rich.markup import escape

    from lemo.cli.retry import patiently

    task = bars.add_task(escape(reading.path.name), total=max(reading.total, 1), rows="")
    with closing(log.publisher()) as publisher:
        publish = patiently(publisher.publish)
        patiently(log.create_topics)([topic])
        batches = reading.batches()
        head = list(islice(batches, HEAD_BATCHES))
        _check_head(reading)
        for batch in chain(head, batches):
            publish(topic, batch)
            bars.update(task, completed=reading.done, rows=f"{reading.read:,} rows")
    bars.update(
        task, completed=max(reading.total, 1), rows=f"{reading.read:,} rows, {reading.rejects.count:,} rejected"
    )


def _check_head(reading: "Reading[Message]") -> None:
    """Raises InvalidInput, before anything of the file is sent, where it is plain that ids stand for several events."""
    from lemo.domain.errors import InvalidInput

    if absent := reading.absent:
        raise InvalidInput(
            f"The first {reading.read:,} rows of {reading.path} have no column {absent[0]!r} to leave out.",
            "Nothing of the file was sent. Check the name.",
        )
    if reading.conflicting >= MANY_CONFLICTS and reading.conflicting * 10 >= reading.read:
        raise InvalidInput(
            f"In {reading.path} an event_id names no single event: {reading.conflicting:,} of the first"
            f" {reading.read:,} rows bear one that an earlier row bears with other contents, such as"
            f" {reading.conflict[:80]!r}.",
            "Nothing of the file was sent. Import it with `--leave-out event_id`: an id is derived from each row then,"
            " so that importing twice still counts once. Or give each event an id of its own.",
        )


def _await_consumer(target: _Target, topic: str, bars: "Progress") -> int:
    """Waits until the group has committed the topic; returns what it had not when it stopped making headway."""
    from lemo.cli.retry import patiently
    from lemo.cli.waiting import Doubt

    look = patiently(target.log.lag)
    group = target.settings.kafka_group
    least = most = look([topic], group)[topic]
    task = bars.add_task("consumer", total=max(most, 1), rows=f"{most:,} to take")
    left = least
    doubt = Doubt(lambda: _consumer_is_there(target.settings))
    while left and not doubt.quiet and not doubt.nobody(least):
        time.sleep(LOOK_SECONDS)
        left = look([topic], group)[topic]
        least = min(least, left)
        bars.update(task, completed=max(most - left, 0), rows=f"{left:,} to take")
    if not left:
        bars.update(task, completed=max(most, 1), rows="taken")
    return int(left)


def _consumer_is_there(settings: "Settings") -> bool:
    from redis.exceptions import RedisError

    from lemo.cli.session import is_kept
    from lemo.diagnostics.log_probes import consumers

    if is_kept(settings, "consumer"):
        return True
    try:
        return consumers(settings, silent_seconds=5) > 0
    except (RedisError, OSError):
        return True  # the log is away; who asks it for the lag waits for it


def _summary(
    readings: "Sequence[Reading[Message]]", left: int | None, seconds: float, format: Format, unknown: Sequence[str]
) -> None:
    rows = [
        {
            "file": str(reading.path),
            "read": reading.read,
            "published": reading.good,
            "repeated": reading.repeated,
            "rejected": reading.rejects.count,
            "rejects_file": str(reading.rejects.path) if reading.rejects.path and reading.rejects.count else None,
        }
        for reading in readings
    ]
    reasons = [
        {"file": str(reading.path), "line": reject.line, "reason": reject.reason}
        for reading in readings
        for reject in reading.rejects.first
    ]
    repeated = sum(reading.repeated for reading in readings)
    problems = [reading.rejects.problem for reading in readings if reading.rejects.problem]
    problems += [f"{reading.path} holds no rows: nothing to import." for reading in readings if not reading.read]
    if format is Format.json:
        summary = {
            "read": sum(reading.read for reading in readings),
            "published": sum(reading.good for reading in readings),
            "repeated": repeated,
            "rejected": sum(reading.rejects.count for reading in readings),
            "taken": None if left is None else left == 0,
            "seconds": round(seconds, 3),
            "files": rows,
            "reasons": reasons,
            "problems": problems,
            "unknown_items": len(unknown),
        }
        show_json(summary)
        return
    show(rows, format, "Import")
    if reasons:
        show(reasons, format, "First rejected rows")
    if repeated:
        messages.print(f"Of these rows {repeated:,} repeat the id of another one, and each id counts once.")
    for problem in problems:
        messages.print(problem, style="yellow", markup=False)
