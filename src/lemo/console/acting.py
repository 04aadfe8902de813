"""What a visitor does on a page: allowed by his role, outside of the event loop, and told when it is done."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from nicegui import ui

from lemo.console.access import Access
from lemo.console.dialogs import confirmed
from lemo.console.queries import attempt
from lemo.console.sentences import told
from lemo.console.visitor import Visitor
from lemo.domain.account import AccountRole
from lemo.domain.errors import LemoError
from lemo.threads import run_in_thread

Value = TypeVar("Value")


class Actor:
    """Acts for the visitor of one page.

    It is made where the page is, so that its dialogs outlive panels that are drawn anew.
    """

    def __init__(self, access: Access, visitor: Visitor) -> None:
        self._access = access
        self.visitor = visitor
        self.host = ui.element("div").classes("hidden")
        """Where dialogs are put."""

    def may(self, role: AccountRole = "operator") -> bool:
        """Whether the visitor's role allows an action, to draw its button or not."""
        return self.visitor.may(role)

    async def do(
        self,
        action: Callable[[], Value],
        done: str | Callable[[Value], str] = "",
        role: AccountRole = "operator",
    ) -> Value | LemoError:
        """Does it in a thread, and shows `done` or the error; returns its value or the error."""

        def allowed() -> Value:
            self._access.require(self.visitor, role)
            return action()

        result = await in_thread(lambda: attempt(allowed))
        with self.host:
            if isinstance(result, LemoError):
                ui.notify(told(result), type="negative", multi_line=True, timeout=10_000)
            elif text := done if isinstance(done, str) else done(result):
                ui.notify(text, type="positive", multi_line=True)
        return result

    async def sure(self, question: str, text: str = "", do: str = "", danger: bool = False) -> bool:
        """Asks before something is done."""
        with self.host:
            return await confirmed(question, text, do, danger)


async def in_thread(call: Callable[[], Value]) -> Value:
    """The value of a call that blocks, from a thread of its own: an engine that hangs keeps no other page waiting."""
    return await asyncio.shield(asyncio.wrap_future(run_in_thread(call, "page")))
