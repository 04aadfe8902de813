"""The page of the ingest."""

from nicegui import ui

from lemo.console.access import Access, framed
from lemo.console.acting import Actor
from lemo.console.choosing import scenario_choice
from lemo.console.ingest.flink import draw_flink
from lemo.console.ingest.flow import draw_flow
from lemo.console.ingest.letters import DeadLetterList
from lemo.console.ingest.tail import EventTail
from lemo.console.language import t
from lemo.console.queries import Queries
from lemo.domain.scope import Scope


async def ingest_page(queries: Queries, access: Access, scenario: str) -> None:
    """Draws the page for whoever asks."""
    opened = await access.opened("/ingest", scenario=scenario)
    if opened is None:
        return
    visitor, scenarios = opened
    with framed("/ingest", visitor):
        scenario_choice("/ingest", scenarios, scenario, t("All scenarios", "全部场景"))
        actor = Actor(access, visitor)
        with ui.element("div").classes("grid grid-cols-1 lg:grid-cols-2 gap-4 w-full items-start"):
            draw_flow(queries, Scope(visitor.tenant_id, scenario))
        draw_flink(queries)
        DeadLetterList(queries, actor, scenario)
        EventTail(queries, actor, scenario)
