"""Tables. On a phone each row becomes a card whose cells name their column (console.css)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from nicegui import ui

from lemo.console.language import t

Record = TypeVar("Record")


def table(names: Sequence[str], numbers: Sequence[int] = ()) -> ui.element:
    """A table with its head; use it as the context of its rows. `numbers`: columns that stand at the right."""

    def head(place: int) -> None:
        if names[place]:
            ui.label(names[place]).classes("inline")
        else:  # a column of buttons
            ui.label(t("Actions", "操作")).classes("sr-only")

    return _table(names, numbers, head)


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


@dataclass(frozen=True, slots=True)
class Column(Generic[Record]):
    """A column that a table can be sorted by."""

    name: str
    key: Callable[[Record], float | str | None]
    """What it is sorted by; None comes last."""
    draw: Callable[[Record], object]
    number: bool = False
    means: str = ""
    """Its definition, shown on hover and focus."""


class SortedTable(Generic[Record]):
    """A table whose heads sort it, numbers the largest first. It is drawn where it is made."""

    def __init__(self, columns: Sequence[Column[Record]], rows: Sequence[Record], sort: int = 0) -> None:
        """`sort`: the column by which the table is sorted at first."""
        self._columns = list(columns)
        self._rows = list(rows)
        self._sort, self._falling = sort, columns[sort].number
        self._drawn()

    @ui.refreshable_method
    def _drawn(self) -> None:
        names = [column.name for column in self._columns]
        numbers = [place for place, column in enumerate(self._columns) if column.number]
        with _table(names, numbers, self._head):
            for record in self._in_order():
                with tr():
                    for column in self._columns:
                        with td("number" if column.number else ""):
                            column.draw(record)

    def _in_order(self) -> list[Record]:
        def key(record: Record) -> Any:
            return self._columns[self._sort].key(record)

        known = [record for record in self._rows if key(record) is not None]
        unknown = [record for record in self._rows if key(record) is None]
        return sorted(known, key=key, reverse=self._falling) + unknown

    def _head(self, place: int) -> None:
        column, here = self._columns[place], place == self._sort
        if here:
            order = "descending" if self._falling else "ascending"
            ui.context.slot.parent.props["aria-sort"] = order
        with ui.element("button").props("type=button").on("click", lambda: self._choose(place)) as button:
            button.props["aria-label"] = t(f"Sort by {column.name}", f"按{column.name}排序")
            if not column.number:
                ui.label(column.name)
            icon = ui.icon("arrow_downward" if self._falling else "arrow_upward", size="14px").props("aria-hidden=true")
            icon.style("" if here else "visibility:hidden")
            if column.number:  # above its numbers, which stand at the right
                ui.label(column.name)
            if column.means:
                button.tooltip(column.means)

    def _choose(self, place: int) -> None:
        self._falling = not self._falling if place == self._sort else self._columns[place].number
        self._sort = place
        self._drawn.refresh()


def _table(names: Sequence[str], numbers: Sequence[int], head: Callable[[int], object]) -> ui.element:
    heads = ";".join(f"--head-{place}:{_css_string(name)}" for place, name in enumerate(names, start=1) if name)
    with (
        ui.element("div").classes("w-full overflow-x-auto mt-2"),
        ui.element("table").classes("lemo-table").props("role=table") as whole,
    ):
        # A property, for `style` would take a name apart at its semicolons.
        whole.props["style"] = heads
        with ui.element("thead").props("role=rowgroup"), tr():
            for place in range(len(names)):
                kind = "number" if place in numbers else ""
                with ui.element("th").classes(kind).props("role=columnheader scope=col"):
                    head(place)
        # Roles are told, because browsers forget those of tables that are laid out otherwise.
        return ui.element("tbody").props("role=rowgroup")


def _css_string(text: str) -> str:
    escaped = (
        character if character.isalnum() or character in " @%-_." else f"\\{ord(character):x} " for character in text
    )
    return f'"{"".join(escaped)}"'
