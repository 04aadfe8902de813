"""How each scenario does: its numbers of the last week as tiles, each leading to Analytics."""

import asyncio
from datetime import UTC, datetime

from nicegui import ui

from lemo.console.analytics.figures import Trends, both_trends
from lemo.console.analytics.filters import Filters
from lemo.console.analytics.words import MEASURES, measure_means, measure_name, measured
from lemo.console.formats import compact, stamp
from lemo.console.language import t
from lemo.console.navigation import address
from lemo.console.panels import Panel
from lemo.console.queries import Queries
from lemo.console.stats import stat, stats
from lemo.console.theme import nothing, section
from lemo.domain.scope import Scope

TILES = ("requests", "ctr", "conversion_rate", "latency_p99_ms")
SHOWN = 4
"""Scenarios that have tiles; the table below names all."""


def scenario_activity(queries: Queries, scope: Scope, turn: asyncio.Semaphore) -> None:
    """The card of one scenario, which reads when it is its `turn`."""
    answers = Filters(scope.scenario_id)
    events = Filters(scope.scenario_id, part="events")

    with section():
        with ui.row().classes("w-full items-center justify-between gap-2"):
            with ui.element("h2").classes("text-base leading-6"):
                ui.label(scope.scenario_id)
            with ui.row().classes("items-center gap-3"):
                ui.label(t("last 7 days", "最近 7 天")).classes("lemo-muted lemo-small")
                ui.link(t("Analytics", "数据分析"), answers.address).classes("lemo-link")
                ui.link(t("Explore", "推荐探索"), address("/explore", scenario=scope.scenario_id)).classes("lemo-link")
        with ui.element("div").classes("w-full mt-3"):
            Panel(
                lambda: both_trends(queries.stores, scope, answers, datetime.now(UTC)),
                lambda found: _draw(found, answers, events),
                every=60.0,
                height=96,
                turn=turn,
            )


def _draw(found: tuple[Trends, Trends], answers: Filters, events: Filters) -> None:
    served, happened = found
    if not served.totals["requests"] and not happened.totals["events"]:
        text = t("No requests and no events in the last 7 days.", "最近 7 天没有请求和行为。")
        if happened.newest:
            text += t(f" The newest event is of {stamp(happened.newest)}.", f"最新行为在 {stamp(happened.newest)}。")
        nothing(text)
        return
    with stats("grid-cols-2 lg:grid-cols-5"):
        for name in TILES:
            _tile(served, name, answers)
        seconds = (happened.until - happened.since).total_seconds()
        rate = (happened.totals["events"] or 0) / seconds
        stat(
            t("Events a second", "每秒行为数"),
            compact(rate) if rate >= 1 else f"{rate:.2g}",
            change=happened.change.get("events"),
            better=None,
            course=happened.course("events"),
            means=t("Events of all actions, per second of the last 7 days.", "最近 7 天平均每秒的行为事件数。"),
            to=events.but(metric="events").address,
        )


def _tile(found: Trends, name: str, filters: Filters) -> None:
    stat(
        measure_name(name),
        measured(name, found.totals[name]),
        change=found.change.get(name),
        better=MEASURES[name].better,
        course=found.course(name),
        means=measure_means(name, found.definitions[name]),
        to=filters.but(metric=name).address,
    )
