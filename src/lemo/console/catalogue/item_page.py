"""One item: all that it has, what is like it, and where it stands; edited, switched off and on, deleted."""

from collections.abc import Mapping
from typing import Any

from nicegui import ui

from lemo.console.access import Access
from lemo.console.acting import Actor, in_thread
from lemo.console.catalogue.edit import EditDialog
from lemo.console.catalogue.reads import CatalogueReads, Similar, Standing, Value, WholeItem
from lemo.console.catalogue.words import field_words, moment_words, no_scenario, type_words, value_words
from lemo.console.catalogue.writes import ItemWrites
from lemo.console.formats import ago, stamp
from lemo.console.frame import frame
from lemo.console.item_rows import item_row, picture, share_bar, title_and_labels
from lemo.console.language import t
from lemo.console.panels import Panel, panel
from lemo.console.queries import attempt
from lemo.console.reasons import unavailable_words
from lemo.console.shown import ShownItem, address, unavailable
from lemo.console.theme import GOOD, WEAK, badge, heading, nothing, section
from lemo.console.visitor import Visitor
from lemo.domain.errors import LemoError
from lemo.domain.item import Item
from lemo.domain.scope import Scope


class OneItemPage:
    """One item of one visitor's scenario."""

    def __init__(
        self, reads: CatalogueReads, writes: ItemWrites, access: Access, visitor: Visitor, scope: Scope, item_id: str
    ) -> None:
        self._reads = reads
        self._writes = writes
        self._visitor = visitor
        self._scope = scope
        self._item_id = item_id
        self._actor = Actor(access, visitor)
        self._edit = EditDialog(self._save)

    def build(self) -> None:
        """Lays the page out."""
        with ui.row().classes("w-full"):
            ui.link(t("← All items", "← 全部物品"), address("/items", scenario=self._scope.scenario_id)).classes(
                "lemo-link"
            )
        with section():
            self._panel = Panel(self._read, self._draw, height=320)
        with ui.element("div").classes("grid grid-cols-1 lg:grid-cols-3 gap-4 w-full items-start"):
            panel(t("Similar items", "相似物品"), self._read_similar, self._draw_similar, classes="lg:col-span-2")
            panel(t("Among the popular", "热门排名"), self._read_standing, self._draw_standing, height=60)

    def _read(self) -> WholeItem:
        return self._reads.item(self._scope, self._item_id)

    def _read_similar(self) -> Similar:
        return self._reads.similar(self._scope, self._item_id)

    def _read_standing(self) -> Standing:
        return self._reads.standing(self._scope, self._item_id)

    def _draw(self, whole: WholeItem) -> None:
        item, shown = whole.item, ShownItem(whole.item.item_id, whole.item)
        with ui.row().classes("items-start justify-between w-full gap-3"):
            with ui.row().classes("items-center gap-3 flex-nowrap min-w-0"):
                picture(shown)
                with ui.column().classes("gap-1 min-w-0"):
                    with ui.element("h2").classes("text-lg leading-6 break-words"):
                        ui.label(shown.title)
                    ui.label(item.item_id).classes("lemo-muted lemo-small break-all")
                    with ui.row().classes("gap-2 items-center"):
                        why = unavailable(item)
                        badge(unavailable_words(why) if why else t("on", "在架"), WEAK if why else GOOD)
                        if item.updated_at:
                            ui.label(t(f"changed {ago(item.updated_at)}", f"{ago(item.updated_at)}更新")).classes(
                                "lemo-muted lemo-small"
                            ).tooltip(stamp(item.updated_at))
            if self._visitor.may("operator"):
                self._buttons(whole)
        if item.description:
            ui.label(item.description[:2_000]).classes("mt-3 break-words max-w-3xl")
        with ui.element("div").classes("grid grid-cols-1 lg:grid-cols-2 gap-x-8 gap-y-4 w-full mt-4"):
            with ui.element("div").classes("min-w-0"):
                heading(t("Fields", "字段"))
                with ui.element("dl").classes("w-full mt-2"):
                    for each in whole.fields:
                        if each.name != "description":
                            _value(each, field_words(each.name))
            with ui.element("div").classes("min-w-0"):
                heading(t("Attributes", "属性"))
                self._attributes(whole)

    def _attributes(self, whole: WholeItem) -> None:
        if not whole.attributes:
            nothing(t("None: what is sent beside the fields becomes an attribute.", "无：字段之外的内容成为属性。"))
            return
        with ui.element("dl").classes("w-full mt-2"):
            for each in whole.attributes:
                _value(each, each.name)

    def _buttons(self, whole: WholeItem) -> None:
        on = whole.item.is_active

        async def switch() -> None:
            await self._save({"is_active": not on})

        with ui.row().classes("gap-2"):
            ui.button(t("Edit", "编辑"), icon="edit", on_click=lambda: self._edit.open(whole)).props(
                "flat no-caps color=secondary"
            )
            ui.button(
                t("Switch off", "下架") if on else t("Switch on", "上架"),
                icon="visibility_off" if on else "visibility",
                on_click=switch,
            ).props("flat no-caps color=secondary")
            ui.button(t("Delete", "删除"), icon="delete", on_click=self._delete, color=None).props(
                "flat no-caps"
            ).style("color: var(--bad)")

    async def _save(self, changes: Mapping[str, Any]) -> bool:
        by = self._visitor.by
        before = await self._actor.do(
            lambda: self._writes.change(self._scope, self._item_id, changes, by),
            t("Taken into the log.", "已写入日志。"),
        )
        if isinstance(before, LemoError):
            return False
        await self._show_written(before)
        return True

    async def _delete(self) -> None:
        sure = await self._actor.sure(
            t(f"Delete {self._item_id}?", f"删除 {self._item_id}？"),
            t(
                "It is in no answer within seconds; older writes do not bring it back. What users did with it stays.",
                "数秒内不再出现在任何结果中，旧的写入不会使其恢复；用户行为保留。",
            ),
            t("Delete", "删除"),
            danger=True,
        )
        if not sure:
            return
        by = self._visitor.by
        before = await self._actor.do(
            lambda: self._writes.delete(self._scope, self._item_id, by), t("Taken into the log.", "已写入日志。")
        )
        if not isinstance(before, LemoError):
            await self._show_written(before)

    async def _show_written(self, before: Item) -> None:
        """Shows the item once the consumer has written it, and says so where it does not."""
        written = await in_thread(lambda: attempt(lambda: self._writes.written(self._scope, before)))
        with self._actor.host:
            if written is False:
                ui.notify(
                    t(
                        "The change is safe in the log, but no consumer has written it yet: `lemo doctor`.",
                        "变更已安全写入日志，但消费者尚未处理：`lemo doctor`。",
                    ),
                    type="warning",
                    multi_line=True,
                )
        await self._panel.renew()

    def _draw_similar(self, similar: Similar) -> None:
        if similar.degraded:
            nothing(t("Nothing similar is known yet; these are popular.", "尚无相似物品，以下为热门物品。"))
        with ui.element("div").classes("grid grid-cols-1 sm:grid-cols-2 gap-x-4 w-full"):
            for each in similar.items:
                to = address("/item", scenario=self._scope.scenario_id, item_id=each.item_id)
                with item_row(each, to=to):
                    picture(each)
                    title_and_labels(each)
                    with ui.element("div").classes("w-12 flex-none"):
                        share_bar(each.share)

    def _draw_standing(self, standing: Standing) -> None:
        if standing.place is None:
            ui.label(
                t(
                    f"Not among the {standing.of} most popular items.",
                    f"不在最热门的 {standing.of} 个物品之内。",
                )
            ).classes("text-sm")
            return
        with ui.row().classes("items-baseline gap-2"):
            ui.label(f"#{standing.place}").classes("lemo-stat-value")
            ui.label(t(f"of {standing.of}", f"共 {standing.of} 个")).classes("lemo-muted")
        ui.label(
            t(
                "By the sum of the weights of its interactions, older ones decayed.",
                "按互动权重之和排名，越久远权重越低。",
            )
        ).classes("lemo-muted lemo-small")


