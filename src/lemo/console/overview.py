"""The first page: services, engines, scenarios, schedule and the newest runs.

It is long because a page is one nested description, read from top to bottom.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from nicegui import run, ui

from lemo.console.access import Access, framed
from lemo.console.formats import ago, stamp
from lemo.console.health import Health
from lemo.console.language import t
from lemo.console.queries import Overview, Queries, ScenarioCounts
from lemo.console.schedule import next_run
from lemo.console.tables import cell, table, td, tr
from lemo.console.theme import BAD, COLOURS, QUIET, WEAK, badge, banner, dot, heading, nothing, outcome_words, trouble
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
_PROCESS_WORDS = {"warning": ("look at it", "请检查"), "missing": ("not running", "未运行")}
_WORDS = {
    "ok": ("fine", "正常"),
    "warning": ("look at it", "请检查"),
    "missing": ("not there", "不可用"),
    "absent": ("not set up", "未配置"),
}


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
                heading(t("Services", "服务状态"))
                if report:
                    weak = any(row.state == "warning" for row in report.rows)
                    word, state = (
                        (t("All required fine", "全部正常"), "ok")
                        if report.ok
                        else (t("Something is missing", "有组件缺失"), "missing")
                    )
                    badge(word, COLOURS["warning" if report.ok and weak else state])
            if report is None:
                with ui.row().classes("items-center gap-2"):
                    ui.spinner(size="sm")
                    nothing(t("Asking every service and engine ...", "正在检查服务与引擎……"))
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
            heading(t("To fix", "待处理"))
            for trouble in problems:
                with ui.expansion().classes("w-full lemo-trouble").props("dense dense-toggle") as expansion:
                    with expansion.add_slot("header"), ui.row().classes("items-center gap-3 flex-nowrap w-full"):
                        dot(COLOURS[trouble.finding.state])
                        ui.label(trouble.headline).classes("text-sm break-words min-w-0")
                    with ui.column().classes("gap-1 pb-2 pl-5 text-sm"):
                        for service, stops in trouble.stops():
                            ui.label(f"{service.value}: {stops}").classes("lemo-muted")
                        if trouble.finding.hint:
                            ui.label(trouble.finding.hint).classes("font-mono lemo-soft rounded px-2 py-1 break-all")

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
    with ui.element("div").classes("rounded-lg border lemo-line p-3 min-w-0").tooltip(finding.detail):
        with ui.row().classes("items-center gap-2 flex-nowrap"):
            dot(colour)
            ui.label(t(english, chinese)).classes("font-medium")
        text = finding.version if finding.state == "ok" else t(*_PROCESS_WORDS[finding.state])
        ui.label(text).classes("text-sm mt-1 ellipsis").style(f"color:{colour}")


def _engine(english: str, chinese: str, finding: Finding) -> None:
    with ui.row().classes("items-center gap-2 flex-nowrap min-w-0 text-sm").tooltip(finding.detail):
        dot(COLOURS[finding.state])
        ui.label(t(english, chinese)).classes("whitespace-nowrap")
        ui.space()
        ui.label(finding.version or t(*_WORDS[finding.state])).classes("lemo-muted ellipsis min-w-0")


def _scenarios(overview: Overview) -> None:
    with ui.element("section").classes("lemo-card w-full"):
        with ui.row().classes("items-center justify-between w-full"):
            heading(t("Scenarios", "推荐场景"))
            if not isinstance(overview.lag, LemoError):  # the services report a log that does not answer
                with (
                    ui.row()
                    .classes("items-center gap-1 text-sm lemo-muted")
                    .tooltip(
                        t(
                            "Messages that the consumers have not taken in, and the age of the oldest",
                            "消费者尚未处理的消息数，以及最旧一条的时间",
                        )
                    )
                ):
                    ui.label(t("Ingest", "数据接入"))
                    ui.label(str(overview.lag)).classes("")
        if isinstance(overview.scenarios, LemoError):
            trouble(overview.scenarios)
            return
        if not overview.scenarios:
            nothing(
                t(
                    "There is no scenario yet. Make one: lemo scenarios create shop --template ecommerce",
                    "尚无场景。创建：lemo scenarios create shop --template ecommerce",
                )
            )
            return
        names = (
            t("Scenario", "场景"),
            t("Items", "物品"),
            t("Users", "用户"),
            t("Events", "行为"),
            t("Newest event", "最新行为"),
            t("Dead letters", "死信"),
            "",
        )
        with table(names, numbers=(1, 2, 3, 5)):
            for scenario in overview.scenarios:
                _scenario(scenario)
    if overview.counting:
        trouble(overview.counting)


def _scenario(scenario: ScenarioCounts) -> None:
    with tr():
        with td(), ui.row().classes("items-center gap-2"):
            ui.label(scenario.scenario_id).classes("font-medium")
            ui.label(scenario.template).classes("lemo-label")
        for count in (scenario.items, scenario.users, scenario.events):
            _number(count)
        cell(stamp(scenario.newest) or "–")
        _number(scenario.dead_letters)
        with td():
            ui.link(t("Explore", "探索"), f"/explore?scenario={scenario.scenario_id}").classes(
                "lemo-link whitespace-nowrap"
            )


def _troubled(states: Sequence[JobState] | LemoError) -> None:
    """Jobs that are overdue or fail; nothing at all where all is well."""
    if isinstance(states, LemoError) or not states:
        return  # the scenarios already report documents that do not answer
    with ui.element("section").classes("lemo-card w-full"):
        with ui.row().classes("items-center gap-3 mb-1"):
            heading(t("Jobs in trouble", "任务告警"))
            for word, colour, count in (
                (t("overdue", "逾期"), WEAK, sum(state.overdue for state in states)),
                (t("failing", "失败"), BAD, sum(state.failing for state in states)),
            ):
                if count:
                    badge(f"{count:,} {word}", colour)
        for state in states[:TROUBLED_SHOWN]:
            _one_troubled(state)
        if len(states) > TROUBLED_SHOWN:
            nothing(
                t(
                    f"and {len(states) - TROUBLED_SHOWN:,} more: lemo runs list --outcome failed",
                    f"还有 {len(states) - TROUBLED_SHOWN:,} 个：lemo runs list --outcome failed",
                )
            )


def _one_troubled(state: JobState) -> None:
    with ui.element("div").classes("w-full py-2 border-b lemo-line last:border-0 text-sm min-w-0"):
        with ui.row().classes("items-center gap-x-3 gap-y-0 w-full"):
            dot(COLOURS["failed" if state.failing else "warning"])
            ui.label(state.entry).classes("font-medium break-words min-w-0")
            ui.label(state.scope.scenario_id).classes("lemo-label")
            ui.label(t(f"last success {ago(state.last_success)}", f"上次成功 {ago(state.last_success)}")).classes(
                "lemo-muted"
            ).tooltip(stamp(state.last_success) or t("never", "从未"))
            if state.overdue:
                ui.label(t("overdue", "逾期")).style(f"color:{COLOURS['warning']}").tooltip(
                    t(
                        f"It should have succeeded by {stamp(state.overdue_at)}: twice its period",
                        f"应在 {stamp(state.overdue_at)} 前成功（两个周期）",
                    )
                )
        with ui.column().classes("gap-1 pl-5"):
            if state.failing and state.last_ended:
                ui.label(state.last_ended.error).classes("text-xs break-words").style(f"color:{COLOURS['failed']}")
            ui.label(state.hint).classes("font-mono text-xs lemo-soft rounded px-2 py-1 break-all")


def _schedule(overview: Overview) -> None:
    with ui.row().classes("items-center justify-between w-full"):
        heading(t("Schedule", "定时任务"))
        ui.link(t("Edit", "编辑"), "/schedule").classes("lemo-link text-sm")
    if isinstance(overview.schedule, LemoError):
        trouble(overview.schedule)
        return
    with ui.column().classes("w-full gap-0 mt-2"):
        for row in overview.schedule:
            with ui.element("div").classes("w-full py-2 border-b lemo-line last:border-0"):
                with ui.row().classes("items-center justify-between w-full flex-nowrap gap-2"):
                    with ui.row().classes("items-center gap-2 min-w-0"):
                        ui.label(row.entry).classes("text-sm font-medium break-words min-w-0")
                        if row.scenario_id:
                            ui.label(row.scenario_id).classes("lemo-label")
                    if row.paused:
                        badge(t("paused", "已暂停"), WEAK)
                    elif row.outcome:
                        badge(outcome_words(row.outcome), COLOURS[row.outcome])
                with ui.row().classes("text-xs lemo-muted gap-x-3 gap-y-0"):
                    ui.label(row.cron).classes("font-mono").tooltip(
                        t(f"minute hour day month weekday, {row.timezone}", f"分 时 日 月 星期，{row.timezone}")
                    )
                    ui.label(t(f"last {ago(row.last_run)}", f"上次 {ago(row.last_run)}")).tooltip(
                        stamp(row.last_run) or t("never", "从未")
                    )
                    ui.label(t(f"next {next_run(row)}", f"下次 {next_run(row)}")).tooltip(
                        stamp(row.next_run) or t("Beat has not taken it up", "beat 尚未接收")
                    )


def _runs(runs: Sequence[Run] | LemoError) -> None:
    heading(t("Last runs", "最近运行"))
    if isinstance(runs, LemoError):
        trouble(runs)
        return
    if not runs:
        nothing(
            t(
                "No job has run yet. Start one: lemo jobs run train-model-daily --wait",
                "尚无运行记录。启动：lemo jobs run train-model-daily --wait",
            )
        )
        return
    with table(
        (
            t("Job", "任务"),
            t("Scenario", "场景"),
            t("State", "状态"),
            t("Queued", "排队"),
            t("Took", "用时"),
            t("Rows", "行数"),
        ),
        numbers=(4, 5),
    ):
        for each in runs:
            _run(each)


def _run(each: Run) -> None:
    with tr():
        with td():
            ui.label(each.entry)
            if each.error:
                ui.label(each.error).classes("text-xs break-words").style(f"color:{COLOURS['failed']}")
            if each.outcome == "running" and each.progress.total:
                ui.linear_progress(each.progress.done / each.progress.total, show_value=False).classes("w-32")
        cell(each.scenario_id)
        with td():
            badge(outcome_words(each.outcome), COLOURS.get(each.outcome, QUIET))
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
            banner(
                t("The console starts to work as soon as the tenant exists.", "租户创建后即可使用控制台。"),
                "lemo up --detach",
                WEAK,
            )
        return
    if visitor is None:
        return
    with framed("/", visitor):
        page = OverviewPage(queries, health, visitor.tenant_id)
        page.build()
