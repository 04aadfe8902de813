"""`lemo import`: items and events out of files, into the ingest log."""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

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
    show_previews,
    wishes_of,
)
from lemo.cli.import_summary import show_summary
from lemo.cli.output import Format, FormatOption, ScenarioOption, messages

if TYPE_CHECKING:
    from rich.progress import TaskID

    from lemo.domain.scenario import Scenario
    from lemo.domain.scope import Scope
    from lemo.files.plan import Wishes
    from lemo.files.reading import Reading
    from lemo.intake.file_import import FileImport
    from lemo.intake.import_counts import Kind
    from lemo.settings import Settings
    from lemo.stores.connect import Stores
    from lemo.streams import Message

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
    said = wishes_of(fields, date_order=date_order, encoding=encoding, delimiter=delimiter)
    _import("items", files, scenario, said, leave_out, mapping, dry_run, yes, not no_wait, format)


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
    said = wishes_of(fields, action, no_time, date_order, encoding, delimiter, words)
    _import("events", files, scenario, said, leave_out, mapping, dry_run, yes, not no_wait, format)


def _import(
    kind: "Kind",
    files: Sequence[Path],
    scenario: str,
    said: "Wishes",
    leave_out: Sequence[str] | None,
    mapping: str,
    dry_run: bool,
    yes: bool,
    wait: bool,
    format: Format,
) -> None:
    from lemo.intake.file_import import FileImport
    from lemo.intake.preview import understood

    with _opened(scenario, dry_run) as (stores, scope, found):
        named_mapping = NamedMapping(kind, mapping, found, said, leave_out or ())
        work = FileImport(stores, scope, found, kind, named_mapping.wishes, named_mapping.leave_out)
        if dry_run:
            show_previews([work.look(path) for path in files], format)
            return
        readings = [work.open(path) for path in files]
        confirm([understood(reading, work.wishes) for reading in readings], yes, format)
        named_mapping.keep(stores, scope, readings[0].plan)
        _send(work, readings, wait, format)


@contextmanager
def _opened(scenario: str, dry_run: bool) -> "Iterator[tuple[Stores, Scope, Scenario]]":
    from lemo.cli.session import check_engines, known_scenario
    from lemo.stores.connect import Stores

    settings, scope, found = known_scenario(scenario)
    if not dry_run:
        check_engines(settings, "log")
    with closing(Stores(settings)) as stores:
        yield stores, scope, found


def _send(work: "FileImport", readings: "Sequence[Reading[Message]]", wait: bool, format: Format) -> None:
    """Publishes, waits and prints; ends with exit code 1 where most rows were bad or the consumer took nothing."""
    from lemo.intake.file_import import mostly_bad
    from lemo.intake.import_counts import Change, held, next_step
    from lemo.intake.import_outcome import Outcome

    settings, scope, kind = work.stores.settings, work.scope, work.kind
    started = time.monotonic()
    before = held(settings, scope, kind) if wait else None
    left = _with_bars(work, readings, wait)
    unknown = work.unknown()
    after = held(settings, scope, kind) if before is not None and left == 0 else None
    change = Change(kind, before, after) if before is not None and after is not None else None
    outcome = Outcome(readings, left, time.monotonic() - started, unknown, work.tally, change)
    show_summary(outcome, format)
    if unknown:
        messages.print(
            f"{len(unknown):,} of {len(work.named):,} item ids in these events are not in the catalogue, and will be in"
            f" no answer: {', '.join(unknown[:5])}{', ...' if len(unknown) > 5 else ''}. Import these items, or let"
            f" events alone decide: lemo scenarios edit {scope.scenario_id} --set catalogue=none",
            style="yellow",
            markup=False,
        )
    if left:
        messages.print(
            f"[bold red]The consumer does not take them: {left:,} messages wait.[/] They are safe in the log, and taken"
            " when it runs: `lemo up --detach` (or `lemo consumer`). `lemo status` tells.",
            soft_wrap=True,
        )
    bad = mostly_bad(readings)
    for reading in bad:
        messages.print(
            f"Most rows of {reading.path} were rejected: {reading.rejects.count:,} of {reading.read:,}."
            " Correct what the reasons name and import it again: rows that were taken count once.",
            style="bold red",
            markup=False,
        )
    if left or bad or not outcome.published:
        raise typer.Exit(1)
    if format is Format.table and (then := next_step(kind, scope.scenario_id, after)):
        messages.print(then, markup=False, soft_wrap=True)


def _with_bars(work: "FileImport", readings: "Sequence[Reading[Message]]", wait: bool) -> int | None:
    """Sends the files, and waits for the consumer where it shall; the messages that it left."""
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[rows]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=messages,
    ) as bars:
        for reading in readings:
            total = max(reading.total, 1)
            task = bars.add_task(escape(reading.path.name), total=total, rows="")

            def tell(reading: "Reading[Message]" = reading, task: "TaskID" = task) -> None:
                bars.update(task, completed=reading.done, rows=f"{reading.read:,} rows")

            work.send(reading, tell)
            bars.update(task, completed=total, rows=f"{reading.read:,} rows, {reading.rejects.count:,} rejected")
        if not wait or not any(reading.good for reading in readings):
            return None
        consumer = bars.add_task("consumer", total=None, rows="")

        def tell_left(left: int, most: int) -> None:
            rows = f"{left:,} to take" if left else "taken"
            bars.update(consumer, total=max(most, 1), completed=max(most, 1) - left, rows=rows)

        return work.wait(tell_left, lambda: _consumer_is_there(work.stores.settings))


def _consumer_is_there(settings: "Settings") -> bool:
    from lemo.cli.session import is_kept
    from lemo.diagnostics.log_probes import consumer_is_there

    return is_kept(settings, "consumer") or consumer_is_there(settings)
