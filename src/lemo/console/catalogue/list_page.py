"""The catalogue of a scenario: searched, filtered, page by page."""

from collections.abc import Mapping, Sequence

from nicegui import ui
from nicegui.events import ValueChangeEventArguments

from lemo.console.access import Access, framed
from lemo.console.catalogue.reads import CatalogueReads
from lemo.console.catalogue.words import no_scenario, type_words, value_words
from lemo.console.formats import whole
from lemo.console.item_rows import picture
from lemo.console.language import t
from lemo.console.panels import Panel
from lemo.console.reasons import unavailable_words
from lemo.console.shown import ShownItem, address, unavailable
from lemo.console.tables import cell, table, td, tr
from lemo.console.theme import GOOD, WEAK, badge, empty, section
from lemo.console.visitor import Visitor
from lemo.domain.item import Item
from lemo.domain.scope import Scope
from lemo.serving.catalogue.schema import AttributeOverview
from lemo.serving.items import ItemPage

ATTRIBUTES = 3
"""Attributes of an item that its row shows."""
SETTLED_MS = 300
"""How long typing must rest before items are looked up."""


class ItemsPage:
    """The catalogue of one visitor's scenario. Its state stands in the address."""

    def __init__(
        self,
        reads: CatalogueReads,
        visitor: Visitor,
        scenarios: Sequence[str],
        scenario: str,
        state: Mapping[str, str],
    ) -> None:
        self._reads = reads
        self._tenant_id = visitor.tenant_id
        self._scenarios = list(scenarios)
        self._scenario = scenario or scenarios[0]
        self._search, self._filter, self._cursor = state["search"], state["filter"], state["cursor"]

    @property
    def _scope(self) -> Scope:
        return Scope(self._tenant_id, self._scenario)

    def build(self) -> None:
        """Lays the page out."""
        with section():
            with ui.row().classes("items-start w-full gap-3"):
                ui.select(
                    self._scenarios, value=self._scenario, label=t("Scenario", "场景"), on_change=self._chose
                ).props("outlined dense").classes("w-full sm:w-44")
                ui.input(t("Search title or id", "搜索标题或编号"), value=self._search, on_change=self._searched).props(
                    f"outlined dense clearable debounce={SETTLED_MS} autocomplete=off"
                ).classes("w-full sm:w-64")
                self._input = (
                    ui.input(t("Filter (CEL)", "过滤条件 (CEL)"), value=self._filter, placeholder="item.price < 100")
                    .props("outlined dense clearable autocomplete=off spellcheck=false input-class=font-mono")
                    .classes("w-full sm:w-auto sm:grow")
                    .on("keydown.enter", self._filtered)
                    .on("clear", self._filtered)
                )
                ui.button(t("Filter", "过滤"), on_click=self._filtered).props("unelevated no-caps")
            with ui.expansion(t("What a filter may name", "过滤条件可用的名称")).classes("w-full mt-1") as names:
                names.props("dense header-class='px-0 lemo-muted text-sm'").on_value_change(self._opened)
                self._names: Panel[list[AttributeOverview]] | None = None
                self._names_place = ui.element("div").classes("w-full")
        with section():
            self._page = Panel(self._read, self._draw, height=420)

    def _read(self) -> ItemPage:
        return self._reads.page(self._scope, self._search, self._filter, self._cursor)

    async def _opened(self, event: ValueChangeEventArguments[bool]) -> None:
        if event.value and self._names is None:
            with self._names_place:
                self._names = Panel(lambda: self._reads.attributes(self._scope), self._draw_names, height=60)

    async def _chose(self, event: ValueChangeEventArguments[str]) -> None:
        self._scenario = event.value
        if self._names:
            await self._names.restart()
        await self._show("")

    async def _searched(self, event: ValueChangeEventArguments[str | None]) -> None:
        self._search = event.value or ""
        await self._show("")

    async def _filtered(self) -> None:
        self._filter = self._input.value or ""
        await self._show("")

    async def _show(self, cursor: str) -> None:
        self._cursor = cursor
        ui.navigate.history.replace(self._address(cursor))
        await self._page.restart()

    def _address(self, cursor: str) -> str:
        return address(
            "/items",
            scenario=self._scenario,
            search=self._search.strip(),
            filter=self._filter.strip(),
            cursor=cursor,
        )

    def _draw(self, page: ItemPage) -> None:
        with ui.row().classes("items-center justify-between w-full"):
            with ui.row().classes("items-baseline gap-2"):
                ui.label(whole(page.total)).classes("text-lg font-semibold lemo-number")
                narrowed = self._search.strip() or self._filter.strip()
                ui.label(
                    t("items match", "个物品符合")
                    if narrowed
                    else t("items, those that are off included", "个物品（含已下架）")
                ).classes("lemo-muted text-sm")
            self._pages(page)
        if not page.items:
            self._draw_none()
            return
        names = (
            t("Item", "物品"),
            t("State", "状态"),
            t("Categories", "类别"),
            t("Attributes", "属性"),
            t("Published", "发布"),
        )
        with table(names):
            for item in page.items:
                self._row(item)
        if page.cursor or self._cursor:
            with ui.row().classes("w-full justify-end mt-2"):
                self._pages(page)

    def _draw_none(self) -> None:
        if self._search.strip() or self._filter.strip() or self._cursor:
            empty("search_off", t("No item matches.", "没有符合的物品。"), t("Ask for less.", "请放宽条件。"))
            return
        empty(
            "inventory_2",
            t("The catalogue is empty.", "目录为空。"),
            t("Send items by HTTP, from a file, or through the log:", "通过 HTTP、文件或日志发送物品："),
            f"lemo import items items.csv --scenario {self._scenario}",
        )

    def _pages(self, page: ItemPage) -> None:
        """Links, so that the browser's way back leads to the page before."""
        with ui.row().classes("gap-4 items-center"):
            if self._cursor:
                ui.link(t("First page", "首页"), self._address("")).classes("lemo-link")
            if page.cursor:
                ui.link(t("Next page", "下一页"), self._address(page.cursor)).classes("lemo-link")

    def _row(self, item: Item) -> None:
        shown = ShownItem(item.item_id, item)
        to = address("/item", scenario=self._scenario, item_id=item.item_id)
        with tr():
            with td(), ui.link(target=to).classes("flex items-center gap-3 flex-nowrap no-underline min-w-0"):
                picture(shown)
                with ui.column().classes("gap-0 min-w-0"):
                    ui.label(shown.title).classes("lemo-link break-words")
                    ui.label(item.item_id).classes("lemo-muted lemo-small break-all")
            with td():
                why = unavailable(item)
                badge(unavailable_words(why) if why else t("on", "在架"), WEAK if why else GOOD)
            with td(), ui.row().classes("gap-1 max-w-64 max-sm:justify-end"):
                for name in item.categories[:ATTRIBUTES]:
                    ui.label(name).classes("lemo-label max-w-40 ellipsis")
            with td(), ui.column().classes("gap-0 max-w-72 max-sm:items-end"):
                for name, value in list(item.attributes.items())[:ATTRIBUTES]:
                    ui.label(f"{name} {value_words(value)}").classes("lemo-small break-words")
                if len(item.attributes) > ATTRIBUTES:
                    ui.label(
                        t(f"{len(item.attributes) - ATTRIBUTES} more", f"另有 {len(item.attributes) - ATTRIBUTES} 项")
                    ).classes("lemo-muted lemo-small")
            cell(f"{item.published_at:%Y-%m-%d}" if item.published_at else "–")

    def _draw_names(self, attributes: list[AttributeOverview]) -> None:
        with ui.row().classes("gap-x-4 gap-y-1 w-full pb-2"):
            for each in attributes:
                with ui.row().classes("gap-1 items-baseline"):
                    ui.label(f"item.{each.name}").classes("font-mono text-xs")
                    ui.label(type_words(each.type)).classes("lemo-muted lemo-small")


async def items_page(reads: CatalogueReads, access: Access, scenario: str, state: Mapping[str, str]) -> None:
    """Draws the catalogue for whoever asks. `state` holds `search`, `filter` and `cursor` of the address."""
    opened = await access.opened("/items", scenario=scenario, **state)
    if opened is None:
        return
    visitor, scenarios = opened
    with framed("/items", visitor):
        if not scenarios:
            no_scenario()
            return
        ItemsPage(reads, visitor, scenarios, scenario, state).build()
