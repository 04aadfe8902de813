"""How a dropped file is read: shown, corrected, and confirmed."""

import asyncio
from collections.abc import Sequence

from nicegui import ui

from lemo.console.acting import Actor, in_thread
from lemo.console.imports.form import ReadingForm
from lemo.console.imports.notes import dialect_words
from lemo.console.imports.uploads import Upload, Uploads
from lemo.console.imports.words import on_the_page
from lemo.console.imports.work import Imports, Look
from lemo.console.language import t
from lemo.console.navigation import address
from lemo.console.queries import Queries, attempt
from lemo.console.refusals import refusal_words
from lemo.console.tables import table, td, tr
from lemo.console.theme import banner, nothing, section, subheading, trouble
from lemo.domain.errors import LemoError
from lemo.domain.scope import Scope
from lemo.files.proposal import kind_of
from lemo.intake.import_counts import Kind
from lemo.intake.preview import Preview

PAUSE_SECONDS = 0.4
"""How long nothing must be typed before the file is looked at again."""


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
        with section() as self._section:
            with ui.row().classes("w-full items-center gap-3"):
                # Chosen when it was guessed, so that no guess undoes a choice.
                self._kind_place = ui.element("div")
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
            self._form_place = ui.element("div").classes("w-full")
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
        if self._section.is_deleted:
            return
        kinds = {"items": t("Items", "物品"), "events": t("Events", "行为")}
        with self._kind_place:
            self._kinds = ui.toggle(kinds, value=self._kind, on_change=self._changed_kind)
            self._kinds.props("no-caps unelevated").classes("lemo-toggle")
        self._build_form()
        await self._look()

    async def _changed_kind(self) -> None:
        self._kind = "items" if self._kinds.value == "items" else "events"
        self._build_form()
        await self._look()

    def _build_form(self) -> None:
        self._form_place.clear()
        with self._form_place:
            self._form = ReadingForm(self._kind, lambda: self._look(PAUSE_SECONDS))

    async def _look(self, pause: float = 0.0) -> None:
        self._looks += 1
        look = self._looks
        self._button.set_enabled(False)
        await asyncio.sleep(pause)
        if look != self._looks or self._section.is_deleted:
            return
        stores, kind, said = self._queries.stores, self._kind, self._form.said

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
        self._form.fill(found)
        preview = found.preview
        with self._verdict:
            if found.error is not None:
                banner(on_the_page(found.error.message), on_the_page(found.error.hint))
            if preview is None:
                return
            form = t(preview.form, dialect_words(preview.form))
            ui.label(f"{preview.path.name}: {form}").classes("text-sm break-words")
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

    async def _import(self) -> None:
        stores, scope, kind, said = self._queries.stores, self._scope, self._kind, self._form.said
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
    with ui.column().classes("w-full gap-2 mt-3"):
        for reason, count in preview.rejected.items():
            banner(
                t(
                    f"{count:,} of the first {preview.read:,} rows would be rejected.",
                    f"前 {preview.read:,} 行中有 {count:,} 行会被拒绝。",
                ),
                refusal_words(reason),
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
