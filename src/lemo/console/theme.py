"""The look of every page: frame, headings in two languages, badges, banners, and moments in words."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from urllib.parse import quote

from nicegui import app, ui

from lemo.domain.errors import LemoError

LEMON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32" width="32" height="32">'
    '<path d="M4 25c-2-9 2-18 13-20 3-.6 4 .2 6-1.6.8-.7 2 .2 1.6 1.3-.5 1.7.6 3 1.3 4.8C29 19 21 28 11 27'
    'c-2.2-.2-3.3.2-4.6 1-1.2.7-2.7-1-2.4-3z" fill="#facc15"/>'
    '<path d="M8.5 20c.3-5 3.5-9 8.5-10.5" stroke="#fff" stroke-width="2.2" fill="none"/></svg>'
)
CSS = """
body { background: #f8fafc; color: #0f172a; font-family: Roboto, "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei",
  sans-serif; }
.lemo-card { background: #fff; border: 1px solid #e2e8f0; border-radius: 12px; box-shadow: 0 1px 2px rgb(15 23 42 / 4%);
  padding: 16px; }
.lemo-zh { color: #94a3b8; font-size: .78em; font-weight: 400; margin-left: .5em; }
.lemo-nav { text-decoration: none !important; color: #475569; padding: 6px 12px; border-radius: 8px; font-weight: 500;
  white-space: nowrap; }
.lemo-nav:hover { background: #f1f5f9; }
.lemo-nav.here { background: #fef9c3; color: #854d0e; }
.lemo-badge { border-radius: 999px; padding: 2px 10px; font-size: 12px; font-weight: 500; white-space: nowrap;
  display: inline-block; line-height: 18px; }
.lemo-label { border-radius: 6px; padding: 1px 7px; font-size: 12px; background: #f1f5f9; color: #475569; }
.lemo-dot { width: 10px; height: 10px; border-radius: 50%; flex: none; }
.lemo-table { width: 100%; border-collapse: collapse; font-size: 14px; }
.lemo-table th { text-align: left; font-weight: 500; color: #64748b; font-size: 12px; padding: 6px 12px 6px 0;
  border-bottom: 1px solid #e2e8f0; white-space: nowrap; }
.lemo-table td { padding: 8px 12px 8px 0; border-bottom: 1px solid #f1f5f9; vertical-align: top; }
.lemo-table tr:last-child td { border-bottom: 0; }
.lemo-table th:not(:first-child), .lemo-table td:not(:first-child) { padding-left: 12px; }
.lemo-table td:first-child { min-width: 160px; }
.lemo-trouble .q-item { padding: 0; min-height: 36px; }
.lemo-table .number { text-align: right; font-variant-numeric: tabular-nums; }
.lemo-bar { height: 6px; border-radius: 3px; background: #fde047; }
.lemo-tile { width: 48px; height: 48px; border-radius: 10px; flex: none; display: flex; align-items: center;
  justify-content: center; font-size: 20px; font-weight: 600; color: #fff; object-fit: cover; }
.lemo-item { cursor: pointer; border-radius: 10px; padding: 8px; width: 100%; }
.lemo-item:hover, .lemo-item:focus-visible { background: #fefce8; outline: none; }
"""
GOOD, WEAK, BAD, QUIET = "#16a34a", "#d97706", "#dc2626", "#64748b"
COLOURS = {
    "ok": GOOD,
    "warning": WEAK,
    "missing": BAD,
    "absent": QUIET,
    "running": "#2563eb",
    "queued": QUIET,
    "failed": BAD,
    "skipped": QUIET,
}
_TILES = ("#0ea5e9", "#8b5cf6", "#ec4899", "#f97316", "#14b8a6", "#6366f1", "#84cc16", "#ef4444")
_PAGES = (
    ("/", "Overview", "总览"),
    ("/schedule", "Schedule", "定时任务"),
    ("/models", "Models", "模型"),
    ("/explore", "Explore", "推荐探索"),
)
_AUDIT = ("/audit", "Audit", "审计")


@contextmanager
def frame(
    path: str, tenant: str | None, account: str = "", may_leave: bool = False, audit: bool = False
) -> Iterator[None]:
    """The frame of a page: header with navigation, tenant and account, and a column for the content.

    `audit`: the visitor may see the audit log.
    """
    ui.add_css(CSS)
    ui.colors(primary="#a16207", secondary="#475569", accent="#facc15")
    ui.query(".nicegui-content").classes("p-0")
    header = ui.header().classes("items-center gap-2 px-4 py-2 flex-nowrap")
    with header.style("background:#fff; border-bottom:1px solid #e2e8f0; color:#0f172a"):
        with ui.link(target="/").classes("flex items-center gap-2 no-underline text-slate-900"):
            ui.html(LEMON, sanitize=False)
            ui.label("Lemo").classes("text-xl font-semibold max-sm:hidden")
        for target, english, chinese in (*_PAGES, *((_AUDIT,) if audit else ())) if tenant else ():
            with ui.link(target=target).classes("lemo-nav").classes("here" if target == path else ""):
                ui.html(_two(english, chinese), sanitize=False)
        ui.space()
        if tenant:
            ui.label(tenant).classes("lemo-label ellipsis").tooltip("Tenant 租户")
        if account:
            ui.label(account).classes("text-sm text-slate-600 ellipsis").tooltip("Account 账号")
        if may_leave:
            ui.button(icon="logout", on_click=_leave).props("flat round dense color=secondary").tooltip("Log out 退出")
    with ui.column().classes("w-full max-w-screen-xl mx-auto p-4 gap-4"):
        yield


def _leave() -> None:
    app.storage.user.clear()
    ui.navigate.to("/login")


def _two(english: str, chinese: str) -> str:
    return f'{english}<span class="lemo-zh" lang="zh">{chinese}</span>'


def heading(english: str, chinese: str) -> None:
    """A heading, its Chinese beside it."""
    with ui.element("h2").classes("text-lg font-semibold leading-6 m-0"):
        ui.html(_two(english, chinese), sanitize=False)


def badge(text: str, colour: str) -> ui.label:
    """A short state in its colour."""
    return ui.label(text).classes("lemo-badge").style(f"color:{colour}; background:{colour}1a")


def dot(colour: str) -> None:
    """A coloured dot."""
    ui.element("span").classes("lemo-dot").style(f"background:{colour}")


def banner(text: str, hint: str = "", colour: str = BAD) -> None:
    """What is wrong, in words, and what to do about it."""
    with ui.element("div").classes("lemo-card w-full").style(f"border-left:4px solid {colour}").props("role=status"):
        ui.label(text).classes("font-medium break-words")
        if hint:
            ui.label(hint).classes("text-sm text-slate-600 font-mono break-words")


def trouble(error: LemoError) -> None:
    """The banner of an error."""
    banner(error.message, error.hint)


def nothing(text: str) -> None:
    """What stands where there is nothing to show yet."""
    ui.label(text).classes("text-slate-500 text-sm")


def table(names: Sequence[str], numbers: Sequence[int]) -> ui.element:
    """A table with its head; use it as the context of its rows."""
    with ui.element("div").classes("w-full overflow-x-auto mt-2"), ui.element("table").classes("lemo-table"):
        with ui.element("thead"), ui.element("tr"):
            for place, name in enumerate(names):
                english, _, chinese = name.rpartition(" ")
                with ui.element("th").classes("number" if place in numbers else ""), ui.element("span"):
                    ui.label(english).classes("inline")
                    ui.label(chinese).classes("lemo-zh inline").props("lang=zh")
        return ui.element("tbody")


def cell(text: str, tooltip: str = "", number: bool = False) -> None:
    """A cell of plain text."""
    with ui.element("td").classes("number" if number else "whitespace-nowrap"):
        label = ui.label(text)
        if tooltip:
            label.tooltip(tooltip)


def tile(id: str, title: str, image_url: str) -> None:
    """The item's picture, or a coloured tile with its first character."""
    if image_url.startswith(("https://", "http://")):
        safe = quote(image_url, safe=":/?#[]@!$&'()*+,;=%~-._")
        # The address of the console is nobody else's business.
        ui.element("img").classes("lemo-tile").props("referrerpolicy=no-referrer loading=lazy alt=''").props["src"] = (
            safe
        )
        return
    colour = _TILES[sum(id.encode()) % len(_TILES)]
    with ui.element("div").classes("lemo-tile").style(f"background:{colour}").props("aria-hidden=true"):
        ui.label((title or id)[:1].upper())


def ago(moment: datetime | None, now: datetime | None = None) -> str:
    """How far a moment is from now, in words: `5 min ago`, `in 2 h`, `never`."""
    if moment is None:
        return "never"
    seconds = ((now or datetime.now(UTC)) - moment).total_seconds()
    size = abs(seconds)
    for limit, unit, name in ((90, 1, "s"), (5400, 60, "min"), (129_600, 3600, "h"), (float("inf"), 86_400, "days")):
        if size < limit:
            amount = f"{size / unit:.0f} {name}"
            return f"{amount} ago" if seconds >= 0 else f"in {amount}"
    raise AssertionError("unreachable: the last limit is infinite")


def stamp(moment: datetime | None) -> str:
    """A moment to the minute, in UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if moment else ""
