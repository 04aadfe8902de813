"""One item in the explorer: why it is answered or not, what is like it, and events of the user with it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from nicegui import ui
from nicegui.events import ValueChangeEventArguments

from lemo.console.acting import Actor
from lemo.console.catalogue.reads import CatalogueReads, Similar
from lemo.console.explorer.reads import Explained, ExplorerReads
from lemo.console.explorer.state import State
from lemo.console.explorer.wishes import Wishes
from lemo.console.item_rows import Choose, item_row, labels, picture, share_bar
from lemo.console.language import t
from lemo.console.panels import Panel
from lemo.console.reasons import stage_words, verdict_words
from lemo.console.shown import ShownItem, address
from lemo.console.tables import cell, table, td, tr
from lemo.console.theme import heading, nothing, section
from lemo.domain.recommendation import ExplainedItem

Send = Callable[[str, float | None], Awaitable[None]]
SETTLED_MS = 300


@dataclass(frozen=True, slots=True)
class Inspected:
    """What is known of an item for a user."""

    base: Explained
    tried: Explained | None
    """None where nothing is tried."""
    actions: dict[str, bool]
    """What users may do that changes their answers, and whether a value says more."""


class Inspector:
    """The part of the page about one item."""

    def __init__(
        self,
        reads: ExplorerReads,
        catalogue: CatalogueReads,
        actor: Actor,
        state: State,
        choose: Choose,
        send: Send,
    ) -> None:
        self._reads = reads
        self._catalogue = catalogue
        self._actor = actor
        self._state = state
        self._choose = choose
        self._send = send
        self._search = ""
        self._wide = False
        self._why: Panel[Inspected] | None = None

    def build(self, wide: bool = False) -> None:
        """Draws it, with the item that the state names; `wide`: what is similar stands beside the rest."""
        self._why, self._search, self._wide = None, "", wide
        with section().props("id=inspector"):
            heading(t("Why, and why not", "为什么"))
            self._input = ui.input(t("Search an item", "搜索物品"), on_change=self._searched).props(
                f"outlined dense clearable debounce={SETTLED_MS} autocomplete=off"
            )
            self._input.classes("w-full mt-2")
            self._results = ui.element("div").classes("w-full")
            self._place = ui.element("div").classes("w-full mt-3")
        self._fill()

    async def show(self) -> None:
        """Shows the item that the state names now."""
        self._results.clear()
        self._input.set_value("")
        self._fill()
        # The row that was chosen may be gone by now, so this is said from where the item is shown.
        with self._place:
            ui.run_javascript("if (innerWidth < 1024) document.getElementById('inspector')?.scrollIntoView()")

    async def renew(self) -> None:
        """Looks again why the item is answered or not."""
        if self._why:
            await self._why.renew()

    def _fill(self) -> None:
        self._place.clear()
        with self._place:
            if not self._state.item:
                nothing(
                    t(
                        "Choose an item, or search for one that is missing, to see why.",
                        "选择一个物品，或搜索未出现的物品，查看原因。",
                    )
                )
                return
            columns = "grid-cols-1 md:grid-cols-2" if self._wide else "grid-cols-1"
            with ui.element("div").classes(f"grid {columns} gap-x-8 gap-y-5 w-full items-start"):
                self._why = Panel(self._read, self._draw, height=180)
                with ui.element("div").classes("min-w-0"):
                    heading(t("Similar items", "相似物品"))
                    with ui.element("div").classes("w-full mt-2"):
                        Panel(self._read_similar, self._draw_similar, height=180)

    async def _searched(self, event: ValueChangeEventArguments[str | None]) -> None:
        self._search = (event.value or "").strip()
        self._results.clear()
        if self._search:
            with self._results:
                Panel(self._find, self._draw_found, height=60)

    def _find(self) -> list[ShownItem]:
        return self._catalogue.find(self._state.scope, self._search)

    def _draw_found(self, found: list[ShownItem]) -> None:
        if not found:
            nothing(t("No item matches.", "没有符合的物品。"))
        for each in found:
            with item_row(each, self._choose):
                picture(each)
                with ui.column().classes("gap-0 min-w-0 grow"):
                    ui.label(each.title).classes("text-sm font-medium break-words")
                    ui.label(each.item_id).classes("lemo-muted lemo-small break-all")

    def _read(self) -> Inspected:
        state, wishes = self._state, self._state.wishes
        base = self._reads.explain(state.scope, state.user, state.n, Wishes(), wishes.base, state.item)
        tried = None
        if state.trying:
            tried = self._reads.explain(state.scope, state.user, state.n, wishes, wishes.tried, state.item)
        rules = self._reads.actions(state.scope)
        # The others change no answer, so nobody would see that they were taken in.
        actions = {name: rule.scale is not None for name, rule in rules.items() if rule.in_history}
        return Inspected(base, tried, actions)

    def _read_similar(self) -> Similar:
        return self._catalogue.similar(self._state.scope, self._state.item)

    def _draw(self, found: Inspected) -> None:
        shown, scenario = found.base.shown, self._state.scope.scenario_id
        with ui.row().classes("items-center gap-3 flex-nowrap w-full"):
            picture(shown)
            with ui.column().classes("gap-1 min-w-0"):
                ui.label(shown.title).classes("font-semibold break-words")
                labels(shown)
                ui.link(
                    t("Open the item", "打开物品"), address("/item", scenario=scenario, item_id=shown.item_id)
                ).classes("lemo-link text-sm")
        with ui.column().classes("w-full gap-2 mt-3"):
            _verdict("" if found.tried is None else t("Now", "当前"), found.base.explained)
            if found.tried is not None:
                _verdict(t("Tried", "试验"), found.tried.explained)
        _steps((found.tried or found.base).explained)
        if self._actor.may() and found.actions:
            self._draw_actions(found.actions)

    def _draw_similar(self, similar: Similar) -> None:
        if similar.degraded:
            nothing(t("Nothing similar is known yet; these are popular.", "尚无相似物品，以下为热门物品。"))
        for each in similar.items:
            with item_row(each, self._choose) as row:
                row.props["data-similar"] = each.item_id
                picture(each)
                with ui.column().classes("gap-1 min-w-0 grow"):
                    ui.label(each.title).classes("text-sm font-medium break-words")
                    share_bar(each.share)

    def _draw_actions(self, actions: dict[str, bool]) -> None:
        """Buttons that send events of the user."""
        ui.label(t("Act as this user", "以该用户操作")).classes("font-semibold mt-4")
        ui.label(
            t("Sends a real event: it counts for models and statistics.", "发送真实事件：会计入模型与统计。")
        ).classes("lemo-muted lemo-small")
        graded = [action for action, takes in actions.items() if takes]
        value = None

        async def act(action: str) -> None:
            await self._send(action, value.value if value is not None and actions[action] else None)

        with ui.row().classes("gap-2 mt-2"):
            for action in actions:
                ui.button(action, on_click=lambda action=action: act(action)).props(
                    "outline no-caps dense color=secondary"
                ).classes("px-3")
        if graded:
            names = ", ".join(graded)
            value = ui.number(t(f"Value of {names}", f"{names} 的数值")).props("outlined dense clearable")
            value.classes("w-40 mt-3")


def _verdict(name: str, explained: ExplainedItem) -> None:
    with ui.element("div").classes("w-full"):
        if name:
            ui.label(name).classes("lemo-muted lemo-small")
        ui.label(verdict_words(explained.verdict)).classes("break-words").props("role=status")


def _steps(explained: ExplainedItem) -> None:
    if not explained.steps:
        return
    with table((t("Stage", "阶段"), t("Place", "位置"), t("Score", "得分")), numbers=(1, 2)):
        for step in explained.steps:
            with tr():
                with td():
                    ui.label(stage_words(step.stage))
                place = t(f"{step.place} of {step.of}", f"第 {step.place}，共 {step.of}")
                cell(t("out", "移出") if step.place is None else place, number=True)
                cell("–" if step.score is None else f"{step.score:.2f}", number=True)
