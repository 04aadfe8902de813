"""`lemo dead-letters`: messages of the ingest log that could not be taken in, and why."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lemo.cli.output import Format, FormatOption, console, messages, show, show_json, show_one

if TYPE_CHECKING:
    from lemo.stores.dead_letters import DeadLetters
    from lemo.streams.dead_letters import DeadLetter

app = typer.Typer(no_args_is_help=True, help="Messages that could not be taken in, and why.")

COLUMNS = ("id", "scenario_id", "refused_at", "fault", "reason")

Unassigned = Annotated[
    bool, typer.Option("--unassigned", help="Those that name no tenant that exists, such as broken JSON.")
]
Scenario = Annotated[str, typer.Option("--scenario", "-s", help="Only messages for this scenario.")]
Reason = Annotated[
    str, typer.Option("--reason", help="Only those with this fault (such as unknown-action), or with these words.")
]


@app.command("list")
def list_dead_letters(
    scenario: Scenario = "",
    reason: Reason = "",
    unassigned: Unassigned = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, newest first.")] = 20,
    format: FormatOption = Format.table,
) -> None:
    """List dead letters that wait, newest first."""
    with _opened() as (letters, tenant_id):
        found = letters.waiting_of("" if unassigned else tenant_id, scenario, reason)
        elsewhere = 0 if unassigned else len(letters.waiting_of(""))
    show([_row(letter) for letter in found[:limit]], format, "Dead letters", COLUMNS)
    if format is Format.table:
        if len(found) > limit:
            messages.print(f"{len(found) - limit:,} more: see --limit.")
        if elsewhere:
            messages.print(f"{elsewhere:,} more name no tenant that exists: see --unassigned.")


@app.command("show")
def show_dead_letter(
    id: Annotated[str, typer.Argument(metavar="ID", help="As in `lemo dead-letters list`.")],
    unassigned: Unassigned = False,
    format: FormatOption = Format.table,
) -> None:
    """Show one dead letter whole, with the message as it came."""
    with _opened() as (letters, tenant_id):
        letter = letters.get("" if unassigned else tenant_id, id)
    row = _row(letter) | {"stage": letter.stage, "exception": letter.exception}
    row |= {"key": _text(letter.message.key), "value": _text(letter.message.value)}
    show_one(row, format, "Dead letter")


@app.command("replay")
def replay_dead_letters(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="As in `lemo dead-letters list`.")] = None,
    all: Annotated[bool, typer.Option("--all", help="All that wait, or that --scenario and --reason leave.")] = False,
    scenario: Scenario = "",
    reason: Reason = "",
    unassigned: Unassigned = False,
    format: FormatOption = Format.table,
) -> None:
    """Publish dead letters again, with their original bytes, to their original topics: once their cause is fixed.

    They are not listed any more then; what fails again comes back as a new one. Replaying twice is harmless, since
    items and events count once. Exit code 1 where all of them stay. E.g. `lemo dead-letters replay --scenario shop
    --reason unknown-action`.
    """
    from lemo.domain.errors import InvalidInput

    if bool(ids) == bool(all or scenario or reason):
        raise InvalidInput("Say which ones.", "Name them by ID, or choose by --all, --scenario or --reason.")
    with _opened() as (letters, tenant_id):
        done = letters.replay("" if unassigned else tenant_id, ids or None, scenario, reason)
    row = {"replayed": done.count, "by_topic": done.by_topic, "left": done.left}
    if format is Format.json:
        show_json(row)
    else:
        where = ", ".join(f"{count:,} to {topic}" for topic, count in done.by_topic.items())
        console.print(f"Sent again: {where}." if where else "Nothing was sent again.", highlight=False)
        for id, why in done.left.items():
            messages.print(f"{id} stays: {why}.", highlight=False)
    if done.left and not done.count:
        raise typer.Exit(1)


@contextmanager
def _opened() -> "Iterator[tuple[DeadLetters, str]]":
    """The dead letters, and the tenant that the key belongs to."""
    from lemo.settings import Settings
    from lemo.stores.bootstrap import credential
    from lemo.stores.connect import Stores

    settings = Settings()
    with closing(Stores(settings, interactive=True)) as stores:
        yield stores.dead_letters, credential(settings, stores.api_keys)


def _row(letter: "DeadLetter") -> dict[str, Any]:
    from lemo.domain.time import from_milliseconds

    return {
        "id": letter.id,
        "scenario_id": letter.scenario_id,
        "refused_at": from_milliseconds(letter.refused_at).isoformat(timespec="seconds"),
        "fault": letter.fault,
        "reason": letter.reason,
        "topic": letter.topic,
        "partition": letter.partition,
        "position": letter.position,
    }


def _text(value: bytes) -> str:
    return value.decode(errors="backslashreplace")
