"""Small pieces of pages: headings, badges, banners, pictures of items, and what stands where there is nothing."""

from urllib.parse import quote

from nicegui import ui

from lemo.console.language import t
from lemo.console.sentences import error_words
from lemo.domain.errors import LemoError

GOOD, WEAK, BAD, QUIET, INFO = "var(--good)", "var(--weak)", "var(--bad)", "var(--quiet)", "var(--info)"
COLOURS = {
    "ok": GOOD,
    "warning": WEAK,
    "missing": BAD,
    "absent": QUIET,
    "running": INFO,
    "queued": QUIET,
    "failed": BAD,
    "skipped": QUIET,
}
"""Colours of states; they hold in light and dark."""
_TILES = ("#0369a1", "#6d28d9", "#be185d", "#c2410c", "#0f766e", "#4338ca", "#4d7c0f", "#b91c1c")


def outcome_words(outcome: str) -> str:
    """The outcome of a run in the language of the page."""
    words = {
        "ok": t("ok", "成功"),
        "running": t("running", "运行中"),
        "queued": t("queued", "排队中"),
        "failed": t("failed", "失败"),
        "skipped": t("skipped", "已跳过"),
    }
    return words.get(outcome, outcome)


def section(classes: str = "") -> ui.element:
    """A card; use it as the context of its contents."""
    return ui.element("section").classes(f"lemo-card w-full {classes}")


def heading(text: str) -> None:
    """The heading of a section."""
    with ui.element("h2").classes("text-base leading-6"):
        ui.label(text)


def subheading(text: str) -> None:
    """The heading of a part of a section."""
    with ui.element("div").classes("pt-4"), ui.element("h3").classes("text-sm break-words"):
        ui.label(text)


def badge(text: str, colour: str) -> ui.label:
    """A short state in its colour."""
    return ui.label(text).classes("lemo-badge").style(f"--tone:{colour}")


def dot(colour: str) -> None:
    """A coloured dot."""
    ui.element("span").classes("lemo-dot").style(f"background:{colour}").props("aria-hidden=true")


def banner(text: str, hint: str = "", colour: str = BAD, english: str = "") -> None:
    """What is wrong, in words, and what to do about it; `english` is what the product said, on pages in no English."""
    with ui.element("div").classes("lemo-card lemo-banner w-full").style(f"--tone:{colour}").props("role=status"):
        ui.label(text).classes("font-medium break-words")
        if hint:
            ui.label(hint).classes("lemo-muted text-sm break-words")
        if english:
            ui.label(english).classes("lemo-muted lemo-small break-words").props("lang=en")


def trouble(error: LemoError) -> None:
    """The banner of an error."""
    words = error_words(error)
    banner(words.what, words.hint, english=words.detail)


def nothing(text: str) -> None:
    """What stands where there is nothing to show yet, in one line."""
    ui.label(text).classes("lemo-muted text-sm")


def empty(icon: str, title: str, text: str, code: str = "") -> None:
    """What stands where a whole section has nothing yet: what is missing, and how it comes, with an example to copy."""
    with ui.element("div").classes("lemo-empty w-full"):
        ui.icon(icon, size="28px").classes("lemo-muted").props("aria-hidden=true")
        ui.label(title).classes("font-medium")
        ui.label(text).classes("lemo-muted text-sm max-w-xl")
        if code:
            copyable(code)


def copyable(code: str) -> None:
    """A command or request with a button that copies it."""
    with ui.row().classes("items-start gap-1 flex-nowrap max-w-full"):
        ui.label(code).classes("lemo-code text-left min-w-0")
        button = ui.button(icon="content_copy", on_click=lambda: _copy(code)).props("flat round dense size=sm")
        button.props("color=secondary").props["aria-label"] = t("Copy", "复制")


def _copy(code: str) -> None:
    ui.clipboard.write(code)
    ui.notify(t("Copied", "已复制"), type="positive")


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
