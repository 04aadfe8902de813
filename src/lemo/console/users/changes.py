"""The dialogs in which a user is erased, or merged into another one."""

from collections.abc import Awaitable, Callable

from nicegui import ui

from lemo.console.acting import Actor
from lemo.console.formats import whole
from lemo.console.language import t
from lemo.console.shown import address
from lemo.console.theme import heading
from lemo.console.users.reads import UserReads
from lemo.console.users.receipt import receipt_card
from lemo.domain.errors import LemoError
from lemo.domain.ids import canonical_id
from lemo.domain.scope import Scope


class EraseDialog:
    """Erases a user, once the id was typed; shows the receipt."""

    def __init__(
        self, reads: UserReads, actor: Actor, scope: Scope, user_id: str, erased: Callable[[], Awaitable[None]]
    ) -> None:
        self._reads = reads
        self._actor = actor
        self._scope = scope
        self._user_id = user_id
        self._erased = erased
        with ui.dialog() as self._dialog, ui.card().classes("w-full max-w-2xl gap-3"):
            self._body = ui.column().classes("w-full gap-3")

    def open(self) -> None:
        """Asks."""
        scenario = self._scope.scenario_id
        self._body.clear()
        with self._body:
            heading(t("Erase this user?", "删除该用户的全部数据？"))
            ui.label(
                t(
                    "History, events, profile and recommendations go from every store, those of merged guests too, and "
                    "do not come back when they are sent again. This cannot be undone.",
                    "历史、事件、画像和推荐将从所有存储中删除，包括已合并的访客；重新发送也不会恢复。此操作不可撤销。",
                )
            ).classes("text-sm break-words")
            self._where = ui.radio(
                {"": t("In all scenarios", "所有场景"), scenario: t(f"Only in {scenario}", f"仅 {scenario}")}, value=""
            )
            self._typed = ui.input(
                t(f"Type {self._user_id} to confirm", f"输入 {self._user_id} 以确认"), on_change=self._check
            )
            self._typed.props("outlined dense autocomplete=off spellcheck=false").classes("w-full")
            with ui.row().classes("w-full justify-end gap-2"):
                ui.button(t("Cancel", "取消"), on_click=self._dialog.close).props("flat no-caps color=secondary")
                self._button = ui.button(t("Erase", "删除"), on_click=self._do).props(
                    "unelevated no-caps color=negative"
                )
                self._button.set_enabled(False)
        self._dialog.open()

    def _check(self) -> None:
        self._button.set_enabled(self._typed.value == self._user_id)

    async def _do(self) -> None:
        where, by = self._where.value or "", self._actor.visitor.by
        if self._typed.value != self._user_id:
            return
        self._button.props("loading")
        self._dialog.props("persistent")
        try:
            receipt = await self._actor.do(
                lambda: self._reads.erase(self._scope.tenant_id, self._user_id, where, by), role="admin"
            )
        finally:
            self._button.props(remove="loading")
            self._dialog.props(remove="persistent")
        if isinstance(receipt, LemoError):
            return
        self._body.clear()
        with self._body:
            heading(t("Erased", "已删除"))
            receipt_card(receipt)
            with ui.row().classes("w-full justify-end"):
                ui.button(t("Close", "关闭"), on_click=self._dialog.close).props("flat no-caps color=secondary")
        await self._erased()


class MergeDialog:
    """Merges a user into another one."""

    def __init__(self, reads: UserReads, actor: Actor, scope: Scope, user_id: str) -> None:
        self._reads = reads
        self._actor = actor
        self._scope = scope
        self._user_id = user_id
        with ui.dialog() as self._dialog, ui.card().classes("w-full max-w-md gap-3"):
            self._body = ui.column().classes("w-full gap-3")

    def open(self) -> None:
        """Asks into whom."""
        scenario = self._scope.scenario_id
        self._body.clear()
        with self._body:
            heading(t("Merge into another user", "合并到另一用户"))
            ui.label(
                t(
                    f"All that {self._user_id} did, and will do, becomes the other user's. This cannot be undone.",
                    f"{self._user_id} 过去和将来的行为都归入另一用户。此操作不可撤销。",
                )
            ).classes("text-sm break-words")
            self._into = ui.input(t("Id of the other user", "另一用户的编号")).props("outlined dense autocomplete=off")
            self._into.classes("w-full")
            self._where = ui.radio(
                {"": t("In all scenarios", "所有场景"), scenario: t(f"Only in {scenario}", f"仅 {scenario}")}, value=""
            )
            with ui.row().classes("w-full justify-end gap-2"):
                ui.button(t("Cancel", "取消"), on_click=self._dialog.close).props("flat no-caps color=secondary")
                self._button = ui.button(t("Merge", "合并"), on_click=self._do).props("unelevated no-caps")
        self._dialog.open()

    async def _do(self) -> None:
        into, where, by = canonical_id(self._into.value or ""), self._where.value or "", self._actor.visitor.by
        if not into:
            self._into.props("error")
            return
        self._button.props("loading")
        try:
            merged = await self._actor.do(
                lambda: self._reads.merge(self._scope.tenant_id, self._user_id, into, where, by)
            )
        finally:
            self._button.props(remove="loading")
        if isinstance(merged, LemoError):
            return
        self._body.clear()
        with self._body:
            heading(t("Merged", "已合并"))
            ui.label(
                t(
                    f"{whole(merged.events)} events are {merged.into}'s now.",
                    f"{whole(merged.events)} 个事件已归入 {merged.into}。",
                )
            )
            ui.link(
                t("Open that user", "打开该用户"),
                address("/user", scenario=self._scope.scenario_id, user_id=into),
            ).classes("lemo-link")
            with ui.row().classes("w-full justify-end"):
                ui.button(t("Close", "关闭"), on_click=self._dialog.close).props("flat no-caps color=secondary")
