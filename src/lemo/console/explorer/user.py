"""The user in the explorer: tastes, and what the user did."""

from nicegui import ui

from lemo.console.explorer.reads import ExplorerReads, ShownInteraction
from lemo.console.explorer.state import State
from lemo.console.formats import ago, stamp
from lemo.console.item_rows import Choose, item_row, picture
from lemo.console.language import t
from lemo.console.panels import Panel
from lemo.console.tastes import tastes
from lemo.console.theme import QUIET, badge, heading, nothing, section

HISTORY_FIRST = 10
"""Interactions that are shown before somebody asks for more."""


class UserPart:
    """The part of the page about the user. `choose` is called with the item that the visitor chooses."""

    def __init__(self, reads: ExplorerReads, state: State, choose: Choose) -> None:
        self._reads = reads
        self._state = state
        self._choose = choose

    def build(self) -> None:
        """Draws it for the user of the state."""
        scope, user = self._state.scope, self._state.user
        with section():
            heading(t("Tastes", "兴趣偏好"))
            with ui.element("div").classes("w-full mt-2 mb-5"):
                Panel(lambda: self._reads.profile(scope, user), tastes, height=120)
            heading(t("History", "历史行为"))
            with ui.element("div").classes("w-full mt-2"):
                self._history = Panel(lambda: self._reads.history(scope, user), self._draw_history, height=240)

    async def renew(self) -> None:
        """Looks again what the user did."""
        await self._history.renew()

    def _draw_history(self, history: list[ShownInteraction]) -> None:
        if not history:
            nothing(
                t(
                    "Nothing is known of this user: the answer is what anybody new gets.",
                    "该用户没有历史：结果与新用户相同。",
                )
            )
            return
        for each in history[:HISTORY_FIRST]:
            self._interaction(each)
        if len(history) > HISTORY_FIRST:
            with ui.column().classes("w-full gap-0") as rest:
                for each in history[HISTORY_FIRST:]:
                    self._interaction(each)
            rest.set_visibility(False)

            def show() -> None:
                rest.set_visibility(True)
                more.delete()

            more = ui.button(t(f"Show all {len(history)}", f"显示全部 {len(history)} 条"), on_click=show)
            more.props("flat dense no-caps color=secondary")

    def _interaction(self, each: ShownInteraction) -> None:
        with item_row(each.shown, self._choose):
            picture(each.shown)
            with ui.column().classes("gap-0 min-w-0 grow"):
                ui.label(each.shown.title).classes("text-sm font-medium break-words")
                ui.label(ago(each.moment)).classes("lemo-muted lemo-small").tooltip(stamp(each.moment))
            value = "" if each.interaction.value is None else f" {each.interaction.value:g}"
            badge(f"{each.interaction.action}{value}", QUIET)
