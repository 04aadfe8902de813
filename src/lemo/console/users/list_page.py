"""Users of a scenario, found by a part of their id, newest activity first; and receipts of erasures, checked again."""

from collections.abc import Sequence

from nicegui import ui
from nicegui.events import GenericEventArguments, ValueChangeEventArguments

from lemo.console.access import Access, framed
from lemo.console.acting import Actor
from lemo.console.catalogue.words import no_scenario
from lemo.console.language import t
from lemo.console.panels import Panel
from lemo.console.shown import address
from lemo.console.theme import empty, heading, section
from lemo.console.users.reads import FOUND, UserReads
from lemo.console.users.receipt import receipt_card
from lemo.console.visitor import Visitor
from lemo.domain.errors import LemoError
from lemo.domain.ids import canonical_id
from lemo.domain.scope import Scope

SETTLED_MS = 300
"""How long typing must rest before users are looked up."""


class UsersPage:
    """The users of one visitor's scenario."""

    def __init__(
        self,
        reads: UserReads,
        access: Access,
        visitor: Visitor,
        scenarios: Sequence[str],
        scenario: str,
        search: str,
    ) -> None:
        self._reads = reads
        self._visitor = visitor
        self._scenarios = list(scenarios)
        self._scenario = scenario or scenarios[0]
        self._search = search
        self._actor = Actor(access, visitor)

    def build(self) -> None:
        """Lays the page out."""
        with section():
            with ui.row().classes("items-start w-full gap-3"):
                ui.select(
                    self._scenarios, value=self._scenario, label=t("Scenario", "场景"), on_change=self._chose
                ).props("outlined dense").classes("w-full sm:w-44")
                self._input = (
                    ui.input(t("User id, or a part of it", "用户编号或其中一部分"), value=self._search)
                    .props(f"outlined dense clearable debounce={SETTLED_MS} autocomplete=off")
                    .classes("w-full sm:w-72")
                    .on_value_change(self._searched)
                    # What was typed, which the page is told only when typing has rested.
                    .on("keydown.enter", self._entered, js_handler="(event) => emit(event.target.value)")
                )
                ui.button(t("Open", "打开"), on_click=self._open).props("unelevated no-caps").tooltip(
                    t("Opens the user with exactly this id", "打开编号完全相同的用户")
                )
            with ui.element("div").classes("w-full mt-3"):
                self._found = Panel(self._read, self._draw, height=160)
        if self._visitor.may("admin"):
            with section():
                self._build_check()

    def _read(self) -> list[str]:
        return self._reads.find(Scope(self._visitor.tenant_id, self._scenario), self._search)

    async def _chose(self, event: ValueChangeEventArguments[str]) -> None:
        self._scenario = event.value
        await self._show()

    async def _searched(self, event: ValueChangeEventArguments[str | None]) -> None:
        self._search = event.value or ""
        await self._show()

    async def _show(self) -> None:
        ui.navigate.history.replace(address("/users", scenario=self._scenario, search=self._search.strip()))
        await self._found.restart()

    def _entered(self, event: GenericEventArguments) -> None:
        self._go(str(event.args or ""))

    def _open(self) -> None:
        self._go(self._input.value or "")

    def _go(self, text: str) -> None:
        if text.strip():
            ui.navigate.to(self._address(text.strip()))

    def _address(self, user: str) -> str:
        return address("/user", scenario=self._scenario, user_id=user)

    def _draw(self, users: list[str]) -> None:
        if not users and self._search.strip():
            empty(
                "person_search",
                t("No user with events has such an id.", "没有此编号的用户有行为记录。"),
                t("Open shows what is known of exactly this id.", "点击打开可查看该编号的已知信息。"),
            )
            return
        if not users:
            empty(
                "group",
                t("No user has done anything yet.", "尚无用户行为。"),
                t("A user is known once an event of the user was taken in.", "收到用户的第一个事件后即可看到。"),
                f"lemo import events events.csv --scenario {self._scenario}",
            )
            return
        more = len(users) == FOUND
        ui.label(
            t(f"The {FOUND} with the newest activity", f"最近活跃的 {FOUND} 位")
            if more
            else t("By newest activity", "按最近活跃排序")
        ).classes("lemo-muted lemo-small")
        with ui.element("div").classes("grid grid-cols-1 sm:grid-cols-2 lg:grid-cols-4 gap-x-4 w-full mt-1"):
            for user in users:
                with ui.link(target=self._address(user)).classes(
                    "lemo-item flex items-center gap-2 no-underline min-w-0"
                ):
                    ui.icon("person", size="xs").classes("lemo-muted").props("aria-hidden=true")
                    ui.label(user).classes("lemo-link break-all")

    def _build_check(self) -> None:
        heading(t("Check a receipt", "核验回执"))
        ui.label(
            t(
                "The receipt of an erasure names the user by a hash. With the id, all stores are searched again.",
                "删除回执只保存用户编号的哈希。给出编号后会重新检索所有存储。",
            )
        ).classes("lemo-muted text-sm")
        with ui.row().classes("items-start w-full gap-3 mt-2"):
            self._receipt = ui.input(t("Receipt", "回执编号")).props("outlined dense autocomplete=off")
            self._receipt.classes("w-full sm:w-72")
            self._erased = ui.input(t("User id", "用户编号")).props("outlined dense autocomplete=off")
            self._erased.classes("w-full sm:w-56")
            self._check_button = ui.button(t("Search again", "重新检索"), on_click=self._check)
            self._check_button.props("flat no-caps color=secondary")
        self._checked = ui.column().classes("w-full")

    async def _check(self) -> None:
        receipt, user = (self._receipt.value or "").strip(), canonical_id(self._erased.value or "")
        if not receipt or not user:
            ui.notify(t("Give the receipt and the user's id.", "请填写回执编号和用户编号。"), type="warning")
            return
        self._check_button.props("loading")
        try:
            found = await self._actor.do(
                lambda: self._reads.check(self._visitor.tenant_id, receipt, user), role="admin"
            )
        finally:
            self._check_button.props(remove="loading")
        self._checked.clear()
        if not isinstance(found, LemoError):
            with self._checked:
                receipt_card(found)


async def users_page(reads: UserReads, access: Access, scenario: str, search: str) -> None:
    """Draws the users for whoever asks."""
    opened = await access.opened("/users", scenario=scenario, search=search)
    if opened is None:
        return
    visitor, scenarios = opened
    with framed("/users", visitor):
        if not scenarios:
            no_scenario()
            return
        UsersPage(reads, access, visitor, scenarios, scenario, search).build()
