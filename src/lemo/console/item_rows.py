"""Rows of items: picture, title, labels, and what an answer says of them."""

from collections.abc import Awaitable, Callable

from nicegui import ui

from lemo.console.language import t
from lemo.console.reasons import reason_words, unavailable_words
from lemo.console.shown import ShownItem, unavailable
from lemo.console.theme import BAD, GOOD, INFO, QUIET, WEAK, badge, tile

LABELS = 4
Choose = Callable[[ShownItem], Awaitable[None]]


def item_row(shown: ShownItem, choose: Choose | None = None, to: str = "", chosen: bool = False) -> ui.element:
    """A row; use it as the context of its contents. It acts when it is chosen, by mouse or keyboard, or is a link."""
    row = ui.element("a" if to else "div").classes("lemo-item flex items-center gap-3 flex-nowrap no-underline")
    # The picture stands below the heading, and the ground of the row reaches beyond it.
    row.style("color: inherit; width: calc(100% + 16px); margin: 0 -8px")
    if to:
        row.props["href"] = to
    if choose:

        async def act() -> None:
            await choose(shown)

        row.props("tabindex=0 role=button").props["aria-pressed"] = "true" if chosen else "false"
        row.on("click", act).on("keydown.enter", act).on("keydown.space.prevent", act)
    if chosen:
        row.classes("lemo-soft")
    return row


def picture(shown: ShownItem) -> None:
    """The item's picture."""
    tile(shown.item_id, shown.title, shown.item.image_url if shown.item else "")


def title_and_labels(shown: ShownItem, more: str = "") -> None:
    """Title, a line below it, and labels."""
    with ui.column().classes("gap-1 min-w-0 grow"):
        ui.label(shown.title).classes("font-medium break-words leading-5")
        if more:
            ui.label(more).classes("lemo-muted lemo-small break-words")
        labels(shown)


def labels(shown: ShownItem) -> None:
    """Some categories and tags, and whether the item may be shown."""
    if shown.item is None:
        return
    names = [*shown.item.categories, *shown.item.tags]
    why = unavailable(shown.item)
    if not names and not why:
        return
    with ui.row().classes("gap-1"):
        if why:
            badge(unavailable_words(why), WEAK)
        for name in names[:LABELS]:
            ui.label(name).classes("lemo-label max-w-40 ellipsis")
        if len(names) > LABELS:
            ui.label(f"+{len(names) - LABELS}").classes("lemo-label").tooltip(", ".join(names[LABELS:]))


def answered_row(
    place: int, shown: ShownItem, choose: Choose, chosen: bool, moved: int | str | None = "", mark: str = ""
) -> ui.element:
    """An item of an answer.

    `moved`: by how many places it rose, None where it is new, `gone` where it goes, empty where nobody compares.
    `mark` names the list in the page.
    """
    with item_row(shown, choose, chosen=chosen) as row:
        row.props["data-item"] = shown.item_id
        row.props["data-list"] = mark
        ui.label(str(place)).classes("lemo-muted lemo-number w-6 text-right flex-none")
        picture(shown)
        title_and_labels(shown, reason_words(shown.reason))
        with ui.column().classes("gap-1 w-16 flex-none items-end"):
            if moved != "":
                _moved(moved)
            if shown.explored:
                badge(t("explored", "探索"), INFO).tooltip(
                    t("Chance put this new item here, to learn of it.", "随机放入的新物品，用于学习。")
                )
            if shown.score is not None:
                ui.label(f"{shown.score:.2f}").classes("lemo-muted lemo-small lemo-number")
                share_bar(shown.share)
    return row


def share_bar(share: float) -> None:
    """A share from 0 to 1 as a bar."""
    with ui.element("div").classes("w-full lemo-soft rounded").props("aria-hidden=true"):
        ui.element("div").classes("lemo-bar").style(f"width:{max(4, round(100 * share))}%")


def _moved(by: int | str | None) -> None:
    if by is None:
        badge(t("new", "新"), GOOD)
    elif by == "gone":
        badge(t("goes", "移出"), QUIET)
    elif isinstance(by, int) and by:
        badge(f"▲{by}" if by > 0 else f"▼{-by}", GOOD if by > 0 else BAD).props["aria-label"] = (
            t(f"{by} up", f"上升 {by}") if by > 0 else t(f"{-by} down", f"下降 {-by}")
        )
