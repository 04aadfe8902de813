"""The tastes of a user: the labels that he likes, each with its weight."""

from nicegui import ui

from lemo.console.item_rows import share_bar
from lemo.console.language import t
from lemo.console.theme import nothing
from lemo.recommenders.profiles import UserProfile

SHOWN = 5
"""Labels of each kind."""


def tastes(profile: UserProfile | None) -> None:
    """Draws the tastes; None before the first profile run."""
    if profile is None:
        nothing(
            t(
                "No profile yet: the job update-user-profiles-2hours writes them.",
                "尚无画像：由任务 update-user-profiles-2hours 生成。",
            )
        )
        return
    kinds = (
        (t("Categories", "类别"), profile.categories),
        (t("Tags", "标签"), profile.tags),
        (t("Authors", "作者"), profile.authors),
    )
    if not any(found for _, found in kinds):
        nothing(t("The items of the history have no categories, tags or authors.", "历史物品没有类别、标签或作者。"))
    with ui.column().classes("w-full gap-2"):
        for name, found in kinds:
            if found:
                ui.label(name).classes("lemo-muted lemo-small")
            for taste in found[:SHOWN]:
                with ui.row().classes("items-center gap-3 w-full flex-nowrap"):
                    ui.label(taste.label).classes("text-sm w-32 flex-none ellipsis").tooltip(taste.label)
                    with ui.element("div").classes("grow"):
                        share_bar(taste.weight)
                    ui.label(f"{taste.weight:.0%}").classes(
                        "lemo-muted lemo-small lemo-number w-10 text-right flex-none"
                    )
