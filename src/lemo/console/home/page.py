"""The first page, put together."""

import asyncio
from collections.abc import Sequence

from nicegui import ui

from lemo.console.access import Access, framed
from lemo.console.formats import ago, stamp, took, whole
from lemo.console.health import Health
from lemo.console.home.activity import SHOWN, scenario_activity
from lemo.console.home.attention import Attention
from lemo.console.home.reads import HomeReads, RunLine, ScenarioCounts
from lemo.console.home.services import draw_services
from lemo.console.language import t
from lemo.console.navigation import address
from lemo.console.panels import Panel, panel
from lemo.console.queries import Queries
from lemo.console.stored import stored_label
from lemo.console.tables import cell, table, td, tr
from lemo.console.theme import (
    BAD,
    COLOURS,
    QUIET,
    badge,
    empty,
    heading,
    nothing,
    outcome_words,
    section,
    trouble,
)
from lemo.console.visitor import Visitor
from lemo.domain.errors import LemoError
from lemo.domain.scope import Scope
from lemo.streams.lag import Lag

EVERY = 10.0
"""Seconds between two readings of a panel."""


async def home_page(queries: Queries, health: Health, access: Access) -> None:
    """Draws the first page for whoever asks."""
    opened = await access.opened("/")
    if opened is not None:
        visitor, scenarios = opened
        with framed("/", visitor):
            _build(queries, health, visitor, scenarios)


def _build(queries: Queries, health: Health, visitor: Visitor, scenarios: Sequence[str]) -> None:
    reads = HomeReads(queries, visitor.tenant_id)
    if not scenarios:
        with section():
            empty(
                "add_circle",
                t("Begin with a scenario", "从一个场景开始"),
                t(
                    "A scenario is one place where items are recommended, such as a shop's home page.",
                    "场景是推荐物品的一个位置，例如商店首页。",
                ),
                "lemo scenarios create shop --template ecommerce",
            )
    Attention(reads, health, EVERY)
    turn = asyncio.Semaphore(2)
    for scenario in scenarios[:SHOWN]:
        scenario_activity(queries, Scope(visitor.tenant_id, scenario), turn)
    with ui.element("div").classes("grid grid-cols-1 lg:grid-cols-2 gap-4 w-full items-start"):
        with ui.column().classes("gap-4 min-w-0"):
            with section():
                _scenarios_head(reads)
                Panel(reads.scenarios, _scenarios, every=EVERY, height=120)
            panel(t("Services", "服务状态"), health.report, draw_services, every=EVERY, height=56)
        with section():
            with ui.row().classes("w-full items-center justify-between"):
                heading(t("Last runs", "最近运行"))
                if jobs := address("/jobs"):
                    ui.link(t("All jobs", "全部任务"), jobs).classes("lemo-link")
            Panel(reads.runs, _runs, every=EVERY, height=120)


def _scenarios_head(reads: HomeReads) -> None:
    def draw(lag: Lag) -> None:
        words = t(f"Ingest: {lag}", f"数据接入：{_lag(lag.messages)}")
        label = ui.label(words).classes("lemo-muted lemo-small")
        label.tooltip(t("Messages that the consumers have not taken in", "消费者尚未处理的消息"))

    with ui.row().classes("w-full items-center justify-between"):
        heading(t("Scenarios", "推荐场景"))
        Panel(reads.lag, draw, every=EVERY, height=0, classes="w-auto")


def _lag(messages: int) -> str:
    return f"{messages:,} 条消息待处理" if messages else "已同步"


def _scenarios(found: tuple[list[ScenarioCounts], LemoError | None]) -> None:
    scenarios, away = found
    names = (
        t("Scenario", "场景"),
        t("Items", "物品"),
        t("Users", "用户"),
        t("Events", "行为"),
        t("Newest", "最新行为"),
    )
    with table(names, numbers=(1, 2, 3)):
        for each in scenarios:
            with tr():
                with td(), ui.row().classes("items-center gap-2"):
                    ui.link(each.scenario_id, _scenario_address(each.scenario_id)).classes("lemo-link")
                    ui.label(each.template).classes("lemo-label")
                for count in (each.items, each.users, each.events):
                    cell(whole(count), number=True)
                cell(ago(each.newest) if each.newest else "–", stamp(each.newest))
    if away:
        trouble(away)


def _scenario_address(scenario: str) -> str:
    return address("/scenario", scenario=scenario) or address("/explore", scenario=scenario)


def _runs(lines: Sequence[RunLine]) -> None:
    if not lines:
        nothing(
            t(
                "No job has run yet. Start one: lemo jobs run train-model-daily --wait",
                "尚无运行记录。启动：lemo jobs run train-model-daily --wait",
            )
        )
        return
    names = (t("Job", "任务"), t("State", "状态"), t("When", "时间"), t("Took", "用时"), t("Rows", "行数"))
    with table(names, numbers=(3, 4)):
        for line in lines:
            _run(line)


def _run(line: RunLine) -> None:
    run = line.run
    with tr().mark("run"):
        with td(), ui.column().classes("gap-0"):
            with ui.row().classes("items-center gap-2"):
                to = address("/jobs", run=run.run_id)
                ui.link(run.entry, to).classes("lemo-link")
                if line.count > 1:
                    badge(f"×{line.count}", QUIET)
            ui.label(run.scenario_id).classes("lemo-muted lemo-small")
            if run.error:
                stored_label(run.error, "lemo-small break-words").style(f"color:{BAD}")
        with td():
            badge(outcome_words(run.outcome), COLOURS.get(run.outcome, QUIET))
            if run.outcome == "running" and run.progress.total:
                bar = ui.linear_progress(run.progress.done / run.progress.total, show_value=False)
                bar.classes("w-24 mt-1").props["aria-label"] = t("Progress", "进度")
        cell(ago(run.queued_at), stamp(run.queued_at))
        cell(took(run.seconds), number=True)
        cell(whole(line.rows), number=True)
