"""`lemo analytics`: what a scenario answered, and what followed."""

import csv
import sys
from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lemo.cli.output import Format, Row, ScenarioOption, show, show_json
from lemo.cli.session import open_scenario
from lemo.domain.errors import InvalidInput

if TYPE_CHECKING:
    from lemo.analytics.report import PartReport, Report


class By(StrEnum):
    """What each row over time is."""

    hour = "hour"
    day = "day"


class Group(StrEnum):
    """What numbers are grouped by."""

    placement = "placement"
    position = "position"
    category = "category"
    device = "device"
    source = "source"
    kind = "kind"
    model = "model"
    pipeline = "pipeline"
    arm = "arm"


class Form(StrEnum):
    """How the numbers are printed."""

    table = "table"
    json = "json"
    csv = "csv"


SIDE_BY_SIDE = (
    "requests",
    "events",
    "users",
    "impressions",
    "clicks",
    "ctr",
    "ctr_of_first",
    "conversions",
    "conversion_rate",
    "value",
)
"""Numbers that fit beside each other; JSON and CSV have all."""


def analytics(
    scenario: ScenarioOption,
    since: Annotated[
        str | None,
        typer.Option("--from", help="Begin, ISO 8601; by default the start of the day a week before the end."),
    ] = None,
    until: Annotated[str | None, typer.Option("--to", help="End, itself outside; by default now.")] = None,
    by: Annotated[By | None, typer.Option(help="Show numbers over time: of each hour or day.")] = None,
    group: Annotated[Group | None, typer.Option(help="Group the numbers by this.")] = None,
    timezone: Annotated[
        str | None, typer.Option(help="Zone of hours and days, in place of the scenario's; it takes longer.")
    ] = None,
    format: Annotated[
        Form, typer.Option("--format", help="A table for people, JSON or CSV for programs.")
    ] = Form.table,
) -> None:
    """Show what was answered and what followed, e.g. `lemo analytics --scenario shop --by day --group placement`.

    Attributed numbers are of answers and of the events that followed from them, direct ones of all events.
    """
    from lemo.analytics.report import report

    stores, scope = open_scenario(scenario)
    found = report(
        stores,
        scope,
        _moment("from", since),
        _moment("to", until),
        by.value if by else "day",
        group.value if group else None,
        timezone,
    )
    if format is Form.json:
        show_json(found.model_dump(mode="json"))
    elif format is Form.csv:
        _write_csv(found)
    else:
        _show("Attributed", found, found, found.definitions["attributed"], by is not None)
        _show("Direct", found, found.direct, found.definitions["direct"], by is not None)


def _moment(name: str, text: str | None) -> datetime | None:
    from pydantic import TypeAdapter, ValidationError

    from lemo.domain.reasons import reason
    from lemo.domain.time import Timestamp

    try:
        return None if text is None else TypeAdapter(Timestamp).validate_python(text)
    except ValidationError as error:
        raise InvalidInput(f"--{name}: {reason(error)}.", "Write it as 2026-11-01 or 2026-11-01T12:00:00Z.") from error


def _show(name: str, found: "Report", part: "PartReport", means: dict[str, str], over_time: bool) -> None:
    title = f"{name}, {found.since:%Y-%m-%d %H:%M} to {found.until:%Y-%m-%d %H:%M} ({found.timezone})"
    totals: list[Row] = [
        {"number": number, "value": value, "change": _share(part.change[number]), "meaning": means[number]}
        for number, value in part.totals.items()
    ]
    if not over_time and not found.group:
        show(totals, Format.table, title)
        return
    columns = [number for number in SIDE_BY_SIDE if number in means]
    for what, rows in ((found.by, part.series if over_time else []), (str(found.group), part.groups)):
        if rows:
            lines: list[Row] = [{what: row.key, **{number: row.values[number] for number in columns}} for row in rows]
            show([*lines, {what: "all", **{number: part.totals[number] for number in columns}}], Format.table, title)


def _share(change: float | None) -> str:
    return "" if change is None else f"{change:+.1%}"


def _write_csv(found: "Report") -> None:
    """Rows over time, of groups and of the total, attributed before direct; cells of the other part are empty."""
    numbers = list({**found.definitions["attributed"], **found.definitions["direct"]})
    out = csv.writer(sys.stdout)
    out.writerow(["counted", "row", "key", *numbers, *(f"{number}_change" for number in numbers)])
    for counted, part in (("attributed", found), ("direct", found.direct)):
        for kind, key, values, change in _rows(found, part):
            out.writerow(
                [
                    counted,
                    kind,
                    key,
                    *(values.get(number) for number in numbers),
                    *((change or {}).get(number) for number in numbers),
                ]
            )


def _rows(found: "Report", part: "PartReport") -> Iterator[tuple[str, str, dict[str, Any], dict[str, Any] | None]]:
    for row in part.series:
        yield found.by, row.key.isoformat() if isinstance(row.key, datetime) else row.key, row.values, row.change
    for row in part.groups:
        yield str(found.group), str(row.key), row.values, row.change
    yield "total", "", part.totals, part.change
