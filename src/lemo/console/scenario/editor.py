"""The pipeline of a scenario as text: checked as it is typed, tried for a user, put in service, rolled back."""

import asyncio
from difflib import unified_diff
from html import escape

from nicegui import ui

from lemo.console.acting import Actor, in_thread
from lemo.console.formats import ago, stamp, who
from lemo.console.language import t
from lemo.console.panels import Panel
from lemo.console.queries import Queries, attempt
from lemo.console.reasons import reason_words
from lemo.console.scenario.trial import Trial, Versions, checked, tried, versions
from lemo.console.stored import pipeline_reason
from lemo.console.tables import cell, table, td, tr
from lemo.console.theme import GOOD, QUIET, WEAK, badge, heading, nothing, section, subheading, trouble
from lemo.domain.errors import LemoError
from lemo.domain.pipeline import Pipeline, PipelineVersion
from lemo.domain.scope import Scope
from lemo.files.pipeline_file import FaultyText, pipeline_text

PAUSE_SECONDS = 0.4
"""How long nothing must be typed before the text is checked."""
EXAMPLE = """recall: {candidates: 200, popular: 20, newest: 20}
diversity: {strength: 0.3, by: [categories]}
cap:
  - {by: author, most: 2}
freshness: {weight: 0.5, half_life_days: 7}
"""


