"""The recommendation explorer: a user's history and tastes beside the answers and beside why an item is in them."""

from collections.abc import Mapping, Sequence

from nicegui import ui
from nicegui.events import GenericEventArguments, ValueChangeEventArguments

from lemo.console.access import Access, framed
from lemo.console.acting import Actor, in_thread
from lemo.console.catalogue.reads import CatalogueReads
from lemo.console.catalogue.words import no_scenario
from lemo.console.explorer.answers import AnswerLists, Answers
from lemo.console.explorer.inspector import Inspector
from lemo.console.explorer.reads import ExplorerReads, Versions
from lemo.console.explorer.state import State
from lemo.console.explorer.trial import TrialPanel
from lemo.console.explorer.user import UserPart
from lemo.console.explorer.wishes import LENGTHS, Wishes, as_command, checked_user, page_address, wishes_of
from lemo.console.language import t
from lemo.console.panels import Panel
from lemo.console.queries import attempt
from lemo.console.sentences import told
from lemo.console.shown import ShownItem
from lemo.console.theme import empty, nothing, section, trouble
from lemo.domain.errors import LemoError
from lemo.domain.ids import canonical_id
from lemo.domain.scope import Scope

SETTLED_MS = 250
"""How long typing must rest before users are looked up."""


class ExplorePage:
    """The explorer of one visitor."""

    def __init__(
        self,
        reads: ExplorerReads,
        catalogue: CatalogueReads,
        actor: Actor,
        scenarios: Sequence[str],
        state: State,
        api: str,
    ) -> None:
        self._reads = reads
        self._actor = actor
        self._scenarios = list(scenarios)
        self._state = state
        self._api = api
        self._before: list[str] | None = None
        """The answer before the visitor acted as the user."""
        self._lists = AnswerLists(self._choose)
        self._user = UserPart(reads, state, self._choose)
        self._inspector = Inspector(reads, catalogue, actor, state, self._choose, self._send)

    def build(self) -> None:
        """Lays the page out; what the address asks for is looked up at once."""
        state = self._state
        with section():
            with ui.row().classes("items-start w-full gap-3"):
                ui.select(
                    self._scenarios, value=state.scope.scenario_id, label=t("Scenario", "场景"), on_change=self._chose
                ).props("outlined dense").classes("w-full sm:w-44")
                self._input = (
                    ui.input(t("User", "用户"), value=state.user, on_change=self._typed)
                    .props(f"outlined dense clearable debounce={SETTLED_MS} autocomplete=off")
                    .classes("w-full sm:w-72")
                    # What was typed, which the page is told only when typing has rested.
                    .on("keydown.enter", self._entered, js_handler="(event) => emit(event.target.value)")
                )
                ui.select(list(LENGTHS), value=state.n, label=t("Items", "数量"), on_change=self._chose_n).props(
                    "outlined dense"
                ).classes("w-24")
                ui.button(t("Show", "查看"), on_click=self._show).props("unelevated no-caps")
                ui.space()
                self._try = ui.button(t("Try changes", "试验变更"), icon="tune", on_click=self._toggle)
                self._try.props("flat no-caps color=secondary")
            self._offered = Panel(self._read_users, self._draw_users, height=28, classes="w-full mt-2")
        self.body()

    @ui.refreshable_method
    def body(self) -> None:
        """All that is known of the user; drawn anew for another user."""
        state = self._state
        if not state.user:
            empty(
                "travel_explore",
                t("Pick a user.", "请选择用户。"),
                t(
                    "You see the history, the tastes, what is answered and why, and can act as the user.",
                    "可查看历史、兴趣、推荐结果及理由，并以该用户操作。",
                ),
            )
            return
        with ui.element("div").classes("grid grid-cols-1 lg:grid-cols-3 gap-4 w-full items-start"):
            if state.trying:
                with ui.column().classes("lg:col-span-2 min-w-0 gap-4"):
                    with ui.element("div").classes("w-full min-w-0").props("id=answers"):
                        self._answers = Panel(self._read_answers, self._draw_answers, height=520)
                    self._inspector.build(wide=True)
                # On a phone the form stands before what it changes.
                with ui.element("div").classes("contents lg:flex lg:flex-col lg:gap-4 min-w-0"):
                    with section("order-first lg:order-none"):
                        TrialPanel(state.wishes, self._read_versions, self._apply, self._command).build()
                    self._user.build()
                return
            self._user.build()
            with ui.element("div").classes("order-first lg:order-none min-w-0"):
                self._answers = Panel(self._read_answers, self._draw_answers, height=520)
            self._inspector.build()

    # What is read, each in a thread of its own.

    def _read_users(self) -> list[str] | LemoError:
        return attempt(lambda: self._reads.users(self._state.scope, self._input.value or ""))

    def _read_versions(self) -> Versions:
        return self._reads.versions(self._state.scope)

    def _read_answers(self) -> Answers:
        state, wishes = self._state, self._state.wishes
        base = self._reads.answer(state.scope, state.user, state.n, Wishes(), wishes.base)
        if not state.trying:
            return Answers(base)
        return Answers(
            base, attempt(lambda: self._reads.answer(state.scope, state.user, state.n, wishes, wishes.tried))
        )

    # What is drawn.

    def _draw_users(self, users: list[str] | LemoError) -> None:
        if isinstance(users, LemoError):  # any user may be typed
            nothing(t(f"Users cannot be offered now: {users.message}", f"暂时无法列出用户：{users.message}"))
            return
        if not users:
            nothing(t("No user with events has such an id.", "没有此编号的用户有行为记录。"))
            return
        with ui.row().classes("items-center gap-2 w-full"):
            ui.label(t("Recent", "最近")).classes("lemo-muted lemo-small")
            for user in users:
                ui.button(user, on_click=lambda user=user: self._pick(user)).props(
                    "outline dense no-caps size=sm color=secondary"
                ).classes("px-2 max-w-48 ellipsis")

    def _draw_answers(self, answers: Answers) -> None:
        self._lists.draw(answers, self._state.item, self._before)

    # What the visitor does.

    async def _typed(self) -> None:
        await self._offered.restart()

    def _entered(self, event: GenericEventArguments) -> None:
        self._pick(str(event.args or ""))

    def _pick(self, user: str) -> None:
        self._input.value = user
        self._show()

    async def _chose(self, event: ValueChangeEventArguments[str]) -> None:
        ui.navigate.to(page_address(event.value, "", self._state.n, Wishes()))

    def _chose_n(self, event: ValueChangeEventArguments[int]) -> None:
        self._state.n = event.value
        self._changed()

    def _show(self) -> None:
        try:
            user = checked_user(self._input.value or "")
        except LemoError as error:
            ui.notify(told(error), type="negative")
            return
        self._input.props(remove="error error-message")
        if not user:
            self._input.props("error").props["error-message"] = t("Type or pick a user.", "请输入或选择用户。")
            return
        self._state.user, self._before = canonical_id(user), None
        self._changed()

    def _toggle(self) -> None:
        self._state.trying = not self._state.trying
        if not self._state.trying:
            self._state.wishes = Wishes()
        self._changed()

    async def _apply(self, wishes: Wishes) -> None:
        self._state.wishes = wishes
        self._changed()
        # The button that was pressed is gone with the form. On a phone the answers stand below it.
        with self._actor.host:
            ui.run_javascript("if (innerWidth < 1024) document.getElementById('answers')?.scrollIntoView()")

    def _changed(self) -> None:
        """Keeps the state in the address, and draws it."""
        ui.navigate.history.replace(self._state.address)
        self.body.refresh()

    async def _choose(self, shown: ShownItem) -> None:
        self._state.item = shown.item_id
        ui.navigate.history.replace(self._state.address)
        self._lists.select(shown.item_id)
        await self._inspector.show()

    def _command(self, wishes: Wishes) -> str:
        return as_command(wishes, self._state.scope.scenario_id, self._state.user, self._state.n, self._api)

    async def _send(self, action: str, value: float | None) -> None:
        """Sends an event of the user, and shows what it changes once the consumer has taken it in."""
        state, by = self._state, self._actor.visitor.by
        before = await in_thread(lambda: attempt(self._read_answers))
        moment = await self._actor.do(
            lambda: self._reads.send(state.scope, state.user, state.item, action, value, by),
            t(f"Sent: {action}. The list follows within seconds.", f"已发送：{action}。列表数秒内更新。"),
        )
        if isinstance(moment, LemoError):
            return
        item = state.item
        taken = await in_thread(lambda: attempt(lambda: self._reads.taken(state.scope, state.user, item, moment)))
        with self._actor.host:
            if isinstance(taken, LemoError):
                ui.notify(str(taken), type="negative", multi_line=True)
            elif not taken:
                ui.notify(
                    t(
                        "The event is safe in the log, but no consumer has taken it yet: `lemo doctor`.",
                        "事件已安全写入日志，但消费者尚未处理：`lemo doctor`。",
                    ),
                    type="warning",
                    multi_line=True,
                )
        if isinstance(before, Answers) and not isinstance(before.base, LemoError):
            self._before = before.base.ids
        await self._answers.renew()
        await self._user.renew()
        await self._inspector.renew()


async def explore_page(
    reads: ExplorerReads,
    catalogue: CatalogueReads,
    access: Access,
    parameters: Mapping[str, str],
    boosts: Sequence[str],
    api: str,
) -> None:
    """Draws the explorer for whoever asks. `parameters` are those of the address, `boosts` its values of `boost`."""
    opened = await access.opened("/explore", **{**parameters, "boost": ""})
    if opened is None:
        return
    visitor, scenarios = opened
    with framed("/explore", visitor):
        if not scenarios:
            no_scenario()
            return
        try:
            wishes = wishes_of(parameters, boosts)
            user = checked_user(parameters["user"])
        except LemoError as error:
            trouble(error)
            return
        n = int(parameters["n"]) if parameters["n"].isdecimal() else LENGTHS[1]
        state = State(
            scope=Scope(visitor.tenant_id, parameters["scenario"] or scenarios[0]),
            user=user,
            n=n if n in LENGTHS else LENGTHS[1],
            item=parameters["item"],
            wishes=wishes,
            trying=wishes.some,
        )
        ExplorePage(reads, catalogue, Actor(access, visitor), scenarios, state, api).build()
