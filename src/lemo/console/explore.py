"""The recommendation explorer: a user's history, tastes and recommendations with reasons, and similar items.

It is long because a page is one nested description, read from top to bottom.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import urlencode

from nicegui import run, ui
from nicegui.events import ValueChangeEventArguments

from lemo.console.access import Access, framed
from lemo.console.formats import ago, stamp
from lemo.console.language import t
from lemo.console.queries import Exploration, Queries, ShownInteraction, ShownItem
from lemo.console.theme import QUIET, WEAK, badge, banner, heading, nothing, tile, trouble
from lemo.domain.errors import LemoError
from lemo.domain.item import Item
from lemo.domain.scope import Scope
from lemo.recommenders.profiles import Taste, UserProfile

LENGTHS = (5, 10, 20, 50)
SIMILAR = 10
TASTES = 5
"""Labels of each kind that are shown."""
SETTLED_SECONDS = 0.25
"""How long typing must rest before users are looked up."""


class ExplorePage:
    """The explorer of one visitor."""

    def __init__(self, queries: Queries, tenant_id: str, scenarios: Sequence[str], scenario: str, user: str) -> None:
        self._queries = queries
        self._tenant_id = tenant_id
        self._scenarios = list(scenarios)
        self._scenario = scenario or scenarios[0]
        self._user = user
        self._n = 10
        self._pictures = False
        self._found: Exploration | LemoError | None = None
        self._offered: list[str] = []
        self._similar: tuple[ShownItem, list[ShownItem], bool] | LemoError | None = None

    @property
    def _scope(self) -> Scope:
        return Scope(self._tenant_id, self._scenario)

    def build(self) -> None:
        """Lays the page out; what the address asks for is looked up at once."""
        with ui.element("section").classes("lemo-card w-full"):
            heading(t("Recommendation explorer", "推荐探索"))
            with ui.row().classes("items-center w-full gap-3 mt-3"):
                ui.select(
                    self._scenarios, value=self._scenario, label=t("Scenario", "场景"), on_change=self._chose_scenario
                ).props("outlined dense").classes("w-full sm:w-44")
                self._input = (
                    ui.input(t("User", "用户"), value=self._user, on_change=self._typed)
                    .props("outlined dense clearable autocomplete=off")
                    .classes("w-full sm:w-72")
                    .on("keydown.enter", self._show)
                )
                ui.select(
                    list(LENGTHS), value=self._n, label=t("How many", "数量"), on_change=self._chose_length
                ).props("outlined dense").classes("w-32")
                ui.button(t("Show", "查看"), on_click=self._show).props("unelevated no-caps")
                ui.switch(t("Pictures", "图片"), value=False, on_change=self._chose_pictures).tooltip(
                    t("Pictures load from the addresses that your items name", "图片从物品中的地址加载")
                )
            self.users()
        self.answer()
        with ui.dialog().props("position=right") as self._dialog, ui.card().classes("w-96 max-w-full h-full"):
            self.similar()
        ui.timer(0.05, self._start, once=True)

    async def _start(self) -> None:
        await self._offer("")
        if self._user:
            await self._show()

    async def _typed(self) -> None:
        text = (self._input.value or "").strip()
        await self._offer(text)

    async def _offer(self, text: str) -> None:
        """Offers users whose id contains the text; what was typed meanwhile makes the answer void."""
        try:
            users = await run.io_bound(self._queries.recent_users, self._scope, text)
        except LemoError:
            users = []  # any user may be typed; why the events are away stands on the overview
        if users is None or (self._input.value or "").strip() != text:
            return
        self._offered = users
        self.users.refresh()

    @ui.refreshable_method
    def users(self) -> None:
        """Users to pick from."""
        if not self._offered:
            return
        with ui.row().classes("items-center gap-2 mt-3 w-full"):
            ui.label(t("Recent", "最近")).classes("text-xs lemo-muted")
            for user in self._offered[:12]:
                ui.button(user, on_click=lambda user=user: self._pick(user)).props(
                    "outline dense no-caps size=sm color=secondary"
                ).classes("px-2 max-w-48 ellipsis").mark("user")

    async def _pick(self, user: str) -> None:
        self._input.value = user
        await self._show()

    async def _chose_scenario(self, event: ValueChangeEventArguments[str]) -> None:
        self._scenario = event.value
        self._found = None
        self._input.value = ""
        self.answer.refresh()
        await self._offer("")

    async def _chose_length(self, event: ValueChangeEventArguments[int]) -> None:
        self._n = event.value
        if self._found is not None:
            await self._show()

    def _chose_pictures(self, event: ValueChangeEventArguments[bool | None]) -> None:
        self._pictures = bool(event.value)
        self.answer.refresh()

    async def _show(self) -> None:
        self._user = (self._input.value or "").strip()
        if not self._user:
            self._input.props("error").props["error-message"] = t("Type or pick a user.", "请输入或选择用户。")
            return
        self._input.props(remove="error error-message")
        address = "/explore?" + urlencode({"scenario": self._scenario, "user": self._user})
        ui.navigate.history.replace(address)
        try:
            self._found = await run.io_bound(self._queries.explore, self._scope, self._user, self._n)
        except LemoError as error:
            self._found = error
        self.answer.refresh()

    @ui.refreshable_method
    def answer(self) -> None:
        """History, tastes and recommendations."""
        found = self._found
        if found is None:
            nothing(
                t(
                    "Pick a user to see the history, the recommendations and why.",
                    "选择一个用户，查看历史、推荐与理由。",
                )
            )
            return
        if isinstance(found, LemoError):
            trouble(found)
            return
        if found.degraded:
            text = t(
                "This answer was made without something: no model yet, or the history is out of reach.",
                "此结果为降级结果：尚无模型，或无法读取历史。",
            )
            banner(text, "lemo doctor" if found.model_version else "lemo jobs run train-model-daily --wait", WEAK)
        with ui.element("div").classes("grid grid-cols-1 lg:grid-cols-5 gap-4 w-full"):
            with ui.element("section").classes("lemo-card lg:col-span-2 min-w-0"):
                self._history(found.history)
                _tastes(found.profile)
            with ui.element("section").classes("lemo-card lg:col-span-3 min-w-0"):
                with ui.row().classes("items-center justify-between w-full mb-2"):
                    heading(t("Recommendations", "推荐结果"))
                    if found.model_version:
                        ui.label(t(f"model {found.model_version}", f"模型 {found.model_version}")).classes(
                            "lemo-label ellipsis max-w-full"
                        )
                if not found.items:
                    nothing(t("There is nothing left to recommend to this user.", "没有可推荐给该用户的物品。"))
                for place, shown in enumerate(found.items, start=1):
                    self._recommended(place, shown)

    def _history(self, history: Sequence[ShownInteraction] | LemoError) -> None:
        heading(t("History", "历史行为"))
        if isinstance(history, LemoError):
            trouble(history)
            return
        if not history:
            nothing(
                t(
                    "Nothing is known of this user: the answer is what anybody new gets.",
                    "该用户没有历史：结果与新用户相同。",
                )
            )
            return
        with ui.column().classes("w-full gap-0 mt-2"):
            for each in history:
                with self._row(each.shown):
                    with ui.column().classes("gap-0 min-w-0 grow"):
                        ui.label(each.shown.title).classes("text-sm font-medium break-words")
                        ui.label(ago(each.moment)).classes("text-xs lemo-muted").tooltip(stamp(each.moment))
                    value = "" if each.interaction.value is None else f" {each.interaction.value:g}"
                    badge(f"{each.interaction.action}{value}", QUIET)

    def _recommended(self, place: int, shown: ShownItem) -> None:
        with self._row(shown).mark("recommended"):
            ui.label(str(place)).classes("lemo-muted w-6 text-right flex-none")
            self._tile(shown)
            with ui.column().classes("gap-1 min-w-0 grow"):
                ui.label(shown.title).classes("font-medium break-words leading-5")
                _labels(shown)
                ui.label(shown.why).classes("text-xs lemo-muted break-words")
            with ui.column().classes("gap-1 w-20 flex-none items-end"):
                ui.label(f"{shown.score:.2f}").classes("text-xs lemo-muted")
                with ui.element("div").classes("w-full lemo-soft rounded"):
                    ui.element("div").classes("lemo-bar").style(f"width:{max(4, round(100 * shown.share))}%")

    def _row(self, shown: ShownItem) -> ui.row:
        """A row that shows similar items when it is chosen, by mouse or keyboard."""
        row = ui.row().classes("lemo-item items-center gap-3 flex-nowrap").props("tabindex=0 role=button")

        async def choose() -> None:
            await self._show_similar(shown)

        return row.on("click", choose).on("keydown.enter", choose)

    def _tile(self, shown: ShownItem) -> None:
        tile(shown.item_id, shown.title, shown.item.image_url if shown.item and self._pictures else "")

    async def _show_similar(self, shown: ShownItem) -> None:
        self._similar = None
        self.similar.refresh()
        self._dialog.open()
        try:
            self._similar = await run.io_bound(self._queries.similar, self._scope, shown.item_id, SIMILAR)
        except LemoError as error:
            self._similar = error
        self.similar.refresh()

    @ui.refreshable_method
    def similar(self) -> None:
        """One item and those most like it."""
        with ui.row().classes("items-center justify-between w-full flex-nowrap"):
            heading(t("Similar items", "相似物品"))
            ui.button(icon="close", on_click=lambda: self._dialog.close()).props("flat round dense color=secondary")
        if self._similar is None:
            ui.spinner(size="md")
            return
        if isinstance(self._similar, LemoError):
            trouble(self._similar)
            return
        shown, others, degraded = self._similar
        with ui.row().classes("items-center gap-3 flex-nowrap w-full"):
            self._tile(shown)
            with ui.column().classes("gap-1 min-w-0"):
                ui.label(shown.title).classes("font-semibold break-words")
                ui.label(shown.item_id).classes("text-xs lemo-muted break-all")
                _labels(shown)
        if shown.item and shown.item.description:
            ui.label(shown.item.description[:400]).classes("text-sm lemo-muted break-words")
        ui.separator()
        if degraded:
            nothing(t("Nothing similar is known yet; these are popular.", "尚无相似物品，以下为热门物品。"))
        for each in others:
            with self._row(each).mark("similar"):
                self._tile(each)
                with ui.column().classes("gap-1 min-w-0 grow"):
                    ui.label(each.title).classes("text-sm font-medium break-words")
                    with ui.element("div").classes("w-full lemo-soft rounded"):
                        ui.element("div").classes("lemo-bar").style(f"width:{max(4, round(100 * each.share))}%")


def _tastes(profile: UserProfile | LemoError | None) -> None:
    """The labels that the user likes, each with its weight."""
    with ui.column().classes("w-full gap-2 mt-6"):
        heading(t("Tastes", "兴趣偏好"))
        if isinstance(profile, LemoError):
            trouble(profile)
            return
        if profile is None:
            nothing(
                t(
                    "No profile yet: the job update-user-profiles-2hours writes them.",
                    "尚无画像：由任务 update-user-profiles-2hours 生成。",
                )
            )
            return
        kinds = (
            ("Categories", "类别", profile.categories),
            ("Tags", "标签", profile.tags),
            ("Authors", "作者", profile.authors),
        )
        for english, chinese, tastes in kinds:
            if tastes:
                ui.label(t(english, chinese)).classes("text-xs lemo-muted")
            for taste in tastes[:TASTES]:
                _taste(taste)


def _taste(taste: Taste) -> None:
    with ui.row().classes("items-center gap-3 w-full flex-nowrap").mark("taste"):
        ui.label(taste.label).classes("text-sm w-32 flex-none ellipsis").tooltip(taste.label)
        with ui.element("div").classes("grow lemo-soft rounded"):
            ui.element("div").classes("lemo-bar").style(f"width:{max(2, round(100 * taste.weight))}%")
        ui.label(f"{taste.weight:.0%}").classes("text-xs lemo-muted w-10 text-right flex-none")


def _labels(shown: ShownItem) -> None:
    if shown.item is None:
        return
    names = [*shown.item.categories, *shown.item.tags][:5]
    unseen = _unseen(shown.item)
    if names or unseen:
        with ui.row().classes("gap-1"):
            for name in names:
                ui.label(name).classes("lemo-label")
            if unseen:
                badge(unseen, WEAK)


def _unseen(item: Item) -> str:
    """Why the item is in no answer now; empty where it may be."""
    now = datetime.now(UTC)
    if item.visible_at(now):
        return ""
    if not item.recommendable:
        return t("inactive", "已下架")
    return t("not published yet", "未发布") if item.published_at and item.published_at > now else t("expired", "已过期")


async def explore_page(queries: Queries, access: Access, scenario: str, user: str) -> None:
    """Draws the explorer for whoever asks."""
    opened = await access.opened("/explore", scenario=scenario, user=user)
    if opened is None:
        return
    visitor, scenarios = opened
    with framed("/explore", visitor):
        if not scenarios:
            banner(
                t("There is no scenario yet.", "尚无场景。"), "lemo scenarios create shop --template ecommerce", WEAK
            )
            return
        ExplorePage(queries, visitor.tenant_id, scenarios, scenario, user).build()
