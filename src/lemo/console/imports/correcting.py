"""How a dropped file is read: shown, corrected, and confirmed."""

import asyncio
from collections.abc import Sequence
from typing import Literal

from nicegui import ui

from lemo.console.acting import Actor, in_thread
from lemo.console.imports.said import Said
from lemo.console.imports.uploads import Upload, Uploads
from lemo.console.imports.words import on_the_page
from lemo.console.imports.work import Imports, Look
from lemo.console.language import t
from lemo.console.navigation import address
from lemo.console.queries import Queries, attempt
from lemo.console.tables import table, td, tr
from lemo.console.theme import banner, nothing, section, subheading, trouble
from lemo.domain.errors import LemoError
from lemo.domain.scope import Scope
from lemo.files.plan import REQUIRED
from lemo.files.proposal import kind_of
from lemo.intake.file_import import MODELS
from lemo.intake.import_counts import Kind
from lemo.intake.preview import Preview

AUTO, OUT = "", "\0out"
"""Choices of a field beside the columns: what is guessed, and nothing."""
PAUSE_SECONDS = 0.4
"""How long nothing must be typed before the file is looked at again."""
_LEFT_OUT = frozenset({"attributes", "deleted", "updated_at"})
"""Fields that are not offered: exports of our own name them."""


class Correction:
    """The form of one file, in a section of its page."""

    def __init__(
        self,
        queries: Queries,
        uploads: Uploads,
        imports: Imports,
        actor: Actor,
        scope: Scope,
        upload: Upload,
        scenarios: Sequence[str],
    ) -> None:
        self._queries = queries
        self._uploads = uploads
        self._imports = imports
        self._actor = actor
        self._scope = scope
        self._upload = upload
        self._kind: Kind = upload.kind or "events"
        self._looks = 0
        self._filling = False
        self._columns: list[str] = []
        self._mappings: list[str] | None = None
        with section() as self._section:
            with ui.row().classes("w-full items-center gap-3"):
                self._kinds = (
                    ui.toggle(
                        {"items": t("Items", "物品"), "events": t("Events", "行为")},
                        value=self._kind,
                        on_change=self._changed_kind,
                    )
                    .props("no-caps unelevated")
                    .classes("lemo-toggle")
                )
                ui.space()
                ui.select(
                    list(scenarios),
                    value=scope.scenario_id,
                    label=t("Into the scenario", "导入到场景"),
                    on_change=lambda event: ui.navigate.to(address("/import", scenario=event.value, file=upload.id)),
                ).props("outlined dense").classes("w-full sm:w-56")
            self._verdict = ui.element("div").classes("w-full mt-3").props("aria-live=polite")
            with self._verdict:
                nothing(t("The file is read …", "正在读取文件…"))
            self._form = ui.element("div").classes("w-full")
            self._rows = ui.element("div").classes("w-full").mark("first-rows")
            with ui.row().classes("w-full items-center gap-2 mt-4"):
                self._keep = (
                    ui.input(t("Keep how it is read as", "将读取方式保存为"))
                    .props("outlined dense autocomplete=off")
                    .classes("w-full sm:w-64")
                )
                ui.space()
                self._button = ui.button(t("Import", "导入"), icon="play_arrow", on_click=self._import)
                self._button.props("unelevated no-caps")
                self._button.set_enabled(False)
        ui.timer(0, self._begin, once=True)

    async def _begin(self) -> None:
        if self._upload.kind is None:
            path = self._uploads.path(self._upload)
            kind = await in_thread(lambda: attempt(lambda: kind_of(path)))
            if not isinstance(kind, LemoError):
                self._kind = kind
        self._kinds.set_enabled(True)
        if self._kinds.value == self._kind:
            self._build_form()
            await self._look()
        else:
            self._kinds.value = self._kind

    async def _changed_kind(self) -> None:
        self._kind = "items" if self._kinds.value == "items" else "events"
        self._build_form()
        await self._look()

    def _build_form(self) -> None:
        self._form.clear()
        self._mappings = None
        self._kept = ""
        events = self._kind == "events"
        with self._form:
            with ui.row().classes("w-full items-center gap-2 mt-3"):
                self._mapping = (
                    ui.select(
                        {"": "–"}, value="", label=t("As kept under", "按已保存的方式"), on_change=self._use_mapping
                    )
                    .props("outlined dense")
                    .classes("w-full sm:w-64")
                )
                self._mapping.set_visibility(False)
            subheading(t("Where each field comes from", "各字段来自哪一列"))
            self._fields: dict[str, ui.select] = {}
            with ui.element("div").classes("grid grid-cols-1 sm:grid-cols-2 lg:grid-cols-3 gap-3 w-full mt-2"):
                for name in MODELS[self._kind].model_fields:
                    if name in _LEFT_OUT:
                        continue
                    label = name + (" *" if name in REQUIRED[MODELS[self._kind]] else "")
                    choice = ui.select({AUTO: "–"}, value=AUTO, label=label, on_change=self._changed)
                    self._fields[name] = choice.props("outlined dense options-dense").classes("w-full")
            with ui.element("div").classes(
                "grid grid-cols-1 sm:grid-cols-2 lg:grid-cols-3 gap-3 w-full mt-3 items-center"
            ):
                self._action = ui.select(
                    {"": t("as the column says", "以列为准")}, value="", label=t("Every row is", "每一行都是")
                )
                self._words = ui.input(
                    t("Words of actions, such as 4=purchase, pv=view", "行为词，如 4=purchase, pv=view")
                )
                self._order = ui.select(
                    {
                        "": t("as the column tells", "由列判断"),
                        "dmy": t("Day first", "日在前"),
                        "mdy": t("Month first", "月在前"),
                    },
                    value="",
                    label=t("Dates such as 11/12/2019", "形如 11/12/2019 的日期"),
                )
                self._encoding = ui.input(t("Encoding", "编码"), placeholder="utf-8, gb18030, cp1252")
                self._delimiter = ui.input(t("Delimiter", "分隔符"), placeholder=", ; | \\t")
                self._no_time = ui.checkbox(t("No times", "没有时间"))
                for each in (self._action, self._words, self._order, self._encoding, self._delimiter):
                    each.props("outlined dense autocomplete=off").classes("w-full").on_value_change(self._changed)
                self._no_time.on_value_change(self._changed)
            for control in (self._action, self._words, self._no_time):
                control.set_visibility(events)

    def _said(self) -> Said:
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

    async def _changed(self) -> None:
        if self._filling:
            return
        self._kept = ""
        await self._look(PAUSE_SECONDS)

    async def _use_mapping(self) -> None:
        if self._filling:
            return
        name = self._mapping.value or ""
        stores, scope = self._queries.stores, self._scope
        found = await in_thread(lambda: attempt(lambda: stores.scenarios.get(scope)))
        mapping = None if isinstance(found, LemoError) else found.mappings.get(name)
        if mapping is None:
            return
        said = Said.of_mapping(name, mapping)
        self._filling = True
        for field, each in self._fields.items():
            column = OUT if field in said.leave_out else said.fields.get(field, AUTO)
            each.set_options(dict.fromkeys([AUTO, OUT, column], column), value=column)
        self._action.value, self._words.value, self._no_time.value = said.action, said.words, said.no_time
        self._order.value, self._encoding.value, self._delimiter.value = said.order or "", said.encoding, said.delimiter
        self._filling = False
        self._kept = name
        await self._look()

    async def _look(self, pause: float = 0.0) -> None:
        self._looks += 1
        look = self._looks
        self._button.set_enabled(False)
        await asyncio.sleep(pause)
        if look != self._looks or self._section.is_deleted:
            return
        stores, kind, said = self._queries.stores, self._kind, self._said()

        def read() -> Look:
            return self._imports.look(stores, self._scope, self._upload, kind, said.wishes(), said.leave_out)

        found = await in_thread(lambda: attempt(read))
        if look == self._looks and not self._section.is_deleted:
            self._draw(found)

    def _draw(self, found: Look | LemoError) -> None:
        self._verdict.clear()
        self._rows.clear()
        if isinstance(found, LemoError):
            with self._verdict:
                trouble(found)
            return
        self._fill_choices(found)
        preview = found.preview
        with self._verdict:
            if found.error is not None:
                banner(on_the_page(found.error.message), on_the_page(found.error.hint))
            if preview is None:
                return
            ui.label(f"{preview.path.name}: {preview.form}").classes("text-sm break-words")
            for note in preview.notes:
                ui.label(on_the_page(note)).classes("text-sm break-words").style("color:var(--weak)")
            for column in preview.columns:
                if column["field"] == "action" and column["from"].startswith("the word "):
                    word, action = column["from"].removeprefix("the word "), column["how"].rpartition(": ")[2]
                    ui.label(t(f"The word {word} is taken for {action}.", f"词 {word} 视为 {action}。")).classes(
                        "text-sm"
                    )
            if preview.attributes:
                names = ", ".join(preview.attributes)
                ui.label(t(f"Attributes: {names}", f"属性：{names}")).classes("text-sm lemo-muted break-words")
        with self._rows:
            _draw_rows(preview)
        self._button.set_enabled(bool(preview.rows))

    def _fill_choices(self, found: Look) -> None:
        """Shows what is guessed of each field, and offers the file's columns."""
        self._filling = True
        guessed: dict[str, str] = {}
        for column in found.preview.columns if found.preview else ():
            name = column["from"].removeprefix("column ").removeprefix("always ")
            if column["from"].startswith(("column ", "always ")) and column["how"] != "given":
                guessed[column["field"]] = (
                    name if column["how"] == "named so" else t(f"{name} (guessed)", f"{name}（推测）")
                )
        for field, each in self._fields.items():
            options = {AUTO: guessed.get(field, "–"), OUT: t("leave out", "不读取")}
            columns = dict.fromkeys([*found.columns, *([each.value] if each.value not in (AUTO, OUT, None) else [])])
            each.set_options(options | {name: name for name in columns}, value=each.value)
        actions = {"": t("as the column says", "以列为准")} | {name: name for name in found.scenario.actions}
        self._action.set_options(actions, value=self._action.value if self._action.value in actions else "")
        names = [name for name, mapping in found.scenario.mappings.items() if mapping.kind == self._kind]
        if names != self._mappings:
            self._mappings = names
            self._mapping.set_options({"": "–"} | {name: name for name in names}, value=self._mapping.value)
            self._mapping.set_visibility(bool(names))
        self._filling = False

    async def _import(self) -> None:
        stores, scope, kind, said = self._queries.stores, self._scope, self._kind, self._said()
        name, by = (self._keep.value or "").strip(), self._actor.visitor.by

        def begin() -> Upload:
            wishes = said.wishes()
            if name and name != said.kept:
                self._imports.keep_mapping(stores, scope, self._upload, kind, wishes, said.leave_out, name, by)
            return self._imports.start(scope, self._upload, kind, wishes, said.leave_out, by)

        self._button.set_enabled(False)
        begun = await self._actor.do(begin)
        if isinstance(begun, LemoError):
            self._button.set_enabled(True)
        else:
            ui.navigate.to(address("/import", scenario=scope.scenario_id, file=begun.id))


def _draw_rows(preview: Preview) -> None:
    for reason, count in preview.rejected.items():
        banner(
            t(
                f"{count:,} of the first {preview.read:,} rows would be rejected.",
                f"前 {preview.read:,} 行中有 {count:,} 行会被拒绝。",
            ),
            reason,
        )
    if not preview.rows:
        return
    subheading(t("The first rows as they would be imported", "导入后的前几行"))
    names = list(dict.fromkeys(name for row in preview.rows for name in row))
    with table(names):
        for row in preview.rows:
            with tr():
                for name in names:
                    with td():
                        value = row.get(name, "")
                        ui.label(str(value)[:120]).classes("break-words lemo-small")
