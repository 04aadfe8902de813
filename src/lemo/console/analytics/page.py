"""The page Analytics: filters, and panels that each read their own numbers."""

import asyncio
import csv
import io
from collections.abc import Sequence
from datetime import UTC, date, datetime
from threading import Lock
from typing import Any

from nicegui import run, ui

from lemo.analytics.metrics import definitions
from lemo.console.access import Access, framed
from lemo.console.analytics.figures import GroupRow, Trends, actions, groups, positions, trends
from lemo.console.analytics.filters import DAYS, Filters
from lemo.console.analytics.items import ItemRow, draw_items, top_items
from lemo.console.analytics.sections import (
    draw_funnel,
    draw_groups,
    draw_missing,
    draw_nothing,
    draw_positions,
    draw_tiles,
    draw_trend,
    funnel_of,
    missing_of,
    shown_metric,
)
from lemo.console.analytics.words import measure_name
from lemo.console.language import t
from lemo.console.panels import Panel, panel
from lemo.console.queries import Queries, attempt
from lemo.console.theme import empty, heading, section, trouble
from lemo.domain.errors import LemoError
from lemo.domain.scope import Scope
from lemo.stores.clickhouse.traffic_metrics import ATTRIBUTED, DIRECT

_GROUPS = {
    "placement": ("Placement", "展示位"),
    "position": ("Position", "位置"),
    "category": ("Category", "类别"),
    "device": ("Device", "设备"),
    "source": ("Source", "召回来源"),
    "kind": ("Kind", "请求类型"),
    "model": ("Model", "模型"),
    "pipeline": ("Pipeline", "流水线"),
    "arm": ("Arm", "实验分组"),
}


