"""A question before something is done."""

from nicegui import ui

from lemo.console.language import t


async def confirmed(question: str, text: str = "", do: str = "", danger: bool = False) -> bool:
    """Asks, and returns whether the visitor said yes. `do`: the word on the button; `danger` makes it red."""
    with ui.dialog() as dialog, ui.card().classes("w-full max-w-md gap-3"):
        ui.label(question).classes("text-lg font-semibold break-words")
        if text:
            ui.label(text).classes("lemo-muted text-sm break-words")
        with ui.row().classes("w-full justify-end gap-2"):
            ui.button(t("Cancel", "取消"), on_click=lambda: dialog.submit(False)).props(
                "flat no-caps color=secondary autofocus"
            )
            ui.button(do or t("Do it", "确认"), on_click=lambda: dialog.submit(True)).props("unelevated no-caps").props(
                "color=negative" if danger else "color=primary"
            )
    try:
        return bool(await dialog)
    finally:
        dialog.delete()