def _value(each: Value, name: str) -> None:
    """A field or attribute, its type below its name."""
    with ui.element("div").classes("grid grid-cols-5 gap-3 py-2 border-b lemo-line"):
        with ui.element("dt").classes("col-span-2 min-w-0"):
            ui.label(name).classes("break-words")
            with ui.row().classes("gap-1 items-center"):
                ui.label(type_words(each.type)).classes("lemo-muted lemo-small")
                if not each.fits:
                    badge(t("does not fit", "类型不符"), WEAK).tooltip(
                        t("Filters take this value as missing.", "过滤条件视此值为缺失。")
                    )
        with ui.element("dd").classes("col-span-3 min-w-0 m-0"):
            text = moment_words(each.value) if each.type == "timestamp" else value_words(each.value, 300)
            ui.label(text).classes("break-words")


async def item_page(reads: CatalogueReads, writes: ItemWrites, access: Access, scenario: str, item_id: str) -> None:
    """Draws one item for whoever asks."""
    opened = await access.opened("/items", scenario=scenario, item_id=item_id)
    if opened is None:
        return
    visitor, scenarios = opened
    with frame("/items", visitor, t("Item", "物品")):
        if not scenarios:
            no_scenario()
            return
        scope = Scope(visitor.tenant_id, scenario or scenarios[0])
        OneItemPage(reads, writes, access, visitor, scope, item_id).build()
