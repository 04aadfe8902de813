"""The form in which an item is edited."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from nicegui import ui

from lemo.console.catalogue.form import Entry, changes_of, entries_of
from lemo.console.catalogue.reads import WholeItem
from lemo.console.catalogue.words import field_words, type_words
from lemo.console.language import t
from lemo.console.sentences import told
from lemo.console.theme import heading
from lemo.domain.errors import InvalidInput

TYPES = ("text", "number", "boolean", "list", "json")
Save = Callable[[Mapping[str, Any]], Awaitable[bool]]
Input = ui.input | ui.textarea


class EditDialog:
    """A dialog with all that an item has; `save` takes the changes and says whether they were taken."""

    def __init__(self, save: Save) -> None:
        self._save = save
        self._entries: list[Entry] = []
        self._inputs: list[Input] = []
        with ui.dialog() as self._dialog, ui.card().classes("w-full max-w-2xl gap-3"):
            self._form = ui.column().classes("w-full gap-3")

    def open(self, whole: WholeItem) -> None:
        """Shows the item as it is now."""
        self._entries, self._inputs = entries_of(whole.item, whole.types), []
        self._form.clear()
        with self._form:
            heading(t("Edit item", "编辑物品"))
            ui.label(whole.item.item_id).classes("lemo-muted lemo-small break-all")
            with ui.element("div").classes("grid grid-cols-1 sm:grid-cols-2 gap-3 w-full"):
                for entry in self._entries:
                    if not entry.is_attribute:
                        self._inputs.append(self._input(entry))
            heading(t("Attributes", "属性"))
            with ui.element("div").classes("grid grid-cols-1 sm:grid-cols-2 gap-3 w-full"):
                for entry in self._entries:
                    if entry.is_attribute:
                        self._inputs.append(self._input(entry))
            with ui.row().classes("w-full gap-3 items-start"):
                self._name = ui.input(t("New attribute", "新属性")).props("outlined dense").classes("grow min-w-32")
                self._type = ui.select(
                    {kind: type_words(kind) for kind in TYPES}, value="text", label=t("Type", "类型")
                )
                self._type.props("outlined dense").classes("w-32")
                self._value = ui.input(t("Value", "值")).props("outlined dense").classes("grow min-w-32")
            ui.label(
                t("An empty value removes. Lists have | between their parts.", "留空即删除；列表各项以 | 分隔。")
            ).classes("lemo-muted lemo-small")
            self._fault = ui.label().classes("text-sm break-words").style("color: var(--bad)").props("role=alert")
            self._fault.set_visibility(False)
            with ui.row().classes("w-full justify-end gap-2"):
                ui.button(t("Cancel", "取消"), on_click=self._dialog.close).props("flat no-caps color=secondary")
                self._button = ui.button(t("Save", "保存"), on_click=self._submit).props("unelevated no-caps")
        self._dialog.open()

    def _input(self, entry: Entry) -> Input:
        name = entry.name if entry.is_attribute else field_words(entry.name)
        label = f"{name} · {type_words(entry.type)}"
        if entry.name == "description" and not entry.is_attribute:
            return ui.textarea(label, value=entry.text).props("outlined dense autogrow").classes("w-full sm:col-span-2")
        found = ui.input(label, value=entry.text).props("outlined dense autocomplete=off").classes("w-full")
        if entry.type == "timestamp":
            found.props["placeholder"] = "2026-11-28T08:00:00Z"
        return found

    async def _submit(self) -> None:
        entries = list(self._entries)
        texts = [each.value or "" for each in self._inputs]
        if name := (self._name.value or "").strip():
            entries.append(Entry(name, self._type.value or "text", "", is_attribute=True))
            texts.append(self._value.value or "")
        try:
            changes = changes_of(entries, texts)
        except InvalidInput as error:
            self._fault.text = told(error)
            self._fault.set_visibility(True)
            return
        self._fault.set_visibility(False)
        if not changes:
            self._dialog.close()
            return
        self._button.props("loading")
        try:
            if await self._save(changes):
                self._dialog.close()
        finally:
            self._button.props(remove="loading")
