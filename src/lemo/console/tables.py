"""Tables. On a phone each row becomes a card whose cells name their column (console.css)."""

from collections.abc import Sequence

from nicegui import ui


def table(names: Sequence[str], numbers: Sequence[int] = ()) -> ui.element:
    """A table with its head; use it as the context of its rows. `numbers`: columns that stand at the right."""
    heads = ";".join(f"--head-{place}:{_css_string(name)}" for place, name in enumerate(names, start=1) if name)
    with (
        ui.element("div").classes("w-full overflow-x-auto mt-2"),
        ui.element("table").classes("lemo-table").props("role=table"),
    ):
        # Not `style`, which would take semicolons within a name for its own.
        ui.context.slot.parent.props["style"] = heads
        with ui.element("thead").props("role=rowgroup"), ui.element("tr").props("role=row"):
            for place, name in enumerate(names):
                kind = "number" if place in numbers else ""
                with ui.element("th").classes(kind).props("role=columnheader scope=col"):
                    ui.label(name).classes("inline")
        # Roles are told, because browsers forget those of tables that are laid out otherwise.
        return ui.element("tbody").props("role=rowgroup")


def tr() -> ui.element:
    """A row; use it as the context of its cells."""
    return ui.element("tr").props("role=row")


def td(classes: str = "") -> ui.element:
    """A cell with contents of its own; use it as their context."""
    return ui.element("td").classes(classes).props("role=cell")


def cell(text: str, tooltip: str = "", number: bool = False) -> None:
    """A cell of plain text."""
    with td("number" if number else "whitespace-nowrap"):
        label = ui.label(text)
        if tooltip:
            label.tooltip(tooltip)


def _css_string(text: str) -> str:
    escaped = "".join(
        character if character.isalnum() or character in " @%-_." else f"\\{ord(character):x} " for character in text
    )
    return f'"{escaped}"'
