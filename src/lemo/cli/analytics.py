"""`lemo analytics`: what a scenario answered, and what followed."""

import csv
import sys
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from lemo.cli.output import Format, Row, ScenarioOption, show, show_json
from lemo.cli.session import open_scenario
from lemo.domain.errors import InvalidInput

if TYPE_CHECKING:
    from lemo.analytics.report import Part, Report


class By(StrEnum):
    """What numbers are grouped by."""

    hour = "hour"
    day = "day"
    placement = "placement"
    position = "position"
    kind = "kind"
    model = "model"
    pipeline = "pipeline"


class Form(StrEnum):
    """How the numbers are printed."""

    table = "table"
    json = "json"
    csv = "csv"


IN_GROUPS = ("requests", "events", "users", "impressions", "clicks", "ctr", "conversions", "conversion_rate", "value")
"""Numbers that fit beside each other; JSON and CSV have all."""


def analytics(
    scenario: ScenarioOption,
    by: Annotated[By | None, typer.Option(help="Group the numbers by this; without it, totals alone.")] = None,
    since: Annotated[
        str | None, typer.Option(help="Begin, ISO 8601; by default the start of the day a week before the end.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="End, itself outside; by default now.")] = None,
    timezone: Annotated[str, typer.Option(help="Zone of hours and days, such as Asia/Shanghai.")] = "UTC",
    format: Annotated[
        Form, typer.Option("--format", help="A table for people, JSON or CSV for programs.")
    ] = Form.table,
) -> None:
    """Show what was answered and what followed, e.g. `lemo analytics --scenario shop --by placement`.

    Attributed numbers are of answers and of the events that carry their request ids, direct ones of all events.
    """
    from lemo.analytics.report import report

    stores, scope = open_scenario(scenario)
    found = report(stores, scope, _moment("since", since), _moment("until", until), by.value if by else None, timezone)
    if format is Form.json:
        show_json(found.model_dump(mode="json"))
    elif format is Form.csv:
        _write_csv(found)
    else:
        _show("Attributed", found, found.attributed)
        _show("Direct", found, found.direct)


def _moment(name: str, text: str | None) -> datetime | None:
    from pydantic import TypeAdapter, ValidationError

    from lemo.domain.reasons import reason
    from lemo.domain.time import Timestamp

    try:
        return None if text is None else TypeAdapter(Timestamp).validate_python(text)
    except ValidationError as error:
        raise InvalidInput(f"--{name}: {reason(error)}.", "Write it as 2026-11-01 or 2026-11-01T12:00:00Z.") from error


def _show(name: str, found: "Report", part: "Part") -> None:
    title = f"{name}, {found.since:%Y-%m-%d %H:%M} to {found.until:%Y-%m-%d %H:%M} ({found.timezone})"
    totals: list[Row] = [
        {
            "number": number,
            "value": value,
            "change": _share((part.totals.change or {})[number]),
            "meaning": part.definitions[number],
        }
        for number, value in part.totals.values.items()
    ]
    if not part.groups:
        show(totals, Format.table, title)
        return
    columns = [number for number in IN_GROUPS if number in part.definitions]
    show(
        [
            {str(found.by): row.group, **{number: row.values[number] for number in columns}}
            for row in [*part.groups, part.totals.model_copy(update={"group": "all"})]
        ],
        Format.table,
        title,
    )


def _share(change: float | None) -> str:
    return "" if change is None else f"{change:+.1%}"


def _write_csv(found: "Report") -> None:
    """Rows of groups, then of the total, attributed before direct; cells are empty for numbers of the other part."""
    numbers = list({**found.attributed.definitions, **found.direct.definitions})
    out = csv.writer(sys.stdout)
    out.writerow(["counted", "row", str(found.by or "group"), *numbers, *(f"{number}_change" for number in numbers)])
    for counted, part in (("attributed", found.attributed), ("direct", found.direct)):
        for row in [*part.groups, part.totals]:
            group = row.group.isoformat() if isinstance(row.group, datetime) else row.group
            change = row.change or {}
            out.writerow(
                [
                    counted,
                    "total" if row is part.totals else "group",
                    group,
                    *(row.values.get(number) for number in numbers),
                    *(change.get(number) for number in numbers),
                ]
            )
