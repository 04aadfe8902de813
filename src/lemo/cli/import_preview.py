"""What `lemo import` would read: how a file is understood, and its first rows, before anything is sent."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lemo.cli.output import Format, messages, show, show_json

if TYPE_CHECKING:
    from lemo.files.plan import Wishes
    from lemo.intake.preview import Preview

MapOption = Annotated[
    list[str] | None,
    typer.Option("--map", metavar="FIELD=COLUMN", help="Where a field is, e.g. user_id=userId; may be repeated."),
]
ActionOption = Annotated[
    str, typer.Option("--action", help="The action of every row, where no column says it.", show_default=False)
]
NoTimeOption = Annotated[bool, typer.Option("--no-time", help="The events have no time.")]
WordOption = Annotated[
    list[str] | None,
    typer.Option("--word", metavar="WORD=ACTION", help="What a word of the file's actions is, e.g. 4=purchase."),
]
MappingOption = Annotated[
    str,
    typer.Option(
        help="Keep how the file is read under this name in the scenario; given alone, read as was kept under it.",
        show_default=False,
    ),
]
DateOrderOption = Annotated[
    str | None,
    typer.Option("--date-order", metavar="dmy|mdy", help="What 11/12/2019 means, where no row tells."),
]
EncodingOption = Annotated[
    str, typer.Option("--encoding", help="Of text that is not UTF-8, e.g. gb18030 or cp1252.", show_default=False)
]
DelimiterOption = Annotated[
    str,
    typer.Option("--delimiter", help="Between cells, where the rows do not tell; \\t is a tab.", show_default=False),
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Show how the files would be read, and their first rows; send nothing.")
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask whether guesses are right.")]


def wishes_of(
    fields: Sequence[str] | None,
    action: str = "",
    no_time: bool = False,
    date_order: str | None = None,
    encoding: str = "",
    delimiter: str = "",
    words: Sequence[str] | None = None,
) -> "Wishes":
    """What the options say; raises InvalidInput for options that say nothing."""
    from lemo.domain.errors import InvalidInput
    from lemo.files.plan import Wishes

    order: Literal["dmy", "mdy"] | None = None
    match date_order:
        case None:
            pass
        case "dmy" | "mdy":
            order = date_order
        case _:
            raise InvalidInput(f"{date_order!r} is no order of day and month.", "Write dmy or mdy.")
    columns = _pairs(fields, "Write FIELD=COLUMN, e.g. `--map user_id=userId`.")
    actions = _pairs(words, "Write WORD=ACTION, e.g. `--word 4=purchase`.", last=True)
    return Wishes(
        fields=columns,
        action=action,
        words=actions,
        no_time=no_time,
        order=order,
        encoding=encoding,
        delimiter=delimiter.replace("\\t", "\t"),
    )


def _pairs(texts: Sequence[str] | None, hint: str, last: bool = False) -> dict[str, str]:
    """What stands before and behind the first `=` of each text, or the `last` one; raises InvalidInput."""
    from lemo.domain.errors import InvalidInput

    found: dict[str, str] = {}
    for text in texts or ():
        name, equals, value = text.rpartition("=") if last else text.partition("=")
        if not equals or not name or not value:
            raise InvalidInput(f"{text!r} maps nothing.", hint)
        found[name if last else name.strip()] = value
    return found


def show_previews(previews: "Sequence[Preview]", format: Format) -> None:
    """Prints what a dry run found."""
    if format is Format.json:
        found = [asdict(each) | {"path": str(each.path)} for each in previews]
        show_json(found)
        return
    for each in previews:
        messages.print(f"{each.path} ({each.form})", markup=False, soft_wrap=True)
        if each.columns:
            show(each.columns, format, "Fields")
        if each.attributes:
            messages.print(f"Attributes: {', '.join(each.attributes)}", markup=False, soft_wrap=True)
        for note in each.notes:
            messages.print(note, style="yellow", markup=False, soft_wrap=True)
        if each.rows:
            names = list(dict.fromkeys(name for row in each.rows for name in row))
            show(each.rows, format, "First rows", names)
        for reason, count in each.rejected.items():
            messages.print(f"{count:,} of the first {each.read:,} rows rejected: {reason}", style="red", markup=False)


def confirm(previews: "Sequence[Preview]", yes: bool, format: Format) -> None:
    """Shows what was guessed, and asks on a terminal whether it is right; raises Abort where it is not."""
    import sys

    guessed = [each for each in previews if each.guessed or each.notes]
    for each in guessed:
        pairs = [
            f"{column['field']} = {column['from'].removeprefix('column ')}"
            for column in each.columns
            if column["how"] != "named so"
        ]
        told = f"{each.path}: {'; '.join([*pairs, *each.notes])}"
        messages.print(told, style="yellow", markup=False, soft_wrap=True)
    asks = any(each.guessed for each in guessed) and not yes and format is Format.table
    if asks and sys.stdin.isatty() and messages.is_terminal:
        typer.confirm("Import it so? (--dry-run shows rows)", default=True, abort=True, err=True)
