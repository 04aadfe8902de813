"""The first page: services, engines, scenarios, schedule and the newest runs.

It is long because a page is one nested description, read from top to bottom.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from nicegui import run, ui

from lemo.console.access import Access, framed
from lemo.console.health import Health
from lemo.console.queries import Overview, Queries, ScenarioCounts
from lemo.console.schedule import next_run
from lemo.console.theme import (
    COLOURS,
    QUIET,
    ago,
    badge,
    banner,
    cell,
    dot,
    heading,
    nothing,
    stamp,
    table,
    trouble,
)
from lemo.diagnostics.dependencies import Dependency
from lemo.diagnostics.doctor import states
from lemo.diagnostics.report import Finding, Report
from lemo.domain.errors import LemoError
from lemo.domain.run import Run
from lemo.scheduling.health import JobState

REFRESH_SECONDS = 10.0
TROUBLED_SHOWN = 8

_SERVICES = (
    (Dependency.api, "API", "接口"),
    (Dependency.worker, "Worker", "任务执行"),
    (Dependency.beat, "Beat", "定时调度"),
    (Dependency.consumer, "Consumer", "数据接入"),
    (Dependency.console, "Console", "控制台"),
)
_ENGINES = (
    (Dependency.cache, "Redis", "缓存"),
    (Dependency.durability, "Durability", "持久化"),
    (Dependency.documents, "Documents", "文档库"),
    (Dependency.log, "Ingest log", "消息日志"),
    (Dependency.events, "Events", "行为库"),
    (Dependency.vectors, "Vectors", "向量库"),
    (Dependency.embedding, "Embedding", "嵌入模型"),
    (Dependency.snapshots, "Snapshots", "模型快照"),
    (Dependency.home, "Disk", "磁盘"),
    (Dependency.clocks, "Clocks", "时钟"),
    (Dependency.flink, "Flink", "流计算"),
)
_PROCESS_WORDS = {"warning": "look at it", "missing": "not running"}
_WORDS = {"ok": "fine", "warning": "look at it", "missing": "not there", "absent": "not set up"}


class OverviewPage:
    """The overview of one visitor; it renews itself every ten seconds, and draws only what has changed."""

    def __init__(self, queries: Queries, health: Health, tenant_id: str) -> None:
        self._queries = queries
        self._health = health
        self._tenant_id = tenant_id
        self._report: Report | None = None
        self._overview: Overview | None = None
        self._asking = False

    def build(self) -> None:
        """Lays the page out and starts to fill it."""
        self.services()
        self.data()
        ui.timer(REFRESH_SECONDS, self.renew)

    async def renew(self) -> None:
        """Asks for everything anew, outside the event loop."""
        if self._asking:
            return
        self._asking = True
        try:
            # Each is drawn as soon as it is known: which engine hangs, and what the others tell.
            await asyncio.gather(self._renew_data(), self._renew_services())
        finally:
            self._asking = False

    async def _renew_data(self) -> None:
        overview = await run.io_bound(self._queries.overview, self._tenant_id)
        if overview is not None:
            self._overview = overview
            self.data.refresh()

    async def _renew_services(self) -> None:
        before, self._report = self._report, await self._health.report()
        if _essence(before) != _essence(self._report):
            # Drawing anew closes what the visitor has unfolded.
            self.services.refresh()

    @ui.refreshable_method
    def services(self) -> None:
        """State of services and engines, and what is amiss."""
        report = self._report
        with ui.element("section").classes("lemo-card w-full"):
            with ui.row().classes("items-center justify-between w-full mb-3"):
                heading("Services", "服务状态")
                if report:
                    weak = any(row.state == "warning" for row in report.rows)
                    word, state = ("All required fine", "ok") if report.ok else ("Something is missing", "missing")
                    badge(word, COLOURS["warning" if report.ok and weak else state])
            if report is None:
                with ui.row().classes("items-center gap-2"):
                    ui.spinner(size="sm")
                    nothing("Asking every service and engine ...")
                return
            found = states(report, Dependency)
            with ui.element("div").classes("grid grid-cols-2 sm:grid-cols-3 lg:grid-cols-5 gap-3 w-full"):
                for dependency, english, chinese in _SERVICES:
                    _service(english, chinese, found[dependency])
            with ui.element("div").classes(
                "grid grid-cols-1 sm:grid-cols-2 lg:grid-cols-4 gap-x-6 gap-y-2 w-full mt-4"
            ):
                for dependency, english, chinese in _ENGINES:
                    _engine(english, chinese, found[dependency])
        if report:
            self._problems(report)

    def _problems(self, report: Report) -> None:
        problems = list(report.problems())
        if not problems:
            return
        with ui.element("section").classes("lemo-card w-full"):
            heading("To fix", "待处理")
            for trouble in problems:
                with ui.expansion().classes("w-full lemo-trouble").props("dense dense-toggle") as expansion:
                    with expansion.add_slot("header"), ui.row().classes("items-center gap-3 flex-nowrap w-full"):
                        dot(COLOURS[trouble.finding.state])
                        ui.label(trouble.headline).classes("text-sm break-words min-w-0")
                    with ui.column().classes("gap-1 pb-2 pl-5 text-sm"):
                        for service, stops in trouble.stops():
                            ui.label(f"{service.value}: {stops}").classes("text-slate-600")
                        if trouble.finding.hint:
                            ui.label(trouble.finding.hint).classes("font-mono bg-slate-100 rounded px-2 py-1 break-all")

    @ui.refreshable_method
    def data(self) -> None:
        """Scenarios, schedule and runs."""
        overview = self._overview
        if overview is None:
            with ui.element("section").classes("lemo-card w-full"):
                ui.skeleton("text", width="30%")
                ui.skeleton(height="80px").classes("w-full mt-2")
            return
        _troubled(overview.troubled)
        _scenarios(overview)
        with ui.element("div").classes("grid grid-cols-1 lg:grid-cols-5 gap-4 w-full"):
            with ui.element("section").classes("lemo-card lg:col-span-2 min-w-0"):
                _schedule(overview)
            with ui.element("section").classes("lemo-card lg:col-span-3 min-w-0"):
                _runs(overview.runs)


def _essence(report: Report | None) -> object:
    """What of a report is worth drawing again; numbers that always change are not."""
    if report is None:
        return None
    return [(row.service, row.dependency, row.state, row.state != "ok" and row.detail) for row in report.rows]


def _service(english: str, chinese: str, finding: Finding) -> None:
    colour = COLOURS[finding.state]
    with ui.element("div").classes("rounded-lg border border-slate-200 p-3 min-w-0").tooltip(finding.detail):
        with ui.row().classes("items-center gap-2 flex-nowrap"):
            dot(colour)
            ui.label(english).classes("font-medium")
            ui.label(chinese).classes("lemo-zh !ml-0").props("lang=zh")
        text = finding.version if finding.state == "ok" else _PROCESS_WORDS[finding.state]
        ui.label(text).classes("text-sm mt-1 ellipsis").style(f"color:{colour}")


def _engine(english: str, chinese: str, finding: Finding) -> None:
    with ui.row().classes("items-center gap-2 flex-nowrap min-w-0 text-sm").tooltip(finding.detail):
        dot(COLOURS[finding.state])
        ui.label(english).classes("whitespace-nowrap")
        ui.label(chinese).classes("lemo-zh !ml-0 whitespace-nowrap").props("lang=zh")
        ui.space()
        ui.label(finding.version or _WORDS[finding.state]).classes("text-slate-500 ellipsis min-w-0")


def _scenarios(overview: Overview) -> None:
    with ui.element("section").classes("lemo-card w-full"):
        with ui.row().classes("items-center justify-between w-full"):
            heading("Scenarios", "推荐场景")
            if not isinstance(overview.lag, LemoError):  # the services report a log that does not answer
                with (
                    ui.row()
                    .classes("items-center gap-1 text-sm text-slate-500")
                    .tooltip(
                        "Messages of the ingest log that the consumers have not taken in, and the age of the oldest"
                    )
                ):
                    ui.label("Ingest")
                    ui.label("数据接入").classes("lemo-zh !ml-0").props("lang=zh")
                    ui.label(str(overview.lag)).classes("text-slate-700")
        if isinstance(overview.scenarios, LemoError):
            trouble(overview.scenarios)
            return
        if not overview.scenarios:
            nothing("There is no scenario yet. Make one: lemo scenarios create shop --template ecommerce")
            return
        names = (
            "Scenario 场景",
            "Items 物品",
            "Users 用户",
            "Events 行为",
            "Newest event 最新行为",
            "Dead letters 死信",
            "",
        )
        with table(names, numbers=(1, 2, 3, 5)):
            for scenario in overview.scenarios:
                _scenario(scenario)
    if overview.counting:
        trouble(overview.counting)


def _scenario(scenario: ScenarioCounts) -> None:
    with ui.element("tr"):
        with ui.element("td"), ui.row().classes("items-center gap-2"):
            ui.label(scenario.scenario_id).classes("font-medium")
            ui.label(scenario.template).classes("lemo-label")
        for count in (scenario.items, scenario.users, scenario.events):
            _number(count)
        cell(stamp(scenario.newest) or "–")
        _number(scenario.dead_letters)
        with ui.element("td"):
            ui.link("Explore 探索", f"/explore?scenario={scenario.scenario_id}").classes(
                "text-amber-700 whitespace-nowrap"
            )


def _troubled(states: Sequence[JobState] | LemoError) -> None:
    """Jobs that are overdue or fail; nothing at all where all is well."""
    if isinstance(states, LemoError) or not states:
        return  # the scenarios already report documents that do not answer
    with ui.element("section").classes("lemo-card w-full"):
        with ui.row().classes("items-center gap-3 mb-1"):
            heading("Jobs in trouble", "任务告警")
            for word, count in (
                ("overdue", sum(state.overdue for state in states)),
                ("failing", sum(state.failing for state in states)),
            ):
                if count:
                    badge(f"{count:,} {word}", COLOURS["failed" if word == "failing" else "warning"])
        for state in states[:TROUBLED_SHOWN]:
            _one_troubled(state)
        if len(states) > TROUBLED_SHOWN:
            nothing(f"and {len(states) - TROUBLED_SHOWN:,} more: lemo runs list --outcome failed")


def _one_troubled(state: JobState) -> None:
    with ui.element("div").classes("w-full py-2 border-b border-slate-100 last:border-0 text-sm min-w-0"):
        with ui.row().classes("items-center gap-x-3 gap-y-0 w-full"):
            dot(COLOURS["failed" if state.failing else "warning"])
            ui.label(state.entry).classes("font-medium break-words min-w-0")
            ui.label(state.scope.scenario_id).classes("lemo-label")
            ui.label(f"last success {ago(state.last_success)}").classes("text-slate-500").tooltip(
                stamp(state.last_success) or "never"
            )
            if state.overdue:
                ui.label("overdue").style(f"color:{COLOURS['warning']}").tooltip(
                    f"It should have succeeded by {stamp(state.overdue_at)}: twice its period"
                )
        with ui.column().classes("gap-1 pl-5"):
            if state.failing and state.last_ended:
                ui.label(state.last_ended.error).classes("text-xs break-words").style(f"color:{COLOURS['failed']}")
            ui.label(state.hint).classes("font-mono text-xs bg-slate-100 rounded px-2 py-1 break-all")


def _schedule(overview: Overview) -> None:
    with ui.row().classes("items-center justify-between w-full"):
        heading("Schedule", "定时任务")
        ui.link("Edit 编辑", "/schedule").classes("text-amber-700 text-sm")
    if isinstance(overview.schedule, LemoError):
        trouble(overview.schedule)
        return
    with ui.column().classes("w-full gap-0 mt-2"):
        for row in overview.schedule:
            with ui.element("div").classes("w-full py-2 border-b border-slate-100 last:border-0"):
                with ui.row().classes("items-center justify-between w-full flex-nowrap gap-2"):
                    with ui.row().classes("items-center gap-2 min-w-0"):
                        ui.label(row.entry).classes("text-sm font-medium break-words min-w-0")
                        if row.scenario_id:
                            ui.label(row.scenario_id).classes("lemo-label")
                    if row.paused:
                        badge("paused", COLOURS["warning"])
                    elif row.outcome:
                        badge(row.outcome, COLOURS[row.outcome])
                with ui.row().classes("text-xs text-slate-500 gap-x-3 gap-y-0"):
                    ui.label(row.cron).classes("font-mono").tooltip(f"minute hour day month weekday, {row.timezone}")
                    ui.label(f"last {ago(row.last_run)}").tooltip(stamp(row.last_run) or "never")
                    ui.label(f"next {next_run(row)}").tooltip(stamp(row.next_run) or "Beat has not taken it up")


def _runs(runs: Sequence[Run] | LemoError) -> None:
    heading("Last runs", "最近运行")
    if isinstance(runs, LemoError):
        trouble(runs)
        return
    if not runs:
        nothing("No job has run yet. Start one: lemo jobs run train-model-daily --wait")
        return
    with table(("Job 任务", "Scenario 场景", "State 状态", "Queued 排队", "Took 用时", "Rows 行数"), numbers=(4, 5)):
        for each in runs:
            _run(each)


def _run(each: Run) -> None:
    with ui.element("tr"):
        with ui.element("td"):
            ui.label(each.entry)
            if each.error:
                ui.label(each.error).classes("text-xs break-words").style(f"color:{COLOURS['failed']}")
            if each.outcome == "running" and each.progress.total:
                ui.linear_progress(each.progress.done / each.progress.total, show_value=False).classes("w-32")
        cell(each.scenario_id)
        with ui.element("td"):
            badge(each.outcome, COLOURS.get(each.outcome, QUIET))
        cell(ago(each.queued_at, datetime.now(UTC)), stamp(each.queued_at))
        cell("" if each.seconds is None else f"{each.seconds:,.1f} s", number=True)
        _number(each.rows_written)


def _number(count: int | None) -> None:
    cell("–" if count is None else f"{count:,}", number=True)


async def overview_page(queries: Queries, health: Health, access: Access) -> None:
    """Draws the overview for whoever asks."""
    try:
        visitor = await access.visitor()
    except LemoError as error:
        with framed("/", None):
            trouble(error)
            banner("The console starts to work as soon as the tenant exists.", "lemo up --detach", COLOURS["warning"])
        return
    if visitor is None:
        return
    with framed("/", visitor):
        page = OverviewPage(queries, health, visitor.tenant_id)
        page.build()
