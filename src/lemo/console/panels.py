"""Panels: parts of a page that are drawn at once, and fill in when their engine has answered.

Each panel reads in a thread of its own, so one engine that hangs delays only its own panels, which say so. None reads
before the browser has painted the page: on one machine, engines would take the processor from it.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from nicegui import Client, ui

from lemo.console.language import t
from lemo.console.queries import attempt
from lemo.console.theme import WEAK, heading, section, trouble
from lemo.domain.errors import LemoError
from lemo.threads import run_in_thread

SLOW_SECONDS = 4.0
"""After how long a panel says that it still waits."""

AGING_SECONDS = 60.0
"""After how long an unchanged answer is drawn again: words such as `5 min ago` grow old."""

PAINT_SECONDS = 1.0
"""For how long panels wait for the paint; a browser paints nothing in a tab that nobody sees."""
_PAINTED = f"""
    return await new Promise(done => {{
        new PerformanceObserver(done).observe({{type: "paint", buffered: true}});
        setTimeout(done, {PAINT_SECONDS * 1000:.0f});
    }}).then(() => true)
"""
_paints: WeakKeyDictionary[Client, "asyncio.Task[None]"] = WeakKeyDictionary()

Value = TypeVar("Value")


class _Nothing:
    """What a panel shows before its first answer, which may be any value."""


class Panel(Generic[Value]):
    """A part of a page with what `read` returns, drawn by `draw`, where the panel is made.

    `read` runs in a thread and may raise LemoError, which the panel shows. `draw` runs in the page. `every`: seconds
    between readings; None reads once. `height`: pixels of the skeleton that stands there before the first answer.
    Panels that share a `turn` read only so many at a time, those that were made first at first; so they should ask the
    same engine.
    `failed` is called when the error is shown.
    """

    def __init__(
        self,
        read: Callable[[], Value],
        draw: Callable[[Value], object],
        *,
        every: float | None = None,
        height: int = 120,
        failed: Callable[[LemoError], None] | None = None,
        classes: str = "w-full",
        turn: asyncio.Semaphore | None = None,
    ) -> None:
        self._turn = turn
        self._failed = failed
        self._renewed = every is not None
        self._read = read
        self._draw = draw
        self._height = height
        self._every = every
        self._drawn = 0.0
        self._asked = 0
        self._waiting = False
        self._shown: Value | LemoError | _Nothing = _Nothing()
        with ui.element("div").classes(f"min-w-0 {classes}"):
            self._note = ui.element("div").classes("lemo-note w-full mb-3").props("role=status")
            self._note.set_visibility(False)
            with self._note:
                ui.icon("hourglass_top", size="18px").style(f"color:{WEAK}").props("aria-hidden=true")
                ui.label(
                    t(
                        "Still waiting for the engine of this part; the rest of the page works.",
                        "这一部分仍在等待引擎响应，页面其余部分可用。",
                    )
                )
            self._content = ui.element("div").classes("w-full min-w-0")
            with self._content:
                skeleton(height)
            if every is None:
                ui.timer(0, self.renew, once=True)
            else:
                ui.timer(every, self.renew)

    async def renew(self) -> None:
        """Reads anew, unless an answer is still awaited; draws only what has changed."""
        if not self._waiting:
            await self._ask()

    async def restart(self) -> None:
        """Reads anew because what is asked for has changed: an answer to an older question is not shown."""
        self._shown = _Nothing()
        self._content.clear()
        with self._content:
            skeleton(self._height)
        await self._ask()

    def draw_again(self) -> None:
        """Draws the last answer once more, because how it is drawn has changed."""
        if not isinstance(self._shown, _Nothing):
            self._draw_answer(self._shown)

    async def _ask(self) -> None:
        self._asked += 1
        question, self._waiting = self._asked, True
        self._note.set_visibility(False)
        answer = asyncio.create_task(self._answer())
        try:
            # `wait` and `shield` leave the thread's future alone when the visitor goes away.
            done, _ = await asyncio.wait({answer}, timeout=SLOW_SECONDS)
            if not done and question == self._asked:
                self._note.set_visibility(True)
            value = await asyncio.shield(answer)
        finally:
            if question == self._asked:
                self._waiting = False
        if question != self._asked or self._content.is_deleted or isinstance(value, _Nothing):
            return
        self._note.set_visibility(False)
        aging = self._every is not None and time.monotonic() - self._drawn > AGING_SECONDS
        if value == self._shown and not aging:
            return
        self._shown = value
        self._draw_answer(value)

    async def _answer(self) -> Value | LemoError | _Nothing:
        """What is read; nothing for a visitor who has gone while others had their turn."""
        client = self._content.client
        await _painted(client)
        async with self._turn or nullcontext():
            await client.connected()
            if client.is_deleted:
                return _Nothing()
            return await asyncio.wrap_future(run_in_thread(lambda: attempt(self._read), "panel"))

    def _draw_answer(self, value: Value | LemoError) -> None:
        self._drawn = time.monotonic()
        self._content.clear()
        with self._content:
            if isinstance(value, LemoError):
                trouble(value)
                if not self._renewed:
                    ui.button(t("Try again", "重试"), icon="refresh", on_click=self.restart).props(
                        "flat no-caps color=secondary"
                    )
                if self._failed:
                    self._failed(value)
            else:
                self._draw(value)


def panel(
    title: str,
    read: Callable[[], Value],
    draw: Callable[[Value], object],
    *,
    every: float | None = None,
    height: int = 120,
    classes: str = "",
    turn: asyncio.Semaphore | None = None,
) -> Panel[Value]:
    """A card with a heading and a panel below it."""
    with section(classes):
        heading(title)
        with ui.element("div").classes("w-full mt-3"):
            return Panel(read, draw, every=every, height=height, turn=turn)


async def _painted(client: Client) -> None:
    """Waits until the browser has painted the page once, or does not say so for long."""
    paint = _paints.get(client)
    if paint is None:
        paint = _paints[client] = asyncio.create_task(_paint(client))
    # The task is that of all panels, of which one may go away.
    await asyncio.shield(paint)


async def _paint(client: Client) -> None:
    with suppress(TimeoutError):
        await client.run_javascript(_PAINTED, timeout=2 * PAINT_SECONDS)


def skeleton(height: int) -> None:
    """What stands where something is still read."""
    ui.element("div").classes("lemo-skeleton w-full").style(f"height:{height}px").props("aria-busy=true")