class AnalyticsPage:
    """The page of one visitor. A changed filter changes the address, and the panels read anew."""

    def __init__(self, queries: Queries, tenant_id: str, scenarios: Sequence[str], filters: Filters) -> None:
        self._stores = queries.stores
        self._tenant_id = tenant_id
        self._scenarios = list(scenarios)
        self._filters = filters
        self._counting = Lock()
        self._counted: tuple[Filters, Trends] | None = None

    @property
    def _scope(self) -> Scope:
        return Scope(self._tenant_id, self._filters.scenario)

    def build(self) -> None:
        """Lays the page out and starts to fill it."""
        self.toolbar()
        # All ask one engine: the numbers at the top come first, and soon.
        turn = asyncio.Semaphore(2)
        self._trends = Panel(self._read_trends, self._draw_trends, height=420, turn=turn)
        with ui.element("div").classes("grid grid-cols-1 lg:grid-cols-2 gap-4 w-full"):
            panel(t("Funnel", "漏斗"), self._read_funnel, self._draw_funnel, height=220, turn=turn)
            panel(
                t("Click rate by position", "各位置点击率"),
                lambda: positions(self._stores, self._scope, self._filters, _now()),
                draw_positions,
                height=220,
                turn=turn,
            )
        with section():
            self._group_head()
            with ui.element("div").classes("w-full mt-2"):
                self._groups = Panel(
                    lambda: groups(self._stores, self._scope, self._filters, _now()),
                    self._draw_groups,
                    height=160,
                    turn=turn,
                )
        panel(
            t("Items shown most", "展示最多的物品"),
            lambda: top_items(self._stores, self._scope, self._filters, _now()),
            self._draw_items,
            height=320,
            turn=turn,
        )

    @ui.refreshable_method
    def toolbar(self) -> None:
        """The filters."""
        filters = self._filters
        with ui.row().classes("w-full items-center gap-2"):
            ui.select(
                self._scenarios,
                value=filters.scenario,
                label=t("Scenario", "场景"),
                on_change=lambda event: self._show(scenario=event.value),
            ).props("outlined dense options-dense").classes("w-40 max-sm:grow")
            periods: dict[int, str] = {days: _days_words(days) for days in sorted({*DAYS, filters.days})}
            if filters.first:
                periods = {0: f"{filters.first} – {filters.last}", **periods}
            ui.select(
                periods,
                value=0 if filters.first else filters.days,
                label=t("Period", "周期"),
                on_change=lambda event: self._choose_days(event.value),
            ).props("outlined dense options-dense").classes("w-44 max-sm:grow")
            self._calendar()
            ui.toggle(
                {"hour": t("Hours", "小时"), "day": t("Days", "天")},
                value=filters.by,
                on_change=lambda event: self._show(by=event.value),
            ).props("no-caps unelevated dense padding='4px 12px' toggle-color='' toggle-text-color=''").classes(
                "lemo-toggle"
            )
            toggle = ui.toggle(
                {"answers": t("From answers", "来自推荐"), "events": t("All events", "全部行为")},
                value=filters.part,
                on_change=lambda event: self._show(part=event.value, metric=""),
            ).props("no-caps unelevated dense padding='4px 12px' toggle-color='' toggle-text-color=''")
            toggle.classes("lemo-toggle").tooltip(
                t(
                    "From answers: answers and the events that followed from them. All events: whatever led to them.",
                    "来自推荐：推荐结果及由其带来的行为。全部行为：不论来源。",
                )
            )
            ui.space()
            download = ui.button(icon="download", on_click=self._download).props("flat round dense color=secondary")
            download.tooltip(t("Download the course of all numbers as CSV", "下载全部指标的时间序列（CSV）"))
            download.props["aria-label"] = t("Download CSV", "下载 CSV")

    def _calendar(self) -> None:
        """A button that lets a period be chosen by its days."""
        with ui.button(icon="date_range").props("flat round dense color=secondary") as button:
            button.props["aria-label"] = t("Choose days", "选择日期")
            with ui.menu() as menu, ui.column().classes("p-2 gap-2 items-end"):
                picked = ui.date().props("range minimal")
                if self._filters.first:
                    picked.value = {"from": str(self._filters.first), "to": str(self._filters.last)}

                def take() -> None:
                    chosen = picked.value
                    menu.close()
                    if isinstance(chosen, str):
                        chosen = {"from": chosen, "to": chosen}
                    if isinstance(chosen, dict):
                        self._show(first=date.fromisoformat(chosen["from"]), last=date.fromisoformat(chosen["to"]))

                ui.button(t("Show", "查看"), on_click=take).props("unelevated no-caps dense padding='4px 16px'")

    def _group_head(self) -> None:
        with ui.row().classes("w-full items-center justify-between gap-2"):
            heading(t("Groups", "分组"))
            ui.select(
                {name: t(*words) for name, words in _GROUPS.items()},
                value=self._filters.group,
                on_change=self._choose_group,
            ).props("outlined dense options-dense").classes("w-40").props["aria-label"] = t("Group by", "分组")

    async def _choose_group(self, event: Any) -> None:
        self._filters = self._filters.but(group=event.value)
        ui.navigate.history.replace(self._filters.address)
        await self._groups.restart()

    def _choose_days(self, days: int) -> None:
        if days:
            self._show(days=days, first=None, last=None, by="hour" if days == 1 else "day")

    def _show(self, **changes: Any) -> None:
        """Shows another view: the address is its one description."""
        ui.navigate.to(self._filters.but(**changes).address)

    def _choose_metric(self, name: str) -> None:
        self._filters = self._filters.but(metric=name)
        ui.navigate.history.replace(self._filters.address)
        self._trends.draw_again()

    def _read_trends(self) -> Trends:
        # Tiles and funnel show the same numbers: whichever asks first counts them, and the other waits.
        with self._counting:
            view = self._filters.but(metric="", group="placement")
            if self._counted is None or self._counted[0] != view:
                self._counted = view, trends(self._stores, self._scope, view, _now())
            return self._counted[1]

    def _draw_trends(self, found: Trends) -> None:
        if not found.totals["requests" if self._filters.part == "answers" else "events"]:
            with section():
                draw_nothing(found, self._filters)
            return
        with ui.column().classes("w-full gap-4"):
            draw_tiles(found, self._filters, self._choose_metric)
            with section():
                heading(measure_name(shown_metric(self._filters)))
                with ui.element("div").classes("w-full mt-2"):
                    draw_trend(found, self._filters)

    def _read_funnel(self) -> tuple[Trends, list[tuple[str, int]]]:
        return self._read_trends(), actions(self._stores, self._scope, self._filters, _now())

    def _draw_funnel(self, read: tuple[Trends, list[tuple[str, int]]]) -> None:
        found, counted = read
        draw_funnel(funnel_of(found, self._filters, counted))
        if self._filters.part == "answers" and found.totals["requests"]:
            draw_missing(self._filters.scenario, missing_of(found))

    def _draw_groups(self, rows: list[GroupRow]) -> None:
        draw_groups(rows, t(*_GROUPS[self._filters.group]), self._definitions)

    def _draw_items(self, rows: list[ItemRow]) -> None:
        draw_items(rows, self._filters.scenario, self._definitions)

    @property
    def _definitions(self) -> dict[str, str]:
        return definitions(ATTRIBUTED if self._filters.part == "answers" else DIRECT)

    async def _download(self) -> None:
        filters = self._filters
        found = await run.io_bound(lambda: attempt(self._read_trends))
        if isinstance(found, LemoError):
            ui.notify(str(found), type="negative", multi_line=True)
        elif found is not None:
            name = f"{filters.scenario}-{filters.part}-{found.since:%Y-%m-%d}.csv"
            ui.download.content(csv_of(found), name, "text/csv")


def csv_of(found: Trends) -> str:
    """All numbers of the view, a row for each hour or day, with the names of the API."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = list(found.series)
    writer.writerow(["time", *names])
    for place, label in enumerate(found.labels):
        writer.writerow([label, *(found.series[name][place] for name in names)])
    return text.getvalue()


def _days_words(days: int) -> str:
    if days == 1:
        return t("Last 24 hours", "最近 24 小时")
    return t(f"Last {days} days", f"最近 {days} 天")


def _now() -> datetime:
    return datetime.now(UTC)


async def analytics_page(queries: Queries, access: Access, given: dict[str, str]) -> None:
    """Draws the analytics for whoever asks; `given` are the parameters of the address."""
    opened = await access.opened("/analytics", **given)
    if opened is None:
        return
    visitor, scenarios = opened
    with framed("/analytics", visitor):
        if not scenarios:
            with section():
                empty(
                    "insights",
                    t("There is no scenario yet", "尚无场景"),
                    t("Numbers begin with the first scenario.", "创建场景后即可查看数据。"),
                    "lemo scenarios create shop --template ecommerce",
                )
            return
        try:
            filters = Filters.of_address(given["scenario"] or scenarios[0], given)
        except LemoError as error:
            trouble(error)
            return
        AnalyticsPage(queries, visitor.tenant_id, scenarios, filters).build()
