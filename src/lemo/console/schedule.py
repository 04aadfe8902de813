"""The schedule: when each job runs and how it went; edit, pause, resume, run now; and who changed what.

It is long because a page is one nested description, read from top to bottom.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

from nicegui import run, ui
from nicegui.events import ValueChangeEventArguments

from lemo.console.access import Access, framed
from lemo.console.formats import ago, stamp
from lemo.console.language import chosen, language, t
from lemo.console.queries import Queries, attempt
from lemo.console.tables import cell, table, td, tr
from lemo.console.theme import BAD, COLOURS, GOOD, QUIET, WEAK, badge, heading, nothing, outcome_words, trouble
from lemo.console.visitor import Visitor
from lemo.domain.errors import LemoError
from lemo.scheduling.crontab import next_times
from lemo.scheduling.overview import ScheduleRow, schedule_overview
from lemo.scheduling.service import ScheduleService, run_now
from lemo.stores.documents.schedules import ScheduleChange, Setting

REFRESH_SECONDS = 5.0
CHANGES = 20
LATE = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the page shows."""

    rows: list[ScheduleRow] | LemoError
    changes: list[ScheduleChange] | LemoError


class SchedulePage:
    """The schedule of one visitor; it renews itself every five seconds."""

    def __init__(
        self, queries: Queries, access: Access, visitor: Visitor, scenarios: Sequence[str], scenario: str
    ) -> None:
        self._queries = queries
        self._access = access
        self._visitor = visitor
        self._tenant_id = visitor.tenant_id
        self._scenarios = list(scenarios)
        self._scenario = scenario
        self._service = ScheduleService(queries.stores, visitor.tenant_id, visitor.by)
        self._seen: _Seen | None = None
        self._edited: ScheduleRow | None = None

    def build(self) -> None:
        """Lays the page out and starts to fill it."""
        with ui.element("section").classes("lemo-card w-full"):
            with ui.row().classes("items-center justify-between w-full"):
                heading(t("Schedule", "定时任务"))
                ui.select(
                    {"": t("All scenarios", "全部场景"), **{name: name for name in self._scenarios}},
                    value=self._scenario,
                    label=t("Scenario", "场景"),
                    on_change=self._chose,
                ).props("outlined dense").classes("w-full sm:w-56")
            self.entries()
        with ui.element("section").classes("lemo-card w-full"):
            heading(t("Changes", "变更记录"))
            self.changes()
        self._build_dialog()
        ui.timer(REFRESH_SECONDS, self.renew)

    async def renew(self) -> None:
        """Reads everything anew, outside the event loop; what has not changed is not drawn again."""
        seen = await run.io_bound(self._look)
        if seen is None:
            return
        before, self._seen = self._seen, seen
        self.entries.refresh()
        if before is None or before.changes != seen.changes:
            self.changes.refresh()

    def _look(self) -> _Seen:
        return _Seen(
            attempt(lambda: schedule_overview(self._queries.stores, self._tenant_id, self._scenario)),
            attempt(lambda: self._service.history(scenario_id=self._scenario, limit=CHANGES)),
        )

    async def _chose(self, event: ValueChangeEventArguments[str]) -> None:
        self._scenario = event.value
        ui.navigate.history.replace("/schedule" + (f"?scenario={self._scenario}" if self._scenario else ""))
        self._seen = None
        await self.renew()

    @ui.refreshable_method
    def entries(self) -> None:
        """The entries, each with its buttons."""
        if self._seen is None:
            ui.skeleton(height="160px").classes("w-full mt-3")
            return
        if isinstance(self._seen.rows, LemoError):
            trouble(self._seen.rows)
            return
        names = (
            t("Job", "任务"),
            t("Times", "时间"),
            t("State", "状态"),
            t("Last run", "上次"),
            t("Took", "用时"),
            t("Next run", "下次"),
            "",
        )
        with table(names, numbers=(4,)):
            for row in self._seen.rows:
                self._entry(row)
        if not self._scenario and not self._service.may_change_defaults:
            nothing(
                t(
                    "These times hold for all tenants. Choose a scenario to change its own.",
                    "这些时间对所有租户有效。选择一个场景以修改其时间。",
                )
            )

    def _entry(self, row: ScheduleRow) -> None:
        with tr().mark("entry"):
            with td():
                ui.label(row.entry).classes("font-medium break-words")
                with ui.row().classes("items-center gap-2 text-xs lemo-muted"):
                    ui.label(row.title)
                    if row.scenario_id and not self._scenario:
                        ui.label(row.scenario_id).classes("lemo-label")
                    if row.own:
                        ui.label(t("own times", "单独设置")).classes("lemo-label")
            with td():
                ui.label(row.cron).classes("font-mono whitespace-nowrap")
                ui.label(row.timezone).classes("text-xs lemo-muted")
            with td():
                badge(t("paused", "已暂停") if row.paused else t("on", "启用"), WEAK if row.paused else GOOD)
            with td():
                _last(row)
            cell("" if row.seconds is None else f"{row.seconds:,.1f} s", number=True)
            cell(
                next_run(row),
                stamp(row.next_run)
                or (t("Paused", "已暂停") if row.paused else t("Beat has not taken it up", "beat 尚未接收")),
            )
            with td(), ui.row().classes("gap-1 flex-nowrap justify-end"):
                self._buttons(row)

    def _buttons(self, row: ScheduleRow) -> None:
        may_run = self._visitor.may("operator")
        may_change = may_run and (bool(row.scenario_id) or self._service.may_change_defaults)
        word = t("Resume", "恢复") if row.paused else t("Pause", "暂停")

        async def pause() -> None:
            await self._change(row, Setting(paused=not row.paused))

        for icon, text, action, allowed in (
            ("edit", t("Edit", "编辑"), lambda: self._edit(row), may_change),
            ("play_arrow" if row.paused else "pause", word, pause, may_change),
            ("bolt", t("Run now", "立即运行"), lambda: self._run(row), may_run),
        ):
            button: ui.button = ui.button(icon=icon, on_click=action).props("flat round dense color=secondary")
            button.props["aria-label"] = f"{text}: {row.entry}"
            button.tooltip(text)
            button.set_enabled(allowed)

    @ui.refreshable_method
    def changes(self) -> None:
        """The audit log."""
        changes = self._seen.changes if self._seen else []
        if isinstance(changes, LemoError):
            trouble(changes)
            return
        if not changes:
            nothing(t("Nobody has changed anything yet.", "尚无变更。"))
            return
        names = (
            t("Job", "任务"),
            t("When", "时间"),
            t("Who", "操作者"),
            t("What", "操作"),
            t("Before", "之前"),
            t("After", "之后"),
        )
        with table(names, numbers=()):
            for change in changes:
                with tr().mark("change"):
                    with td():
                        ui.label(change.entry)
                        ui.label(change.scenario_id or t("All scenarios", "全部场景")).classes("text-xs lemo-muted")
                    cell(ago(change.changed_at), stamp(change.changed_at))
                    with td():
                        ui.label(change.changed_by).classes("break-words")
                    cell(change.action)
                    cell(change.before.in_words())
                    cell(change.after.in_words())

    def _build_dialog(self) -> None:
        """The form of an entry's times."""
        with ui.dialog() as self._dialog, ui.card().classes("w-full max-w-md gap-3"):
            self._title = ui.label().classes("text-lg font-semibold break-words")
            self._for = ui.label().classes("text-sm lemo-muted")
            self._cron = (
                ui.input(t("Crontab", "时间表达式"), on_change=self._preview)
                .props("outlined dense autocomplete=off ")
                .props(f"hint='{t('minute hour day-of-month month day-of-week', '分 时 日 月 星期')}'")
                .classes("w-full font-mono")
            )
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
            self._next = ui.label().classes("text-sm lemo-muted whitespace-pre-line").mark("preview")
            with ui.row().classes("w-full justify-end gap-2"):
                ui.button(t("Reset", "还原"), on_click=self._reset).props("flat no-caps color=secondary").tooltip(
                    t("Forget all changes of this row", "撤销此任务的全部修改")
                )
                ui.space()
                ui.button(t("Cancel", "取消"), on_click=self._dialog.close).props("flat no-caps color=secondary")
                self._save_button = ui.button(t("Save", "保存"), on_click=self._save).props("unelevated no-caps")

    def _edit(self, row: ScheduleRow) -> None:
        self._edited = row
        self._title.text = row.entry
        self._for.text = (
            t(f"Scenario {row.scenario_id}", f"场景 {row.scenario_id}")
            if row.scenario_id
            else t("All scenarios of all tenants", "所有租户的全部场景")
        )
        self._cron.value, self._zone.value = row.cron, row.timezone
        self._preview()
        self._dialog.open()

    def _preview(self) -> None:
        """The next times as they would be, or what is wrong."""
        try:
            moments = next_times(self._cron.value or "", self._zone.value or "", 3)
        except LemoError as error:
            self._next.text, colour = str(error), BAD
        else:
            zone, colour = ZoneInfo(self._zone.value), QUIET
            self._next.text = t("Next: ", "下次：") + "\n".join(
                f"{moment.astimezone(zone):%a %Y-%m-%d %H:%M %z} · {ago(moment)}" for moment in moments
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

    async def _change(self, row: ScheduleRow, setting: Setting) -> bool:
        saved, same = t("Saved", "已保存"), t("It was so already", "无变化")

        def change() -> str:
            result = self._service.change(row.entry, row.scenario_id, setting)
            return result.note or (saved if result.change else same)

        return await self._tell(change)

    async def _run(self, row: ScheduleRow) -> None:
        spoken = language()

        def start() -> str:
            count = len(run_now(self._queries.stores, self._tenant_id, row.entry, row.scenario_id, self._visitor.by))
            english = f"Queued for {count} scenario{'' if count == 1 else 's'}"
            return chosen(spoken, english, f"已为 {count} 个场景加入队列")

        await self._tell(start)

    async def _tell(self, action: Callable[[], str]) -> bool:
        """Runs an operator's action outside the event loop and shows its result; returns whether it succeeded."""

        def allowed() -> str:
            self._access.require(self._visitor, "operator")
            return action()

        result = await run.io_bound(lambda: attempt(allowed))
        if isinstance(result, LemoError):
            ui.notify(str(result), type="negative", multi_line=True, timeout=10_000)
        elif result:
            ui.notify(result, type="positive")
        await self.renew()
        return not isinstance(result, LemoError)


def _last(row: ScheduleRow) -> None:
    """When the last run was and how it went."""
    with ui.row().classes("items-center gap-2 flex-nowrap"):
        ui.label(ago(row.last_run)).classes("whitespace-nowrap").tooltip(stamp(row.last_run) or t("never", "从未"))
        if row.outcome:
            badge(outcome_words(row.outcome), COLOURS[row.outcome]).tooltip(row.error or row.run_id)
    if row.outcome == "running" and row.progress.total:
        ui.linear_progress(row.progress.done / row.progress.total, show_value=False).classes("w-24 mt-1")
    if row.failing and not row.scenario_id:
        ui.label(t(f"failing: {', '.join(row.failing)}", f"失败：{', '.join(row.failing)}")).classes(
            "text-xs break-words"
        ).style(f"color:{BAD}")


def next_run(row: ScheduleRow) -> str:
    """When an entry is started next, in words."""
    if row.paused:
        return "–"
    if row.next_run is None:
        return t("when beat runs", "待 beat 运行")
    if row.next_run < datetime.now(UTC) - LATE:
        return t("late: is beat running?", "已延迟：beat 是否在运行？")
    return ago(row.next_run) if row.next_run > datetime.now(UTC) else t("now", "现在")


async def schedule_page(queries: Queries, access: Access, scenario: str) -> None:
    """Draws the schedule for whoever asks."""
    opened = await access.opened("/schedule", scenario=scenario)
    if opened is None:
        return
    visitor, scenarios = opened
    with framed("/schedule", visitor):
        SchedulePage(queries, access, visitor, scenarios, scenario).build()
