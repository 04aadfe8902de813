"""A new scenario that fits the files that wait to be imported."""

from nicegui import ui

from lemo.console.acting import Actor
from lemo.console.imports.uploads import ASKING, Uploads, without_folder
from lemo.console.imports.words import on_the_page
from lemo.console.language import t
from lemo.console.navigation import address
from lemo.console.queries import Queries
from lemo.console.theme import heading, nothing, section
from lemo.domain.errors import Conflict, LemoError, NotFound
from lemo.domain.scope import Scope, checked_name
from lemo.files.proposal import Proposal, proposed


class NewScenario:
    """A name and a button; what is proposed is shown, and created when it was confirmed."""

    def __init__(self, queries: Queries, actor: Actor, uploads: Uploads) -> None:
        self._queries = queries
        self._actor = actor
        self._uploads = uploads
        with section():
            heading(t("A new scenario from these files", "从这些文件创建场景"))
            ui.label(
                t(
                    "Template, actions with weights and types of attributes are proposed from the files that wait.",
                    "根据上方待导入的文件，推荐模板、行为及权重、属性类型。",
                )
            ).classes("lemo-muted text-sm mt-1")
            with ui.row().classes("items-center gap-2 w-full mt-3"):
                self._name = ui.input(t("Name of the scenario", "场景名称")).props("outlined dense autocomplete=off")
                self._name.classes("w-full sm:w-56").on("keydown.enter", self._propose)
                ui.button(t("Propose", "生成建议"), on_click=self._propose).props("flat no-caps color=secondary")

    async def _propose(self) -> None:
        name, stores, visitor = (self._name.value or "").strip(), self._queries.stores, self._actor.visitor

        def propose() -> Proposal:
            scope = Scope(visitor.tenant_id, checked_name("scenario", name))
            if any(each.scenario_id == scope.scenario_id for each in stores.scenarios.list(scope.tenant_id)):
                raise Conflict(f"There is a scenario {name} already.", "Choose another name.")
            waiting = [each for each in self._uploads.list(visitor.tenant_id) if each.state in ASKING]
            if not waiting:
                raise NotFound("No file waits to be imported.", "Drop files of items or events above.")
            paths = [self._uploads.path(each) for each in waiting]
            try:
                found = proposed(name, paths)
                for path in paths:
                    found.notes = [note.replace(str(path), path.name) for note in found.notes]
                return found
            except LemoError as error:
                for path in paths:
                    error = without_folder(error, path)
                raise error from None

        proposal = await self._actor.do(propose)
        if isinstance(proposal, LemoError) or not await self._confirmed(proposal):
            return
        scenario, scope = proposal.scenario, Scope(visitor.tenant_id, name)

        def create() -> None:
            with stores.audit.noting(scope, visitor.by, "scenario.create", name, template=scenario.template):
                stores.scenarios.create(scope.tenant_id, scenario)

        if not isinstance(await self._actor.do(create), LemoError):
            ui.navigate.to(address("/import", scenario=name))

    async def _confirmed(self, proposal: Proposal) -> bool:
        scenario = proposal.scenario
        with self._actor.host, ui.dialog() as dialog, ui.card().classes("w-full max-w-xl gap-2"):
            ui.label(t(f"Create {scenario.scenario_id}?", f"创建 {scenario.scenario_id}？")).classes(
                "text-lg font-semibold"
            )
            for note in [t(f"Template: {scenario.template}", f"模板：{scenario.template}"), *proposal.notes]:
                ui.label(on_the_page(note)).classes("text-sm break-words")
            actions = ", ".join(f"{action} {rule.weight:g}" for action, rule in scenario.actions.items())
            ui.label(t(f"Actions: {actions}", f"行为：{actions}")).classes("text-sm break-words")
            if types := ", ".join(f"{attribute} ({kind})" for attribute, kind in scenario.attribute_types.items()):
                ui.label(t(f"Attributes: {types}", f"属性：{types}")).classes("text-sm break-words")
            nothing(t("All of it may be changed on the page Scenario.", "之后可在“场景”页面修改。"))
            with ui.row().classes("w-full justify-end gap-2"):
                ui.button(t("Cancel", "取消"), on_click=lambda: dialog.submit(False)).props(
                    "flat no-caps color=secondary autofocus"
                )
                ui.button(t("Create", "创建"), on_click=lambda: dialog.submit(True)).props("unelevated no-caps")
        try:
            return bool(await dialog)
        finally:
            dialog.delete()
