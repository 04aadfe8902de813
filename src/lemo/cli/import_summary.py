"""What `lemo import` tells at the end: what was taken, what was not and why, and what to do next."""

from typing import TYPE_CHECKING

from lemo.cli.output import Format, messages, show, show_json

if TYPE_CHECKING:
    from lemo.intake.import_outcome import Outcome


def show_summary(outcome: "Outcome", format: Format) -> None:
    """Prints it."""
    if format is Format.json:
        show_json(outcome.as_json())
        return
    show(outcome.files, format, "Import")
    if first := outcome.first_rejected:
        show(first, format, "First rejected rows")
    if len(reasons := outcome.reasons) > 1:
        by_reason = [{"rows": count, "reason": reason} for reason, count in reasons.most_common()]
        show(by_reason, format, "Rejected by reason")
    if outcome.repeated:
        messages.print(f"Of these rows {outcome.repeated:,} repeat the id of another one, and each id counts once.")
    if outcome.change is not None:
        messages.print(outcome.change.sentence, markup=False, highlight=False)
        if known := outcome.change.known(outcome.published) - outcome.repeated:
            messages.print(f"{known:,} of the events were there before, and count once.", highlight=False)
    tally = outcome.tally
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
    for text in outcome.problems + warnings:
        messages.print(text, style="yellow", markup=False)
