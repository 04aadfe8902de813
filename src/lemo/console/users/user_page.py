"""One user: history, tastes, what is answered now; merged into another user, and erased."""

from nicegui import ui

from lemo.console.access import Access
from lemo.console.acting import Actor
from lemo.console.catalogue.words import no_scenario
from lemo.console.formats import ago, stamp, whole
from lemo.console.frame import frame
from lemo.console.item_rows import item_row, picture, share_bar, title_and_labels
from lemo.console.language import t
from lemo.console.panels import Panel, panel
from lemo.console.reasons import reason_words
from lemo.console.shown import address
from lemo.console.tastes import tastes
from lemo.console.theme import QUIET, WEAK, badge, banner, heading, nothing, section
from lemo.console.users.changes import EraseDialog, MergeDialog
from lemo.console.users.reads import CurrentAnswer, KnownUser, UserReads
from lemo.console.visitor import Visitor
from lemo.domain.scope import Scope
from lemo.domain.similar_users import SimilarUsers


class UserPage:
    """One user of one visitor's scenario."""

    def __init__(self, reads: UserReads, access: Access, visitor: Visitor, scope: Scope, user_id: str) -> None:
        self._reads = reads
        self._visitor = visitor
        self._scope = scope
        self._user_id = user_id
        actor = Actor(access, visitor)
        self._erase = EraseDialog(reads, actor, scope, user_id, self._renew)
        self._merge = MergeDialog(reads, actor, scope, user_id)

    def build(self) -> None:
        """Lays the page out."""
        scenario = self._scope.scenario_id
        ui.link(t("← All users", "← 全部用户"), address("/users", scenario=scenario)).classes("lemo-link")
        with section(), ui.row().classes("items-start justify-between w-full gap-3"):
            with ui.column().classes("gap-1 min-w-0"):
                with ui.element("h2").classes("text-lg leading-6 break-all"):
                    ui.label(self._user_id)
                ui.label(scenario).classes("lemo-label")
            with ui.row().classes("gap-2"):
                ui.button(
                    t("Explore", "探索"),
                    icon="travel_explore",
                    on_click=lambda: ui.navigate.to(address("/explore", scenario=scenario, user=self._user_id)),
                ).props("flat no-caps color=secondary")
                if self._visitor.may("operator"):
                    ui.button(t("Merge", "合并"), icon="merge", on_click=self._merge.open).props(
                        "flat no-caps color=secondary"
                    )
                if self._visitor.may("admin"):
                    ui.button(t("Erase", "删除"), icon="person_remove", on_click=self._erase.open, color=None).props(
                        "flat no-caps"
                    ).style("color: var(--bad)")
        with ui.element("div").classes("grid grid-cols-1 lg:grid-cols-2 gap-4 w-full items-start"):
            with section():
                self._known = Panel(self._read_known, self._draw_known, height=320)
            with ui.column().classes("w-full gap-4 min-w-0"):
                self._answer = panel(
                    t("What is answered now", "当前推荐"), self._read_answer, self._draw_answer, height=320
                )
                panel(t("Similar users", "相似用户"), self._read_similar, self._draw_similar, height=80)

    async def _renew(self) -> None:
        await self._known.renew()
        await self._answer.renew()

    def _read_known(self) -> KnownUser:
        return self._reads.known(self._scope, self._user_id)

    def _read_answer(self) -> CurrentAnswer:
        return self._reads.answer(self._scope, self._user_id)

    def _read_similar(self) -> SimilarUsers:
        return self._reads.similar(self._scope, self._user_id)

    def _draw_similar(self, similar: SimilarUsers) -> None:
        if not similar.users:
            nothing(t("No user has a history like this one's.", "没有历史相似的用户。"))
        for each in similar.users:
            with ui.row().classes("items-center gap-3 w-full flex-nowrap"):
                to = address("/user", scenario=self._scope.scenario_id, user_id=each.user_id)
                ui.link(each.user_id, to).classes("lemo-link w-40 flex-none ellipsis")
                with ui.element("div").classes("grow"):
                    share_bar(each.score)
                ui.label(f"{each.score:.0%}").classes("lemo-muted lemo-small lemo-number w-10 text-right flex-none")

    def _draw_known(self, known: KnownUser) -> None:
        heading(t("Tastes", "兴趣偏好"))
        with ui.element("div").classes("w-full mt-2 mb-6"):
            tastes(known.profile)
        with ui.row().classes("items-baseline gap-2"):
            heading(t("History", "历史行为"))
            seen = known.overview.seen_items
            ui.label(t(f"{whole(seen)} items seen", f"已看 {whole(seen)} 个物品")).classes("lemo-muted lemo-small")
        for each, shown in known.history:
            to = address("/item", scenario=self._scope.scenario_id, item_id=each.item_id)
            with item_row(shown, to=to) as row:
                row.props["data-interaction"] = each.item_id
                picture(shown)
                with ui.column().classes("gap-0 min-w-0 grow"):
                    ui.label(shown.title).classes("text-sm font-medium break-words")
                    ui.label(ago(each.timestamp)).classes("lemo-muted lemo-small").tooltip(stamp(each.timestamp))
                badge(each.action + ("" if each.value is None else f" {each.value:g}"), QUIET)
        if not known.history:
            nothing(t("Nothing in the history.", "没有历史。"))

    def _draw_answer(self, answer: CurrentAnswer) -> None:
        if answer.degraded:
            banner(
                t(
                    "This answer was made without something: no model yet, or the history is out of reach.",
                    "此结果为降级结果：尚无模型，或无法读取历史。",
                ),
                "lemo doctor",
                WEAK,
            )
        for place, shown in enumerate(answer.items, start=1):
            to = address("/item", scenario=self._scope.scenario_id, item_id=shown.item_id)
            with item_row(shown, to=to) as row:
                row.props["data-item"] = shown.item_id
                ui.label(str(place)).classes("lemo-muted lemo-number w-6 text-right flex-none")
                picture(shown)
                title_and_labels(shown, reason_words(shown.reason))
        if not answer.items:
            nothing(t("There is nothing left to recommend to this user.", "没有可推荐给该用户的物品。"))
        if answer.model_version:
            ui.label(t(f"Model {answer.model_version}", f"模型 {answer.model_version}")).classes(
                "lemo-muted lemo-small mt-2"
            )


async def user_page(reads: UserReads, access: Access, scenario: str, user_id: str) -> None:
    """Draws one user for whoever asks."""
    opened = await access.opened("/users", scenario=scenario, user_id=user_id)
    if opened is None:
        return
    visitor, scenarios = opened
    with frame("/users", visitor, t("User", "用户")):
        if not scenarios:
            no_scenario()
            return
        UserPage(reads, access, visitor, Scope(visitor.tenant_id, scenario or scenarios[0]), user_id).build()
