"""The schedule in words: when each job runs and how it went; edit, pause, resume, run now."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

from nicegui import ui

from lemo.console.acting import Actor, in_thread
from lemo.console.formats import ago, stamp, took
from lemo.console.jobs.reading import ShownRow, concerned_by_row, concerned_by_run, schedule_rows
from lemo.console.language import language, t
from lemo.console.navigation import address
from lemo.console.panels import Panel, panel
from lemo.console.queries import Queries, attempt
from lemo.console.sentences import told
from lemo.console.stats import sparkline
from lemo.console.tables import cell, table, td, tr
from lemo.console.theme import BAD, COLOURS, WEAK, badge, nothing, outcome_words
from lemo.domain.errors import LemoError
from lemo.scheduling.crontab import next_times
from lemo.scheduling.crontab_words import in_words
from lemo.scheduling.overview import ScheduleRow
from lemo.scheduling.service import ScheduleResult, ScheduleService, run_now
from lemo.stores.documents.schedules import Setting

REFRESH_SECONDS = 5.0
LATE = timedelta(minutes=2)
TITLES_ZH = {
    "train-model-daily": "训练并评估模型",
    "compute-item-similarity-hourly": "相似物品",
    "update-user-profiles-2hours": "用户画像",
    "precompute-recommendations-4hours": "活跃用户的推荐",
    "cleanup-expired-cache-daily": "清理过期数据",
    "embed-items": "新物品的内容向量",
    "aggregate-realtime-minutely": "会话、分钟指标、热度",
    "check-experiments-hourly": "实验的护栏与漂移",
}


class ScheduleTable:
    """The schedule of a tenant, or of one scenario, in a section of its page."""

    def __init__(self, queries: Queries, actor: Actor, scenario: str) -> None:
        self._queries = queries
        self._actor = actor
        self._scenario = scenario
        self._tenant_id = actor.visitor.tenant_id
        self._service = ScheduleService(queries.stores, self._tenant_id, actor.visitor.by)
        self._edited: ScheduleRow | None = None
        self._panel: Panel[list[ShownRow]] = panel(
            t("Schedule", "定时任务"),
            lambda: schedule_rows(queries.stores, self._tenant_id, scenario),
            self._draw,
            every=REFRESH_SECONDS,
            height=280,
        )
        with actor.host:
            self._build_dialog()

    def _draw(self, rows: list[ShownRow]) -> None:
        names = (
            t("Job", "任务"),
            t("When", "时间"),
            t("Last run", "上次"),
            t("Took", "用时"),
            t("Next run", "下次"),
            "",
        )
        with table(names):
            for shown in rows:
                self._row(shown)
        if not self._scenario and not self._service.may_change_defaults:
            nothing(
                t(
                    "These times hold for all tenants. Choose a scenario to change its own.",
                    "这些时间对所有租户生效。选择场景以修改其自己的时间。",
                )
            )

    def _row(self, shown: ShownRow) -> None:
        row = shown.row
        with tr().mark("entry"):
            with td():
                ui.link(title_of(row), address("/jobs", scenario=row.scenario_id, entry=row.entry)).classes("lemo-link")
                with ui.row().classes("items-center gap-2 lemo-muted lemo-small"):
                    ui.label(row.entry)
                    if row.scenario_id and not self._scenario:
                        ui.label(row.scenario_id).classes("lemo-label")
                    if row.own:
                        ui.label(t("own times", "单独设置")).classes("lemo-label")
            with td(), ui.column().classes("gap-0 items-start"):
                with ui.row().classes("items-center gap-2 flex-nowrap"):
                    ui.label(in_words(row.cron, language())).tooltip(row.cron)
                    if row.paused:
                        badge(t("paused", "已暂停"), WEAK)
                ui.label(row.timezone).classes("lemo-muted lemo-small")
            with td(), ui.column().classes("gap-0 items-start"):
                last_run(row)
            with td(), ui.column().classes("gap-0 items-start w-24"):
                ui.label(took(row.seconds)).classes("lemo-number")
                if len(shown.seconds) > 2:
                    sparkline(shown.seconds)
            cell(next_run(row), _next_means(row))
            with td("number"), ui.row().classes("gap-1 flex-nowrap justify-end"):
                self._buttons(row)

    def _buttons(self, row: ScheduleRow) -> None:
        if not self._actor.may():
            return
        if row.scenario_id or self._service.may_change_defaults:
            _button("edit", t("Edit", "编辑"), row).on_click(lambda: self._edit(row))
            if row.paused:
                _button("play_arrow", t("Resume", "恢复"), row).on_click(lambda: self._pause(row))
            else:
                _button("pause", t("Pause", "暂停"), row).on_click(lambda: self._pause(row))
        _button("bolt", t("Run now", "立即运行"), row).on_click(lambda: self._run(row))

    async def _pause(self, row: ScheduleRow) -> None:
        stores, paused = self._queries.stores, not row.paused
        count = await in_thread(lambda: attempt(lambda: concerned_by_row(stores, row.entry, row.scenario_id)))
        if not isinstance(count, LemoError) and count > 1:
            name = title_of(row)
            question = (
                t(f"Pause “{name}” for {count} scenarios?", f"为 {count} 个场景暂停“{name}”？")
                if paused
                else t(f"Resume “{name}” for {count} scenarios?", f"为 {count} 个场景恢复“{name}”？")
            )
            text = t(
                "It holds for every scenario of every tenant without times of its own.",
                "对所有租户中没有单独设置时间的场景生效。",
            )
            if not await self._actor.sure(question, text, t("Pause", "暂停") if paused else t("Resume", "恢复")):
                return
        await self._change(row, Setting(paused=paused))

    async def _run(self, row: ScheduleRow) -> None:
        stores, scenario = self._queries.stores, row.scenario_id
        count = await in_thread(lambda: attempt(lambda: concerned_by_run(stores, self._tenant_id, scenario)))
        if not isinstance(count, LemoError) and count > 1:
            name = title_of(row)
            question = t(f"Run “{name}” for {count} scenarios?", f"为 {count} 个场景运行“{name}”？")
            if not await self._actor.sure(
                question, t("One run is queued for each.", "每个场景排队一次运行。"), t("Run now", "立即运行")
            ):
                return
        await self._actor.do(
            lambda: run_now(stores, self._tenant_id, row.entry, scenario, self._actor.visitor.by),
            lambda runs: t(
                f"Queued for {len(runs)} scenario{'' if len(runs) == 1 else 's'}", f"已为 {len(runs)} 个场景排队"
            ),
        )
        await self._panel.renew()

    async def _change(self, row: ScheduleRow, setting: Setting) -> bool:
        saved, same = t("Saved", "已保存"), t("It was so already", "没有变化")

        def told(result: ScheduleResult) -> str:
            return result.note or (saved if result.change else same)

        result = await self._actor.do(lambda: self._service.change(row.entry, row.scenario_id, setting), told)
        await self._panel.renew()
        return not isinstance(result, LemoError)

    def _build_dialog(self) -> None:
        """The form of an entry's times."""
        with ui.dialog() as self._dialog, ui.card().classes("w-full max-w-md gap-3"):
            self._title = ui.label().classes("text-lg font-semibold break-words")
            self._for = ui.label().classes("lemo-muted text-sm")
            self._cron = (
                ui.input(t("Crontab", "时间表达式"), on_change=self._preview)
                .props("outlined dense autocomplete=off")
                .classes("w-full font-mono")
            )
            self._cron.props["hint"] = t("minute hour day-of-month month day-of-week", "分 时 日 月 星期")
            self._zone = (
                ui.select(
                    sorted(available_timezones()),
                    label=t("Time zone", "时区"),
                    with_input=True,
                    on_change=self._preview,
                )
                .props("outlined dense")
                .classes("w-full")
            )
            self._words = ui.label().classes("font-medium").mark("words")
            self._next = ui.label().classes("lemo-muted text-sm whitespace-pre-line").mark("preview")
            with ui.row().classes("w-full justify-end gap-2"):
                ui.button(t("Reset", "还原"), on_click=self._reset).props("flat no-caps color=secondary").tooltip(
                    t("Forget all changes of this row", "撤销此行的全部修改")
                )
                ui.space()
                ui.button(t("Cancel", "取消"), on_click=self._dialog.close).props("flat no-caps color=secondary")
                self._save_button = ui.button(t("Save", "保存"), on_click=self._save).props("unelevated no-caps")

    def _edit(self, row: ScheduleRow) -> None:
        self._edited = row
        self._title.text = title_of(row)
        self._for.text = (
            t(f"Scenario {row.scenario_id}", f"场景 {row.scenario_id}")
            if row.scenario_id
            else t("All scenarios of all tenants without times of their own", "所有租户中没有单独设置时间的场景")
        )
        self._cron.value, self._zone.value = row.cron, row.timezone
        self._preview()
        self._dialog.open()

    def _preview(self) -> None:
        """The words and the next times as they would be, or what is wrong."""
        cron, zone = self._cron.value or "", self._zone.value or ""
        try:
            moments = next_times(cron, zone, 3)
            self._words.text = in_words(cron, language())
        except LemoError as error:
            self._words.text, self._next.text, colour = "", told(error), BAD
        else:
            colour = "var(--muted)"
            self._next.text = t("Next: ", "下次：") + "\n".join(
                f"{moment.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M %z} · {ago(moment)}" for moment in moments
            )
        self._next.style(f"color:{colour}")
        self._save_button.set_enabled(colour != BAD)

    async def _save(self) -> None:
        row = self._edited
        if row:
            # Only what was edited: the rest goes on following what it follows.
            cron = None if self._cron.value == row.cron else self._cron.value
            zone = None if self._zone.value == row.timezone else self._zone.value
            if (cron is None and zone is None) or await self._change(row, Setting(cron=cron, timezone=zone)):
                self._dialog.close()

    async def _reset(self) -> None:
        if self._edited and await self._change(self._edited, Setting(reset=True)):
            self._dialog.close()