class PipelineEditor:
    """The pipeline of one scenario, in a section of its page."""

    def __init__(self, queries: Queries, actor: Actor, scope: Scope) -> None:
        self._queries = queries
        self._actor = actor
        self._scope = scope
        self._serving = PipelineVersion()
        self._checks = 0
        self._valid = True
        self._loaded = False
        with section():
            heading(t("Pipeline", "推荐流程"))
            stages = ", ".join(Pipeline.model_fields)
            ui.label(
                t(
                    f"How candidates become an answer, as YAML. Empty: the model alone decides. Stages: {stages}.",
                    f"候选如何变成推荐结果，使用 YAML。留空则直接采用模型结果。阶段：{stages}。",
                )
            ).classes("lemo-muted text-sm mt-1")
            self._build_text()
            self._build_trial()
            ui.separator().classes("mt-4")
            subheading(t("Versions", "历史版本"))
            self._versions: Panel[Versions] = Panel(lambda: versions(queries, scope), self._draw_versions, every=5.0)

    def _build_text(self) -> None:
        with ui.element("div").classes("lemo-editor mt-3"):
            self._numbers = ui.label("1").classes("lemo-editor-numbers").props("aria-hidden=true")
            self._text = (
                ui.textarea(on_change=self._changed)
                .props("borderless autogrow spellcheck=false autocapitalize=off wrap=off")
                .classes("lemo-editor-text")
            )
            self._text.props["aria-label"] = t("Pipeline as YAML", "推荐流程（YAML）")
            self._text.set_enabled(False)
        self._verdict = ui.element("div").classes("w-full mt-2").props("aria-live=polite").mark("verdict")
        with ui.row().classes("w-full items-center gap-2 mt-2"):
            self._user = (
                ui.input(t("Try it for user", "试用用户"))
                .props("outlined dense autocomplete=off")
                .classes("w-full sm:w-56")
                .on("keydown.enter", self._try)
            )
            self._try_button = ui.button(t("Before and after", "前后对比"), icon="compare", on_click=self._try).props(
                "flat no-caps color=secondary"
            )
            ui.space()
            if self._actor.may():
                ui.button(t("Example", "示例"), on_click=lambda: self._load(EXAMPLE)).props(
                    "flat no-caps color=secondary"
                )
                self._save_button = ui.button(t("Put in service …", "上线…"), on_click=self._save).props(
                    "unelevated no-caps"
                )

    def _build_trial(self) -> None:
        self._trial = ui.element("div").classes("w-full").props("aria-live=polite").mark("trial")

    def _draw_versions(self, found: Versions) -> None:
        self._serving = found.serving
        if not self._loaded:
            self._loaded = True
            self._load(pipeline_text(found.serving.pipeline))
            # Who only looks may copy from it, and try it.
            self._text.set_enabled(True)
        self._mark_buttons()
        if not found.kept:
            nothing(t("The default serves: nobody has put a pipeline in service.", "使用默认流程：尚未上线任何流程。"))
            return
        names = (t("Version", "版本"), t("When", "时间"), t("Who", "操作者"), t("Why", "原因"), t("Stages", "阶段"), "")
        with table(names):
            for version in found.kept:
                with tr().mark("version"):
                    with td(), ui.row().classes("items-center gap-2 sm:flex-nowrap"):
                        ui.label(f"{version.version}").classes("font-medium lemo-number")
                        if version.version == found.serving.version:
                            badge(t("serves", "在用"), GOOD)
                        elif version.trial:
                            badge(t("on trial", "试验"), QUIET)
                    cell(ago(version.changed_at), stamp(version.changed_at))
                    with td():
                        ui.label(who(version.changed_by)).classes("break-words")
                    with td():
                        ui.label(pipeline_reason(version.why) or "–").classes("break-words")
                    with td():
                        ui.label(", ".join(version.pipeline.model_dump(exclude_defaults=True)) or "–")
                    with td("number"), ui.row().classes("gap-1 flex-nowrap justify-end"):
                        self._version_buttons(version)

    def _version_buttons(self, version: PipelineVersion) -> None:
        number = version.version
        look = ui.button(icon="edit_note", on_click=lambda: self._load(pipeline_text(version.pipeline)))
        look.props("flat round dense size=sm color=secondary").tooltip(t("Load into the editor", "载入编辑器"))
        look.props["aria-label"] = t(f"Load version {number} into the editor", f"将版本 {number} 载入编辑器")
        if version.version != self._serving.version and self._actor.may():
            back = ui.button(icon="undo", on_click=lambda: self._roll_back(number))
            back.props("flat round dense size=sm color=secondary").tooltip(t("Back to this version", "回滚到此版本"))
            back.props["aria-label"] = t(f"Back to version {number}", f"回滚到版本 {number}")

    def _load(self, text: str) -> None:
        self._text.value = text

    async def _changed(self) -> None:
        text = self._text.value or ""
        self._numbers.text = "\n".join(str(line) for line in range(1, max(1, text.rstrip("\n").count("\n") + 1) + 1))
        self._checks += 1
        check = self._checks
        await asyncio.sleep(PAUSE_SECONDS)
        if check != self._checks:
            return
        result = await in_thread(lambda: attempt(lambda: checked(self._queries, self._scope, text)))
        if check != self._checks or self._verdict.is_deleted:
            return
        # A pipeline without attributes can be checked while its catalogue cannot be read.
        self._valid = not isinstance(result, LemoError)
        self._mark_buttons()
        self._verdict.clear()
        with self._verdict:
            if isinstance(result, LemoError):
                self._show_fault(result, text)
            elif result == self._serving.pipeline:
                badge(t("This is what serves", "与在用版本一致"), QUIET)
            else:
                badge(t("Valid, not in service yet", "有效，尚未上线"), GOOD)

    def _show_fault(self, error: LemoError, text: str) -> None:
        trouble(error)
        if not isinstance(error, FaultyText):
            return
        lines = text.split("\n")
        if 0 < error.line <= len(lines):
            with ui.row().classes("items-center gap-2 mt-2 w-full"):
                ui.label(f"{error.line}  {lines[error.line - 1]}").classes("lemo-code flex-1 min-w-0").mark("line")
                start = sum(len(line) + 1 for line in lines[: error.line - 1])
                end = start + len(lines[error.line - 1])
                ui.button(t(f"Go to line {error.line}", f"转到第 {error.line} 行")).props(
                    "flat no-caps dense color=secondary"
                ).on(
                    "click",
                    js_handler=f"() => {{ const e = document.querySelector('.lemo-editor textarea');"
                    f" e.focus(); e.setSelectionRange({start}, {end}); }}",
                )

    def _mark_buttons(self) -> None:
        self._try_button.set_enabled(self._valid)
        if self._actor.may():
            self._save_button.set_enabled(self._valid)

    async def _try(self) -> None:
        user_id, text = (self._user.value or "").strip(), self._text.value or ""
        if not user_id:
            self._user.props("error").props["error-message"] = t("For whom?", "为谁试用？")
            return
        self._user.props(remove="error error-message")
        self._try_button.props("loading")
        result = await in_thread(lambda: attempt(lambda: tried(self._queries, self._scope, text, user_id)))
        if self._trial.is_deleted:
            return
        self._try_button.props(remove="loading")
        self._trial.clear()
        with self._trial:
            if isinstance(result, LemoError):
                trouble(result)
            else:
                _draw_trial(result, user_id)

    async def _save(self) -> None:
        text, serving = self._text.value or "", self._serving
        pipeline = await in_thread(lambda: attempt(lambda: checked(self._queries, self._scope, text)))
        if isinstance(pipeline, LemoError):
            ui.notify(str(pipeline), type="negative", multi_line=True)
            return
        if pipeline == serving.pipeline:
            ui.notify(t("This pipeline serves already.", "该流程已在用。"))
            return
        why = await self._ask_why(pipeline_text(serving.pipeline), pipeline_text(pipeline))
        if why is None:
            return
        await self._actor.do(
            lambda: self._queries.stores.pipelines.put(
                self._scope, pipeline, self._actor.visitor.by, why, after=serving.version
            ),
            lambda made: t(f"Version {made.version} serves within a second.", f"版本 {made.version} 将在一秒内生效。"),
        )
        await self._versions.renew()
        await self._changed()

    async def _ask_why(self, before: str, after: str) -> str | None:
        """Shows the difference and asks why; None where the visitor thinks better of it."""
        with self._actor.host, ui.dialog() as dialog, ui.card().classes("w-full max-w-2xl gap-3"):
            ui.label(t("Put this pipeline in service?", "上线此推荐流程？")).classes("text-lg font-semibold")
            ui.label(
                t(f"All answers of {self._scope.scenario_id} change.", f"{self._scope.scenario_id} 的全部推荐将改变。")
            ).classes("lemo-muted text-sm")
            ui.html(_difference(before, after), sanitize=False).classes("lemo-code w-full overflow-auto max-h-80")
            why = ui.input(t("Why", "原因")).props("outlined dense maxlength=1000 autofocus").classes("w-full")
            why.on("keydown.enter", lambda: dialog.submit(why.value or ""))
            with ui.row().classes("w-full justify-end gap-2"):
                ui.button(t("Cancel", "取消"), on_click=lambda: dialog.submit(None)).props(
                    "flat no-caps color=secondary"
                )
                ui.button(t("Put in service", "上线"), on_click=lambda: dialog.submit(why.value or "")).props(
                    "unelevated no-caps"
                )
        try:
            answer: str | None = await dialog
            return answer
        finally:
            dialog.delete()

    async def _roll_back(self, version: int) -> None:
        if not await self._actor.sure(
            t(f"Go back to version {version}?", f"回滚到版本 {version}？"),
            t("It becomes a new version and serves within a second.", "它将成为新版本并在一秒内生效。"),
            t("Roll back", "回滚"),
        ):
            return
        made = await self._actor.do(
            lambda: self._queries.stores.pipelines.roll_back(self._scope, self._actor.visitor.by, version),
            lambda made: t(f"Version {made.version} serves now.", f"版本 {made.version} 已在用。"),
        )
        if not isinstance(made, LemoError):
            self._load(pipeline_text(made.pipeline))
        await self._versions.renew()


