"""The page of one scenario."""

from nicegui import ui

from lemo.console.access import Access, framed
from lemo.console.acting import Actor
from lemo.console.choosing import no_scenario, scenario_choice
from lemo.console.queries import Queries
from lemo.console.scenario.editor import PipelineEditor
from lemo.console.scenario.form import SettingsForm
from lemo.console.scenario.rules import Rules
from lemo.domain.scope import Scope


async def scenario_page(queries: Queries, access: Access, scenario: str) -> None:
    """Draws the page for whoever asks."""
    opened = await access.opened("/scenario", scenario=scenario)
    if opened is None:
        return
    visitor, scenarios = opened
    with framed("/scenario", visitor):
        if not scenarios:
            no_scenario()
            return
        chosen = scenario_choice("/scenario", scenarios, scenario)
        actor = Actor(access, visitor)
        scope = Scope(visitor.tenant_id, chosen)
        PipelineEditor(queries, actor, scope)
        with ui.element("div").classes("grid grid-cols-1 lg:grid-cols-2 gap-4 w-full items-start"):
            Rules(queries, actor, scope)
            SettingsForm(queries, actor, scope)