def title_of(row: ScheduleRow) -> str:
    """What the job does, in the language of the page."""
    return t(row.title, TITLES_ZH.get(row.entry, row.title))


def last_run(row: ScheduleRow) -> None:
    """When the last run was and how it went, with its progress while it is at work."""
    with ui.row().classes("items-center gap-2 flex-nowrap"):
        if row.run_id:
            ui.link(ago(row.last_run), address("/jobs", run=row.run_id)).classes("lemo-link whitespace-nowrap").tooltip(
                stamp(row.last_run)
            )
        else:
            ui.label(ago(None)).classes("lemo-muted")
        if row.outcome:
            badge(outcome_words(row.outcome), COLOURS[row.outcome])
    if row.outcome == "running" and row.progress.total:
        bar = ui.linear_progress(min(row.progress.done / row.progress.total, 1), show_value=False)
        bar.classes("w-24 mt-1").props["aria-label"] = t("Progress", "进度")
    if row.failing and not row.scenario_id:
        ui.label(t(f"failing: {', '.join(row.failing)}", f"失败：{'、'.join(row.failing)}")).classes(
            "lemo-small break-words"
        ).style(f"color:{BAD}")


def next_run(row: ScheduleRow) -> str:
    """When an entry is started next, in words."""
    if row.paused:
        return "–"
    if row.next_run is None:
        return t("when beat runs", "待调度器运行")
    if row.next_run < datetime.now(UTC) - LATE:
        return t("late: is beat running?", "已延迟：调度器在运行吗？")
    return ago(row.next_run) if row.next_run > datetime.now(UTC) else t("now", "现在")


def _next_means(row: ScheduleRow) -> str:
    if row.next_run:
        return stamp(row.next_run)
    return t("Paused", "已暂停") if row.paused else t("Beat has not taken it up", "调度器尚未接收")


def _button(icon: str, text: str, row: ScheduleRow) -> ui.button:
    button = ui.button(icon=icon).props("flat round dense color=secondary").tooltip(text)
    button.props["aria-label"] = f"{text}: {row.entry}"
    return button
