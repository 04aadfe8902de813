"""`lemo import`: items and events out of files, into the ingest log.

It is long because both commands share reading, sending, waiting and the summary.
"""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from lemo.cli.import_counts import Change, Kind, held, next_step
from lemo.cli.import_mapping import NamedMapping
from lemo.cli.import_preview import (
    ActionOption,
    DateOrderOption,
    DelimiterOption,
    DryRunOption,
    EncodingOption,
    MapOption,
    MappingOption,
    NoTimeOption,
    WordOption,
    YesOption,
    confirm,
    previewed,
    show_previews,
    understood,
    wishes_of,
)
from lemo.cli.import_sending import await_consumer, publish
from lemo.cli.import_summary import show_summary
from lemo.cli.output import Format, FormatOption, ScenarioOption, messages

if TYPE_CHECKING:
    from pydantic import BaseModel

    from lemo.domain.scenario import Scenario
    from lemo.domain.scope import Scope
    from lemo.files.plain_events import PlainEvents
    from lemo.files.plan import Wishes
    from lemo.files.reading import Reading
    from lemo.files.tally import Tally
    from lemo.settings import Settings
    from lemo.stores.connect import Stores
    from lemo.streams import Log, Message

M = TypeVar("M", bound="BaseModel")

app = typer.Typer(no_args_is_help=True, help="Send items and events from files: CSV, JSON, Parquet, Excel.")

FilesArgument = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE...",
        help="CSV with any delimiter, JSON, JSONL, Parquet or Excel; compressed too.",
        show_default=False,
    ),
]
NoWaitOption = Annotated[
    bool, typer.Option("--no-wait", help="Do not wait until the consumer has taken what was sent.")
]
LeaveOutOption = Annotated[
    list[str] | None,
    typer.Option("--leave-out", metavar="COLUMN", help="Read as if the column were not there; may be repeated."),
]


@app.command()
def items(
    files: FilesArgument,
    scenario: ScenarioOption,
    no_wait: NoWaitOption = False,
    leave_out: LeaveOutOption = None,
    fields: MapOption = None,
    encoding: EncodingOption = "",
    delimiter: DelimiterOption = "",
    date_order: DateOrderOption = None,
    mapping: MappingOption = "",
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    format: FormatOption = Format.table,
) -> None:
    """Send items, e.g. `lemo import items items.csv --scenario shop`.

    Columns: item_id, and optionally title, description, categories, tags (lists, or a|b in CSV), author, published_at,
    expires_at, is_active, url, image_url. Other columns become attributes. Where item_id is called otherwise, columns
    are recognised by common names, such as movieId, asin or genres: `--dry-run` shows how, `--map item_id=COLUMN` says
    it, and `--mapping NAME` keeps it for the next file. Bad rows are written to FILE.rejects.jsonl. Exit code 1 where
    most rows of a file are bad.
    """
    from lemo.domain.item import Item
    from lemo.streams.messages import item_message, item_topic

    said = wishes_of(fields, date_order=date_order, encoding=encoding, delimiter=delimiter)
    with _target(scenario, dry_run) as target:
        named_mapping = NamedMapping("items", mapping, target.scenario, said, leave_out or ())
        wishes, leave_out = named_mapping.wishes, named_mapping.leave_out

        def message(item: Item) -> "Message":
            sent = item_message(target.scope, item)
            target.tally.add(item)
            return sent

        if dry_run:
            _preview(files, Item, _Check(()), wishes, leave_out, format)
            return
        topic = item_topic(target.settings.kafka_item_ingest_topics, target.scenario.template)
        readings = _readings(files, Item, message, leave_out, wishes)
        confirm([understood(reading, wishes) for reading in readings], yes, format)
        named_mapping.keep(target.stores, target.scope, readings[0].plan)
        _import(target, "items", readings, topic, not no_wait, format)


