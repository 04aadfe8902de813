"""The page of imports: where files are dropped, the files there are, and one of them."""

from dataclasses import dataclass

from nicegui import ui

from lemo.console.access import Access, framed
from lemo.console.acting import Actor
from lemo.console.choosing import scenario_choice
from lemo.console.formats import ago, stamp, who
from lemo.console.imports.correcting import Correction
from lemo.console.imports.following import draw_file
from lemo.console.imports.new_scenario import NewScenario
from lemo.console.imports.receiving import MODIFIED, NAME, PATH, TICKET, Tickets
from lemo.console.imports.uploads import ASKING, Upload, Uploads
from lemo.console.imports.words import megabytes, on_the_page, state_words
from lemo.console.imports.work import Imports, Progress
from lemo.console.language import t
from lemo.console.navigation import address
from lemo.console.panels import Panel
from lemo.console.queries import Queries
from lemo.console.tables import cell, table, td, tr
from lemo.console.theme import badge, heading, nothing, section, trouble
from lemo.domain.errors import LemoError
from lemo.domain.scope import Scope

PAGE = "/import"


@dataclass(frozen=True, slots=True)
class ImportPages:
    """What the pages of imports work with."""

    queries: Queries
    access: Access
    uploads: Uploads
    imports: Imports
    tickets: Tickets

    async def draw(self, scenario: str, file: str) -> None:
        """Draws the page for whoever asks."""
        opened = await self.access.opened(PAGE, scenario=scenario, file=file)
        if opened is None:
            return
        visitor, scenarios = opened
        with framed(PAGE, visitor):
            actor = Actor(self.access, visitor)
            if file:
                self._draw_one(actor, scenarios, scenario, file)
                return
            if scenarios:
                scenario = scenario_choice(PAGE, scenarios, scenario)
            if actor.may():
                self._draw_drop(actor, scenario)
            self._draw_list(actor, scenario)
            if actor.may():
                NewScenario(self.queries, actor, self.uploads)

    def _draw_one(self, actor: Actor, scenarios: list[str], scenario: str, file: str) -> None:
        tenant_id = actor.visitor.tenant_id
        try:
            upload = self.uploads.get(tenant_id, file)
        except LemoError as error:
            trouble(error)
            self._way_back(scenario)
            return
        scenario = scenario or upload.scenario_id or (scenarios[0] if scenarios else "")
        with section():
            with ui.row().classes("w-full items-center gap-3"):
                heading(upload.name)
                badge(*state_words(upload))
                ui.label(f"{megabytes(upload.size)} · {who(upload.by)}").classes("lemo-muted text-sm break-words")
            draw_file(self.uploads, self.imports, actor, upload, scenario)
        if upload.state in ASKING:
            if scenario and actor.may():
                Correction(
                    self.queries, self.uploads, self.imports, actor, Scope(tenant_id, scenario), upload, scenarios
                )
            elif not scenario:
                nothing(t("Create a scenario first: it says what users do.", "请先创建场景：它定义用户行为。"))
        self._way_back(scenario)

    def _way_back(self, scenario: str) -> None:
        ui.link(t("All files", "全部文件"), address(PAGE, scenario=scenario)).classes("lemo-link")

    def _draw_drop(self, actor: Actor, scenario: str) -> None:
        most = self.uploads.most_bytes
        with section():
            heading(t("Drop files here", "拖入文件"))
            if not most:
                nothing(
                    t(
                        "This console takes no files (LEMO_CONSOLE_UPLOAD_MB).",
                        "此控制台不接收文件（LEMO_CONSOLE_UPLOAD_MB）。",
                    )
                )
                return
            ui.label(
                t(
                    f"Items or events as CSV, JSON, Parquet or Excel, compressed or not, up to {most // 1_000_000:,} MB"
                    " each. Nothing is imported before you have seen how it is read.",
                    f"物品或行为文件：CSV、JSON、Parquet 或 Excel，可压缩，每个不超过 {most // 1_000_000:,} MB。"
                    "确认读取方式之前不会导入任何内容。",
                )
            ).classes("lemo-muted text-sm mt-1")
            ticket, end = self.tickets.issue(actor.visitor)
            ui.context.client.on_delete(end)
            drop = ui.element("q-uploader").classes("lemo-drop w-full mt-3")
            drop.props(f"send-raw auto-upload multiple flat max-file-size={most} url={PATH.removeprefix('/')}")
            drop.props["label"] = t("Drag files in", "拖入文件")
            drop.props[":headers"] = (
                f"files => [{{name: '{TICKET}', value: '{ticket}'}},"
                f" {{name: '{NAME}', value: encodeURIComponent(files[0].name)}},"
                f" {{name: '{MODIFIED}', value: String(files[0].lastModified)}}]"
            )

            def uploaded(event: object) -> None:
                found = getattr(event, "args", None)
                if isinstance(found, dict) and found.get("only") and found.get("id"):
                    ui.navigate.to(address(PAGE, scenario=scenario, file=str(found["id"])))

            def failed() -> None:
                error = self.tickets.refusal(ticket)
                if error is None:
                    why = t("The file did not come whole: drop it again.", "文件未完整到达，请重新拖入。")
                else:
                    why = f"{on_the_page(error.message)} {on_the_page(error.hint)}".rstrip()
                ui.notify(why, type="negative", multi_line=True, timeout=20_000)

            def rejected() -> None:
                ui.notify(
                    t(
                        f"A file has more than {most // 1_000_000:,} MB. Import it with lemo import, or compress it.",
                        f"文件超过 {most // 1_000_000:,} MB。请用 lemo import 导入，或先压缩。",
                    ),
                    type="negative",
                    multi_line=True,
                    timeout=20_000,
                )

            drop.on(
                "uploaded",
                uploaded,
                js_handler="info => emit({id: JSON.parse(info.xhr.responseText).id,"
                f" only: getElement({drop.id}).files.length === 1}})",
            )
            drop.on("failed", failed, js_handler="() => emit()")
            choose = ui.button(t("Choose files", "选择文件"), icon="add").props("flat no-caps").classes("mt-2")
            choose.on("click", js_handler=f"() => getElement({drop.id}).pickFiles()")
            drop.on("rejected", rejected, js_handler="() => emit()")

    def _draw_list(self, actor: Actor, scenario: str) -> None:
        tenant_id = actor.visitor.tenant_id

        def read() -> list[tuple[Upload, Progress | None]]:
            return [(upload, self.imports.progress(upload)) for upload in self.uploads.list(tenant_id)]

        def draw(found: list[tuple[Upload, Progress | None]]) -> None:
            if not found:
                nothing(t("None yet.", "尚无文件。"))
                return
            names = (
                t("File", "文件"),
                t("State", "状态"),
                t("Scenario", "场景"),
                t("Size", "大小"),
                t("Since", "时间"),
                "",
            )
            with table(names, numbers=(3,)):
                for upload, progress in found:
                    with tr().mark("upload"):
                        with td():
                            where = address(PAGE, scenario=upload.scenario_id or scenario, file=upload.id)
                            ui.link(upload.name, where).classes("lemo-link break-all")
                        with td():
                            text, colour = state_words(upload)
                            badge(text + (f" {progress.share:.0%}" if progress else ""), colour)
                        cell(upload.scenario_id or "–")
                        cell(megabytes(upload.size), number=True)
                        moment = upload.finished_at or upload.created_at
                        cell(ago(moment), stamp(moment))
                        with td("number"):
                            if actor.may() and (upload.state in ASKING or upload.state == "done"):
                                self._discard_button(actor, upload)

        with section():
            heading(t("Files", "文件"))
            self_panel: Panel[list[tuple[Upload, Progress | None]]] = Panel(read, draw, every=1.0)
            del self_panel

    def _discard_button(self, actor: Actor, upload: Upload) -> None:
        async def discard() -> None:
            if await actor.sure(
                t(f"Discard {upload.name}?", f"丢弃 {upload.name}？"),
                t("What was imported of it stays.", "已导入的内容会保留。"),
                t("Discard", "丢弃"),
                danger=True,
            ):
                await actor.do(lambda: self.uploads.discard(upload), t("Discarded", "已丢弃"))

        button = ui.button(icon="delete", on_click=discard).props("flat round dense color=secondary")
        button.tooltip(t("Discard", "丢弃")).props["aria-label"] = t(f"Discard {upload.name}", f"丢弃 {upload.name}")
