"""The services and engines as small marks, each with what it said."""

from nicegui import ui

from lemo.console.home.causes import CAUSES
from lemo.console.home.problems import SHOWN, STATES, VERSIONED
from lemo.console.language import t
from lemo.console.phrases import Phrases
from lemo.console.theme import COLOURS, dot
from lemo.diagnostics.dependencies import Dependency
from lemo.diagnostics.doctor import states
from lemo.diagnostics.report import Finding, Report

_VERSIONS = Phrases([(r"(.+), schema (\d+)", "{0}，表结构 {1}")])


def draw_services(report: Report) -> None:
    """A mark for each service and engine; words on hover and focus."""
    found = states(report, Dependency)
    with ui.row().classes("w-full gap-x-5 gap-y-2"):
        for dependency, words in SHOWN.items():
            _mark(t(*words), found[dependency], dependency in VERSIONED)


def _mark(name: str, finding: Finding, versioned: bool) -> None:
    state = t(*STATES[finding.state])
    with ui.row().classes("items-center gap-2 flex-nowrap").props("tabindex=0").mark("service"):
        dot(COLOURS[finding.state])
        ui.label(name)
        # Not by the colour alone: what is not fine says so.
        text = state
        if finding.state == "ok":
            text = t(finding.version, _VERSIONS.chinese(finding.version) if versioned else state)
        ui.label(text).classes("lemo-muted lemo-small")
        troubled = finding.state in ("warning", "missing")
        cause = CAUSES.chinese(finding.cause or finding.detail) if troubled else ""
        chinese = f"{name}：{state}。{cause}"
        ui.tooltip(t(f"{name}: {state}. {finding.detail}", chinese))