@app.command()
def events(
    files: FilesArgument,
    scenario: ScenarioOption,
    no_wait: NoWaitOption = False,
    leave_out: LeaveOutOption = None,
    fields: MapOption = None,
    action: ActionOption = "",
    words: WordOption = None,
    no_time: NoTimeOption = False,
    encoding: EncodingOption = "",
    delimiter: DelimiterOption = "",
    date_order: DateOrderOption = None,
    mapping: MappingOption = "",
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    format: FormatOption = Format.table,
) -> None:
    """Send events, e.g. `lemo import events events.csv --scenario shop`.

    Columns: user_id, item_id, action, timestamp (a date, or Unix time), and optionally event_id, value, request_id,
    position, device. Other columns become attributes. Where these are called otherwise, they are recognised by common
    names, such as userId, asin, ts or rating: `--dry-run` shows how; `--map user_id=COLUMN`, `--action rate`,
    `--word 4=purchase` and `--no-time` say it, and `--mapping NAME` keeps it for the next file. Bad rows are written to
    FILE.rejects.jsonl. Exit code 1 where most rows of a file are bad.

    An event_id names one event: what comes again under it counts once, and is a bad row where its contents differ.
    Where the column holds what several events share, such as an order's number, `--leave-out event_id`: an id is
    derived from each row then. Sending a file twice counts once either way.
    """
    from lemo.domain.event import Event
    from lemo.files.plain_events import PlainEvents
    from lemo.streams.messages import event_message

    said = wishes_of(fields, action, no_time, date_order, encoding, delimiter, words)
    with _target(scenario, dry_run) as target:
        named_mapping = NamedMapping("events", mapping, target.scenario, said, leave_out or ())
        wishes, leave_out = named_mapping.wishes, named_mapping.leave_out
        check = _Check(target.scenario.actions)
        named: set[str] = set()

        def message(event: Event) -> "Message":
            check(event)
            sent = event_message(target.scope, event)
            named.add(event.item_id)
            target.tally.add(event)
            return sent

        if dry_run:
            _preview(files, Event, check, wishes, leave_out, format)
            return
        plain = PlainEvents(target.scope, check.actions, target.tally, named)
        readings = _readings(files, Event, message, leave_out, wishes, check.actions, plain)
        confirm([understood(reading, wishes) for reading in readings], yes, format)
        named_mapping.keep(target.stores, target.scope, readings[0].plan)
        _import(target, "events", readings, target.settings.kafka_event_topic, not no_wait, format, named)


@dataclass(frozen=True, slots=True)
class _Check:
    """Refuses actions that the scenario does not know; items have none."""

    actions: Collection[str]

    def __call__(self, model: M) -> M:
        from lemo.domain.errors import InvalidInput
        from lemo.domain.event import Event

        if isinstance(model, Event) and model.action not in self.actions:
            known = ", ".join(self.actions)
            raise InvalidInput(f"action: {model.action!r} is not an action of this scenario; it knows {known}")
        return model


def _preview(
    files: Sequence[Path],
    model: "type[M]",
    check: _Check,
    wishes: "Wishes",
    leave_out: Sequence[str],
    format: Format,
) -> None:
    from lemo.files.reading import Reading
    from lemo.files.rejects import Rejects

    previews = []
    for path in files:
        reading = Reading(
            path,
            model,
            check,
            Rejects(path, written=False),
            leave_out=leave_out,
            wishes=wishes,
            actions=check.actions,
        )
        previews.append(previewed(reading, wishes))
    show_previews(previews, format)


def _readings(
    files: Sequence[Path],
    model: "type[M]",
    message: "Callable[[M], Message]",
    leave_out: Sequence[str],
    wishes: "Wishes",
    actions: Collection[str] = (),
    plain: "PlainEvents | None" = None,
) -> "list[Reading[Message]]":
    """Opens the files, which share the ids that came before."""
    from lemo.domain.errors import InvalidInput
    from lemo.files.plan import REQUIRED
    from lemo.files.reading import Reading
    from lemo.files.repeats import Repeats

    if needed := [name for name in leave_out if name in REQUIRED[model]]:
        raise InvalidInput(f"{needed[0]} cannot be left out: no row is read without it.")
    repeats = Repeats()
    return [
        Reading(path, model, message, leave_out=leave_out, repeats=repeats, wishes=wishes, actions=actions, plain=plain)
        for path in files
    ]


@dataclass(frozen=True, slots=True)
class _Target:
    """Where an import goes."""

    settings: "Settings"
    stores: "Stores"
    scope: "Scope"
    scenario: "Scenario"
    tally: "Tally"

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
def _target(scenario: str, dry_run: bool) -> Iterator[_Target]:
    from lemo.cli.session import check_engines, known_scenario
    from lemo.files.tally import Tally
    from lemo.stores.connect import Stores

    settings, scope, found = known_scenario(scenario)
    if not dry_run:
        check_engines(settings, "log")
    with closing(Stores(settings)) as stores:
        yield _Target(settings, stores, scope, found, Tally())


def _import(
    target: _Target,
    kind: Kind,
    readings: "Sequence[Reading[Message]]",
    topic: str,
    wait: bool,
    format: Format,
    named: Collection[str] = (),
) -> None:
    """Publishes, waits and prints; ends with exit code 1 where most rows were bad or the consumer took nothing."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    started = time.monotonic()
    before = held(target.settings, target.scope, kind) if wait else None
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[rows]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=messages,
    ) as bars:
        for reading in readings:
            publish(target.log, topic, reading, bars)
        published = sum(reading.good for reading in readings)
        left = await_consumer(target.log, target.settings, topic, bars) if wait and published else None
    unknown = target.unknown(named)
    after = held(target.settings, target.scope, kind) if before is not None and left == 0 else None
    change = Change(kind, before, after) if before is not None and after is not None else None
    show_summary(readings, left, time.monotonic() - started, format, unknown, target.tally, change)
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
    if format is Format.table and (then := next_step(kind, target.scenario.scenario_id, after)):
        messages.print(then, markup=False, soft_wrap=True)
