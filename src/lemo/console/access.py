"""Who may see the console: on loopback the admin key's tenant, elsewhere whoever logs in with a tenant's key."""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from nicegui import app, run, ui

from lemo.console.queries import Queries
from lemo.console.theme import frame, heading, trouble
from lemo.domain.errors import InvalidInput, LemoError, NotFound, WrongCredential
from lemo.domain.reasons import did_you_mean, shortened
from lemo.settings import Settings
from lemo.stores.bootstrap import credential
from lemo.stores.loopback import is_loopback

SESSION_SECONDS = 12 * 3600
"""How long a login lasts."""


class Access:
    """Decides for every page whose data it shows."""

    def __init__(self, settings: Settings, queries: Queries) -> None:
        self._settings = settings
        self._queries = queries
        self.needs_login = not is_loopback(settings.console_host)

    async def tenant(self) -> str | None:
        """The tenant of this visitor; None when he has been sent to the login page. Raises LemoError on loopback."""
        if not self.needs_login:
            return await run.io_bound(credential, self._settings)
        session = app.storage.user
        tenant_id, until = session.get("tenant"), session.get("until", 0)
        if isinstance(tenant_id, str) and time.time() < until:
            return tenant_id
        session.clear()
        ui.navigate.to("/login")
        return None

    async def visitor(self, path: str, **parameters: str) -> tuple[str, list[str]] | None:
        """The tenant of this visitor and the names of its scenarios, for the page at `path` with these parameters.

        None when there is nothing to draw any more: the visitor was sent to the login page, or saw an error,
        such as that the address names a scenario that does not exist, or a parameter that the page does not take.
        """
        tenant_id = None
        try:
            tenant_id = await self.tenant()
            if tenant_id is None:
                return None
            scenarios = await run.io_bound(self._queries.scenario_names, tenant_id) or []
            _check_address(parameters, scenarios)
            return tenant_id, scenarios
        except LemoError as error:
            with frame(path, tenant_id, may_leave=self.needs_login):
                trouble(error)
            return None

    def login_page(self) -> None:
        """The form that takes a key. The key itself is kept nowhere, only whose it is, on the server."""
        with (
            frame("/login", None, may_leave=False),
            ui.element("div").classes("lemo-card w-full max-w-md mx-auto mt-8"),
        ):
            heading("Log in", "登录")
            ui.label("A key of your tenant. The first one stands in admin.key, in the home folder of Lemo.").classes(
                "text-sm text-slate-600 mt-1"
            )
            key = (
                ui.input("Key 密钥", password=True).classes("w-full mt-4").props("outlined autofocus autocomplete=off")
            )

            async def enter() -> None:
                try:
                    tenant_id = await run.io_bound(self._tenant_of, key.value or "")
                except LemoError as error:
                    key.props("error").props["error-message"] = str(error)
                    return
                app.storage.user.update(tenant=tenant_id, until=time.time() + SESSION_SECONDS)
                ui.navigate.to("/")

            key.on("keydown.enter", enter)
            ui.button("Log in 登录", on_click=enter).props("unelevated no-caps").classes("mt-4")

    def _tenant_of(self, key: str) -> str:
        found = self._queries.stores.api_keys.find(key.strip())
        if found is None:
            raise WrongCredential("This key is unknown.", "Check it for a missing character.")
        found.check("operator", None, datetime.now(UTC))
        return found.tenant_id


def _check_address(parameters: Mapping[str, str], scenarios: Sequence[str]) -> None:
    """Raises InvalidInput for a parameter that the page does not take, NotFound for an unknown scenario."""
    request = ui.context.client.request
    for name in request.query_params if request else ():
        if name not in parameters:
            raise InvalidInput(
                f"This page has no parameter {shortened(name)}.",
                f"{did_you_mean(name, parameters)}It takes {' and '.join(parameters)}.",
            )
    scenario = parameters.get("scenario", "")
    if scenario and scenario not in scenarios:
        there = ", ".join(scenarios[:20]) + (f" and {len(scenarios) - 20} more" if len(scenarios) > 20 else "")
        raise NotFound(
            f"There is no scenario {shortened(scenario)}. 没有这个场景。",
            f"{did_you_mean(scenario, scenarios)}There are: {there}." if scenarios else "There is none yet.",
        )
