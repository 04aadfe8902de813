"""The page of the settings, for administrators."""

from nicegui import ui

from lemo.console.access import Access, framed
from lemo.console.acting import Actor, in_thread
from lemo.console.language import t
from lemo.console.queries import Queries, attempt
from lemo.console.settings.accounts import AccountList
from lemo.console.settings.keys import KeyList
from lemo.console.settings.tenants import TenantList
from lemo.console.theme import trouble
from lemo.domain.errors import LemoError
from lemo.domain.scope import DEFAULT_TENANT


async def settings_page(queries: Queries, access: Access) -> None:
    """Draws the page for an administrator; others are told what it takes."""
    opened = await access.opened("/settings")
    if opened is None:
        return
    visitor, scenarios = opened
    allowed = await in_thread(lambda: attempt(lambda: access.require(visitor, "admin")))
    with framed("/settings", visitor):
        if isinstance(allowed, LemoError):
            trouble(allowed)
            return
        actor = Actor(access, visitor)
        KeyList(queries, actor, visitor.tenant_id, scenarios)
        AccountList(queries, actor, visitor.tenant_id)
        if visitor.tenant_id == DEFAULT_TENANT:
            TenantList(queries, actor)
        ui.link(t("Audit log: who changed what", "审计日志：谁改了什么"), "/audit").classes("lemo-link")
