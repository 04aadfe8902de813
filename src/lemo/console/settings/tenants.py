"""Tenants of the installation: seen and made by administrators of the tenant `default`."""

from dataclasses import dataclass

from nicegui import ui

from lemo.console.acting import Actor
from lemo.console.formats import whole
from lemo.console.language import t
from lemo.console.panels import Panel
from lemo.console.queries import Queries
from lemo.console.settings.keys import show_once
from lemo.console.tables import cell, table, td, tr
from lemo.console.theme import heading, section
from lemo.domain.errors import LemoError
from lemo.domain.scope import DEFAULT_TENANT
from lemo.scheduling.tenants import create_tenant, delete_tenant
from lemo.stores.connect import Stores
from lemo.stores.documents.api_keys import NewKey


@dataclass(frozen=True, slots=True)
class TenantCounts:
    """A tenant, and how much it has."""

    tenant_id: str
    scenarios: int
    keys: int
    accounts: int


def tenants(stores: Stores) -> list[TenantCounts]:
    """Every tenant; raises EngineUnavailable."""
    return [
        TenantCounts(
            each, len(stores.scenarios.list(each)), len(stores.api_keys.list(each)), len(stores.accounts.list(each))
        )
        for each in stores.tenants.list()
    ]


class TenantList:
    """The tenants, in a section of the page."""

    def __init__(self, queries: Queries, actor: Actor) -> None:
        self._queries = queries
        self._actor = actor
        with section():
            heading(t("Tenants", "租户"))
            self._panel: Panel[list[TenantCounts]] = Panel(lambda: tenants(queries.stores), self._draw)
            with ui.row().classes("items-center gap-2 w-full mt-3"):
                self._name = ui.input(t("A new tenant", "新租户")).props("outlined dense autocomplete=off")
                self._name.classes("w-full sm:w-56").on("keydown.enter", self._create)
                ui.button(t("Create with an admin key", "创建并生成管理员密钥"), on_click=self._create).props(
                    "flat no-caps color=secondary"
                )

    def _draw(self, found: list[TenantCounts]) -> None:
        names = (t("Tenant", "租户"), t("Scenarios", "场景"), t("Keys", "密钥"), t("Accounts", "账号"), "")
        with table(names, numbers=(1, 2, 3)):
            for tenant in found:
                with tr().mark("tenant"):
                    with td():
                        ui.label(tenant.tenant_id).classes("font-medium break-all")
                    for count in (tenant.scenarios, tenant.keys, tenant.accounts):
                        cell(whole(count), number=True)
                    with td("number"):
                        if tenant.tenant_id != DEFAULT_TENANT:
                            self._delete_button(tenant)

    def _delete_button(self, tenant: TenantCounts) -> None:
        button = ui.button(icon="delete", on_click=lambda: self._delete(tenant))
        button.props("flat round dense color=secondary").tooltip(t("Delete", "删除"))
        button.props["aria-label"] = t(f"Delete {tenant.tenant_id}", f"删除 {tenant.tenant_id}")

    async def _delete(self, tenant: TenantCounts) -> None:
        name, stores, by = tenant.tenant_id, self._queries.stores, self._actor.visitor.by
        if not await self._actor.sure(
            t(f"Delete the tenant {name}?", f"删除租户 {name}？"),
            t(
                f"Its {tenant.keys} keys and {tenant.accounts} accounts go with it. It must have no scenario any more.",
                f"其 {tenant.keys} 个密钥和 {tenant.accounts} 个账号将一并删除。租户不能再有场景。",
            ),
            t("Delete", "删除"),
            danger=True,
        ):
            return
        await self._actor.do(lambda: delete_tenant(stores, name, by), t("Deleted", "已删除"), role="admin")
        await self._panel.renew()

    async def _create(self) -> None:
        name, stores, by = (self._name.value or "").strip(), self._queries.stores, self._actor.visitor.by

        def create() -> NewKey:
            create_tenant(stores, name, by)
            return stores.api_keys.create(name, None, by)

        made = await self._actor.do(create, role="admin")
        if not isinstance(made, LemoError):
            self._name.value = ""
            await show_once(self._actor, made)
        await self._panel.renew()