def _draw_trial(trial: Trial, user_id: str) -> None:
    subheading(t(f"Before and after, for {user_id}", f"{user_id} 的前后对比"))
    if trial.degraded:
        badge(t("degraded: something was missing", "降级：缺少部分数据"), WEAK)
    if not trial.places:
        nothing(t("Neither answers anything.", "两者均无结果。"))
        return
    names = (t("Place", "位置"), t("Before", "之前"), t("After", "之后"), t("Moved", "变化"), t("Reason", "原因"))
    with table(names):
        for number, place in enumerate(trial.places, 1):
            with tr().mark("place"):
                cell(str(number))
                with td():
                    ui.label(place.before or "–").classes("break-words")
                with td():
                    ui.label(place.after or "–").classes("break-words font-medium")
                with td():
                    if place.new:
                        badge(t("new", "新"), GOOD)
                    elif place.moved:
                        up = place.moved > number
                        badge(f"{'↑' if up else '↓'} {abs(place.moved - number)}", GOOD if up else QUIET)
                    else:
                        ui.label("–").classes("lemo-muted")
                with td():
                    ui.label(reason_words(place.reason)).classes("lemo-muted break-words")


def _difference(before: str, after: str) -> str:
    """The lines that change, as HTML."""
    colours = {"+": "var(--good)", "-": "var(--bad)"}
    lines = list(unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=2))[2:]
    return "".join(
        f'<div style="color:{colours.get(line[:1], "inherit")}">{escape(line) or "&nbsp;"}</div>'
        for line in lines
        if not line.startswith("@@")
    )
