"""`lemo dead-letters`: messages of the ingest log that could not be taken in, and why."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lemo.commands.output import Format, FormatOption, messages, show, show_one

if TYPE_CHECKING:
    from lemo.streams.dead_letters import DeadLetter

app = typer.Typer(no_args_is_help=True, help="Messages that could not be taken in, and why.")

COLUMNS = ("id", "scenario_id", "refused_at", "reason")

Unassigned = Annotated[
    bool, typer.Option("--unassigned", help="Those that name no tenant that exists, such as broken JSON.")
]


@app.command("list")
def list_dead_letters(
    scenario: Annotated[str, typer.Option("--scenario", "-s", help="Only messages for this scenario.")] = "",
    unassigned: Unassigned = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, newest first.")] = 20,
    format: FormatOption = Format.table,
) -> None:
    """List dead letters, newest first."""
    letters, elsewhere = _read(unassigned, scenario)
    show([_row(letter) for letter in letters[:limit]], format, "Dead letters", COLUMNS)
    if format is Format.table:
        if len(letters) > limit:
            messages.print(f"{len(letters) - limit:,} more: see --limit.")
        if elsewhere:
            messages.print(f"{elsewhere:,} more name no tenant that exists: see --unassigned.")


@app.command("show")
def show_dead_letter(
    id: Annotated[str, typer.Argument(metavar="ID", help="As in `lemo dead-letters list`.")],
    unassigned: Unassigned = False,
    format: FormatOption = Format.table,
) -> None:
    """Show one dead letter whole, with the message as it came."""
    from lemo.domain.errors import NotFound

    for letter in _read(unassigned)[0]:
        if letter.id == id:
            row = _row(letter) | {"stage": letter.stage, "exception": letter.exception}
            show_one(row | {"key": _text(letter.key), "value": _text(letter.value)}, format, "Dead letter")
            return
    raise NotFound(f"There is no dead letter {id[:300]!r}.", "`lemo dead-letters list` shows which there are.")


def _read(unassigned: bool, scenario: str = "") -> "tuple[list[DeadLetter], int]":
    """The tenant's dead letters (or those of no tenant), and how many of no tenant there are besides."""
    from lemo.settings import Settings
    from lemo.stores.bootstrap import credential
    from lemo.stores.connect import Stores
    from lemo.streams.dead_letters import read_dead_letters

    settings = Settings()
    tenant_id = credential(settings)
    log, topic = Stores(settings).log, settings.kafka_dead_letter_topic
    if unassigned:
        return read_dead_letters(log, topic, ""), 0
    return read_dead_letters(log, topic, tenant_id, scenario), len(read_dead_letters(log, topic, ""))


def _row(letter: "DeadLetter") -> dict[str, Any]:
    from lemo.domain.time import from_milliseconds

    return {
        "id": letter.id,
        "scenario_id": letter.scenario_id,
        "refused_at": from_milliseconds(letter.refused_at).isoformat(timespec="seconds"),
        "reason": letter.reason,
        "topic": letter.topic,
        "partition": letter.partition,
        "position": letter.position,
    }


def _text(value: bytes) -> str:
    return value.decode(errors="backslashreplace")
