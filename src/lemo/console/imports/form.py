"""The form that says how a file is read: fields and their columns, words of actions, dates, encoding, delimiter."""

from collections.abc import Awaitable, Callable
from typing import Literal

from nicegui import ui

from lemo.console.imports.said import Said
from lemo.console.imports.work import Look
from lemo.console.language import t
from lemo.console.theme import subheading
from lemo.files.plan import REQUIRED
from lemo.intake.file_import import MODELS
from lemo.intake.import_counts import Kind

AUTO, OUT = "", "\0out"
"""Choices of a field beside the columns: what is guessed, and nothing."""
_LEFT_OUT = frozenset({"attributes", "deleted", "updated_at"})
"""Fields that are not offered: exports of our own name them."""
_GRID = "grid grid-cols-1 sm:grid-cols-2 lg:grid-cols-3 gap-3 w-full items-center"


class ReadingForm:
    """The form for one kind, drawn where it is made. `changed` is called when the visitor changed something."""

    def __init__(self, kind: Kind, changed: Callable[[], Awaitable[None]]) -> None:
        self._kind = kind
        self._changed_by_visitor = changed
        self._kept = ""
        self._filling = False
        self._look: Look | None = None
        self._mappings: list[str] = []
        with ui.row().classes("w-full items-center gap-2 mt-3"):
            label = t("As kept under", "按已保存的方式")
            self._mapping = ui.select({"": "–"}, value="", label=label, on_change=self._use_mapping)
            self._mapping.props("outlined dense").classes("w-full sm:w-64").set_visibility(False)
        subheading(t("Where each field comes from", "各字段来自哪一列"))
        self._fields: dict[str, ui.select] = {}
        with ui.element("div").classes(f"{_GRID} mt-2"):
            for name in MODELS[kind].model_fields:
                if name in _LEFT_OUT:
                    continue
                label = name + (" *" if name in REQUIRED[MODELS[kind]] else "")
                choice = ui.select({AUTO: "–"}, value=AUTO, label=label, on_change=self._changed)
                self._fields[name] = choice.props("outlined dense options-dense").classes("w-full")
        with ui.element("div").classes(f"{_GRID} mt-3"):
            self._build_rest()

    def _build_rest(self) -> None:
        self._action = ui.select(self._actions(), value="", label=t("Every row is", "每一行都是"))
        self._words = ui.input(t("Words of actions, such as 4=purchase, pv=view", "行为词，如 4=purchase, pv=view"))
        orders = {
            "": t("as the column tells", "由列判断"),
            "dmy": t("Day first", "日在前"),
            "mdy": t("Month first", "月在前"),
        }
        dates = t("Dates such as 11/12/2019", "形如 11/12/2019 的日期")
        self._order = ui.select(orders, value="", label=dates)
        self._encoding = ui.input(t("Encoding", "编码"), placeholder="utf-8, gb18030, cp1252")
        self._delimiter = ui.input(t("Delimiter", "分隔符"), placeholder=", ; | \\t")
        for each in (self._action, self._words, self._order, self._encoding, self._delimiter):
            each.props("outlined dense autocomplete=off").classes("w-full").on_value_change(self._changed)
        self._no_time = ui.checkbox(t("No times", "没有时间")).on_value_change(self._changed)
        for control in (self._action, self._words, self._no_time):
            control.set_visibility(self._kind == "events")

    @property
    def said(self) -> Said:
        """What the form says."""
        order: Literal["dmy", "mdy"] | None = None
        if self._order.value in ("dmy", "mdy"):
            order = self._order.value
        return Said(
            fields={name: each.value for name, each in self._fields.items() if each.value not in (AUTO, OUT, None)},
            leave_out=[name for name, each in self._fields.items() if each.value == OUT],
            action=self._action.value or "",
            words=self._words.value or "",
            no_time=bool(self._no_time.value),
            order=order,
            encoding=(self._encoding.value or "").strip(),
            delimiter=self._delimiter.value or "",
            kept=self._kept,
        )

    def fill(self, look: Look) -> None:
        """Shows what is guessed of each field, and offers the file's columns and the scenario's words."""
        self._look = look
        self._filling = True
        guessed = _guesses(look)
        for field, each in self._fields.items():
            options = {AUTO: guessed.get(field, "–"), OUT: t("leave out", "不读取")}
            told = [each.value] if each.value not in (AUTO, OUT, None) else []
            each.set_options(options | {name: name for name in [*look.columns, *told]}, value=each.value)
        actions = self._actions()
        self._action.set_options(actions, value=self._action.value if self._action.value in actions else "")
        names = [name for name, mapping in look.scenario.mappings.items() if mapping.kind == self._kind]
        if names != self._mappings:
            self._mappings = names
            self._mapping.set_options({"": "–"} | {name: name for name in names}, value=self._mapping.value)
            self._mapping.set_visibility(bool(names))
        self._filling = False

    def _actions(self) -> dict[str, str]:
        known = self._look.scenario.actions if self._look else ()
        return {"": t("as the column says", "以列为准")} | {name: name for name in known}

    def _changed(self) -> Awaitable[None] | None:
        # Not a coroutine: it would look at `_filling` when that is over.
        if self._filling:
            return None
        self._kept = ""
        return self._changed_by_visitor()

    def _use_mapping(self) -> Awaitable[None] | None:
        name = self._mapping.value or ""
        mapping = self._look.scenario.mappings.get(name) if self._look else None
        if self._filling or mapping is None:
            return None
        said = Said.of_mapping(name, mapping)
        self._filling = True
        for field, each in self._fields.items():
            column = OUT if field in said.leave_out else said.fields.get(field, AUTO)
            each.set_options(dict.fromkeys([AUTO, OUT, column], column), value=column)
        self._action.value, self._words.value, self._no_time.value = said.action, said.words, said.no_time
        self._order.value, self._encoding.value, self._delimiter.value = said.order or "", said.encoding, said.delimiter
        self._filling = False
        self._kept = name
        return self._changed_by_visitor()


def _guesses(look: Look) -> dict[str, str]:
    """For fields of which nothing is told, the column that they are read from."""
    found: dict[str, str] = {}
    for column in look.preview.columns if look.preview else ():
        name = column["from"].removeprefix("column ").removeprefix("always ")
        if column["from"].startswith(("column ", "always ")) and column["how"] != "given":
            named = column["how"] == "named so"
            found[column["field"]] = name if named else t(f"{name} (guessed)", f"{name}（推测）")
    return found
