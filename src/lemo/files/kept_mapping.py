"""Between a scenario's named mappings and what a person says about a file."""

from collections.abc import Sequence
from typing import Literal

from lemo.domain.errors import InvalidInput
from lemo.domain.file_mapping import FileMapping
from lemo.files.plan import Plan, Wishes


def wishes_of_mapping(name: str, mapping: FileMapping, kind: str) -> Wishes:
    """What a mapping says; raises InvalidInput for one of the other kind."""
    if mapping.kind != kind:
        raise InvalidInput(
            f"The mapping {name!r} is one of {mapping.kind}.",
            f"Import with `lemo import {mapping.kind}`, or give {kind} a mapping of another name.",
        )
    return Wishes(
        fields=mapping.fields,
        action=mapping.action,
        words=mapping.words,
        no_time=mapping.no_time,
        order=mapping.date_order,
        encoding=mapping.encoding,
        delimiter=mapping.delimiter,
        kept=True,
    )


def mapping_of(
    kind: Literal["items", "events"], plan: Plan, wishes: Wishes, leave_out: Sequence[str] = ()
) -> FileMapping:
    """The mapping by which a file is read: what was said about it, and what was guessed.

    Rows of a known public layout are recognised again; nothing of them is kept. Raises InvalidInput for names that
    are too long to keep.
    """
    fields = dict(wishes.fields) if plan.layout is not None or plan.listed else dict(plan.fields)
    action = wishes.action
    if not action and plan.layout is None and not plan.listed:
        action = str(plan.constants.get("action", ""))
    try:
        return FileMapping(
            kind=kind,
            fields=fields,
            action=action,
            words={**plan.actions, **wishes.words},
            no_time=wishes.no_time,
            date_order=plan.order or wishes.order,
            encoding=wishes.encoding,
            delimiter=wishes.delimiter,
            leave_out=list(leave_out),
        )
    except ValueError as error:
        raise InvalidInput(
            f"This mapping cannot be kept: {error}", "Rename the column, or import without a name."
        ) from error
