"""How a file is understood before anything of it is sent: its form, each field's column, the first rows."""

from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from lemo.files.plan import Wishes
from lemo.files.reading import Reading

SHOWN = 5
"""Rows that a dry run shows."""
READ = 1_000
"""Rows that a dry run reads."""


@dataclass(frozen=True, slots=True)
class Preview:
    """How one file is understood."""

    path: Path
    form: str
    names: list[str]
    """The file's columns."""
    columns: list[dict[str, str]]
    """For each field: where it comes from, and whether that was told, named so or guessed."""
    attributes: list[str]
    """Columns that become attributes."""
    notes: list[str]
    guessed: bool
    rows: list[dict[str, Any]] = field(default_factory=list)
    read: int = 0
    rejected: dict[str, int] = field(default_factory=dict)


def understood(reading: Reading[Any], wishes: Wishes) -> Preview:
    """How a file that was opened is understood; nothing more of it is read."""
    plan, table = reading.plan, reading.table
    columns = []
    if plan.layout is None:
        for name, column in plan.fields.items():
            how = "given" if name in wishes.fields else "guessed" if column != name else "named so"
            columns.append({"field": name, "from": f"column {column}", "how": how})
        for name, value in plan.constants.items():
            how = "guessed" if name in plan.guessed else "given"
            columns.append({"field": name, "from": f"always {value}", "how": how})
        for word, known in plan.actions.items():
            how = "given" if word in wishes.words else "guessed"
            columns.append({"field": "action", "from": f"the word {word}", "how": f"{how}: {known}"})
    taken = set(plan.fields.values()) | set(plan.fields)
    return Preview(
        path=table.path,
        form=f"{table.form}: {table.dialect.text}" if table.dialect else str(table.form),
        names=[name for name in table.names if name],
        columns=columns,
        attributes=[name for name in table.names if name and name not in taken],
        notes=list(plan.notes),
        guessed=bool(plan.guessed),
    )


def previewed(reading: Reading[Any], wishes: Wishes) -> Preview:
    """How a file is understood, with its first rows as they would be sent and why others would be rejected."""
    preview = understood(reading, wishes)
    for batch in islice(reading.batches(READ), 1):
        for model in batch[:SHOWN]:
            preview.rows.append(model.model_dump(mode="json", exclude_unset=True))
    preview.rejected.update(reading.rejects.reasons)
    return replace(preview, read=reading.read)
