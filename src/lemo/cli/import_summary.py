"""What `lemo import` tells at the end: what was taken, what was not and why, and what to do next."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lemo.cli.output import Format, messages, show, show_json

if TYPE_CHECKING:
    from lemo.cli.import_counts import Change
    from lemo.files.reading import Reading
    from lemo.files.tally import Tally
    from lemo.streams import Message


def show_summary(
    readings: "Sequence[Reading[Message]]",
    left: int | None,
    seconds: float,
    format: Format,
    unknown: Sequence[str],
    tally: "Tally",
    change: "Change | None" = None,
) -> None:
    """Prints it; `left` are the messages that the consumer has not taken, None where nobody waited for it.

    `change` is what the scenario holds, where that is known.
    """
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
    first = [
        {"file": str(reading.path), "line": reject.line, "reason": reject.reason}
        for reading in readings
        for reject in reading.rejects.first
    ]
    reasons: Counter[str] = sum((reading.rejects.reasons for reading in readings), Counter())
    repeated = sum(reading.repeated for reading in readings)
    published = sum(reading.good for reading in readings)
    problems = [reading.rejects.problem for reading in readings if reading.rejects.problem]
    problems += [f"{reading.path} holds no rows: nothing to import." for reading in readings if not reading.read]
    if format is Format.json:
        show_json(
            {
                "read": sum(reading.read for reading in readings),
                "published": published,
                "repeated": repeated,
                "rejected": sum(reading.rejects.count for reading in readings),
                "rejected_by_reason": dict(reasons.most_common()),
                "taken": None if left is None else left == 0,
                "seconds": round(seconds, 3),
                "files": rows,
                "reasons": first,
                "problems": problems,
                "unknown_items": len(unknown),
                "known_before": change.known(published) if change else None,
                "new_users": change.after.users - change.before.users if change else None,
                **tally.as_json(),
            }
        )
        return
    show(rows, format, "Import")
    if first:
        show(first, format, "First rejected rows")
    if len(reasons) > 1:
        by_reason = [{"rows": count, "reason": reason} for reason, count in reasons.most_common()]
        show(by_reason, format, "Rejected by reason")
    if repeated:
        messages.print(f"Of these rows {repeated:,} repeat the id of another one, and each id counts once.")
    if change is not None:
        messages.print(change.sentence, markup=False, highlight=False)
        if known := change.known(published) - repeated:
            messages.print(f"{known:,} of the events were there before, and count once.", highlight=False)
    if span := tally.span:
        told = ", ".join(f"{count:,} {action}" for action, count in tally.actions.most_common())
        messages.print(f"From {span[0]:%Y-%m-%d %H:%M} to {span[1]:%Y-%m-%d %H:%M} UTC: {told}.", markup=False)
    warnings = [
        f"{each} Look at these rows: what is recommended depends on when events happened." for each in tally.outliers()
    ]
    warnings += [
        f"{count:,} rows have the id {word!r}: a program's word for nothing?" for word, count in tally.nulls.items()
    ]
    warnings += [
        f"The attribute {each} Filters go by what most are (`lemo scenarios attributes`)." for each in tally.mixed()
    ]
    for text in problems + warnings:
        messages.print(text, style="yellow", markup=False)
