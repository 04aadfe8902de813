"""The dependency report, as table, Markdown and JSON."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Literal

from pydantic import BaseModel, ConfigDict
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from lemo.diagnostics.dependencies import Dependency, Service

State = Literal["ok", "warning", "missing", "absent"]
"""`absent`: optional, and not set up or without data."""

_MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "missing": ("✗", "red"), "absent": ("–", "dim")}


class Finding(BaseModel):
    """The result of a probe of one dependency: its state, what answered, and a hint with the exact command."""

    model_config = ConfigDict(frozen=True)

    state: State
    version: str = ""
    latency_ms: float | None = None
    """Milliseconds from the request to the answer, with the connection."""
    detail: str = ""
    cause: str = ""
    """The detail without the name of the probe, so that findings with one cause are equal."""
    hint: str = ""


class Row(Finding):
    """One row of the report: a finding, for one of the services that need it."""

    service: Service
    dependency: Dependency
    required: bool
    without: str
    """What stops without the dependency."""

    @property
    def fatal(self) -> bool:
        """Whether the service cannot work because of this row."""
        return self.required and self.state == "missing"


@dataclass(frozen=True, slots=True)
class Problem:
    """One cause, with all rows that it affects."""

    rows: tuple[Row, ...]

    @property
    def finding(self) -> Finding:
        """The finding, which is the same for all rows."""
        return self.rows[0]

    @property
    def headline(self) -> str:
        """What is unavailable, and why."""
        away = list(dict.fromkeys(row.dependency.value for row in self.rows))
        return self.finding.detail if len(away) == 1 else f"{'; '.join(away)}: {self.finding.cause}"

    def stops(self) -> Iterator[tuple[Service, str]]:
        """What stops, for each affected service."""
        for service in Service:
            stopped = [row.without for row in self.rows if row.service is service]
            if stopped:
                yield service, " ".join(stopped)


class Report(BaseModel):
    """The whole report, in the order of the services."""

    checked_at: datetime
    seconds: float
    rows: list[Row]

    @property
    def ok(self) -> bool:
        """Whether every required dependency is available."""
        return not any(row.fatal for row in self.rows)

    @property
    def exit_code(self) -> int:
        """0 when every required dependency is available, else 1."""
        return 0 if self.ok else 1

    def exit_code_if(self, strict: bool) -> int:
        """As `exit_code`, but 3 where `strict` and a row is a warning or missing."""
        weak = any(row.state in ("warning", "missing") for row in self.rows)
        return self.exit_code or (3 if strict and weak else 0)

    def problems(self) -> Iterator[Problem]:
        """Each problem once, with the rows that it affects; the worst first."""
        away = [row for row in self.rows if row.state in ("warning", "missing")]
        order = {dependency: place for place, dependency in enumerate(Dependency)}

        causes: dict[tuple[bool, str, str], list[Row]] = {}
        for row in sorted(away, key=lambda row: (row.state == "warning", order[row.dependency])):
            causes.setdefault(
                (row.state == "warning", row.cause or f"{row.dependency}: {row.detail}", row.hint), []
            ).append(row)
        for suffering in causes.values():
            yield Problem(tuple(suffering))

    def summary(self) -> str:
        """The state of the installation in one sentence."""
        missing = sorted({row.dependency.value for row in self.rows if row.fatal})
        if missing:
            return f"{len(missing)} required missing: {', '.join(missing)}."
        weak = sorted({row.dependency.value for row in self.rows if row.state in ("warning", "missing")})
        return f"Everything required is there; look at: {', '.join(weak)}." if weak else "Everything is there."


def as_json(report: Report) -> dict[str, object]:
    """The report as JSON values: every row with every field, and `ok`, `exit_code`, `summary`."""
    return {
        "ok": report.ok,
        "exit_code": report.exit_code,
        "summary": report.summary(),
        **report.model_dump(mode="json"),
    }


def _need(row: Row) -> str:
    return "required" if row.required else "optional"


def _milliseconds(row: Finding) -> str:
    return "" if row.latency_ms is None else f"{row.latency_ms:.0f}"


def as_table(report: Report) -> RenderableType:
    """The report for a terminal: a table, then each problem with its consequences and a hint."""
    table = Table(title="Lemo doctor", title_justify="left")
    for name in ("service", "dependency", "need", "state", "version"):
        table.add_column(name, overflow="fold")
    table.add_column("ms", justify="right")
    for service, rows in groupby(report.rows, key=lambda row: row.service):
        for place, row in enumerate(rows):
            mark, colour = _MARKS[row.state]
            table.add_row(
                Text(service.value if place == 0 else "", style="bold"),
                row.dependency.value,
                _need(row),
                Text(f"{mark} {row.state}", style=colour),
                escape(row.version),
                _milliseconds(row),
            )
        table.add_section()
    lines: list[RenderableType] = [table]
    for problem in report.problems():
        mark, colour = _MARKS[problem.finding.state]
        lines.append(Text(f"\n{mark} {problem.headline}", style=colour))
        lines.extend(Text(f"  {service.value}: {stops}", style="dim") for service, stops in problem.stops())
        if problem.finding.hint:
            lines.append(Text(f"  fix: {problem.finding.hint}", style="bold"))
    lines.append(Text(f"\n{report.summary()}", style="green" if report.ok else "red"))
    return Group(*lines)


def as_markdown(report: Report) -> str:
    """The report as a Markdown document, to be pasted into an issue."""

    def cell(text: str) -> str:
        return text.replace("|", "\\|").replace("\n", " ")

    names = ("service", "dependency", "need", "state", "version", "ms", "found", "without it", "hint")
    lines = [
        "# Lemo doctor",
        "",
        f"{report.checked_at:%Y-%m-%d %H:%M:%S} UTC: {report.summary()}",
        "",
        f"| {' | '.join(names)} |",
        f"|{'---|' * len(names)}",
    ]
    for row in report.rows:
        cells = (
            row.service.value,
            row.dependency.value,
            _need(row),
            f"{_MARKS[row.state][0]} {row.state}",
            row.version,
            _milliseconds(row),
            row.detail,
            row.without,
            row.hint,
        )
        lines.append(f"| {' | '.join(cell(text) for text in cells)} |")
    return "\n".join(lines) + "\n"
