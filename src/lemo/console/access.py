"""Who may see the console and act in it.

Everybody on this machine until there is an account or an identity provider; after that, and on other addresses, whoever
has logged in.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import get_args

from nicegui import Client, app, run, ui

from lemo.console.frame import frame
from lemo.console.language import chosen, language, t
from lemo.console.queries import Queries
from lemo.console.theme import trouble
from lemo.console.visitor import Visitor
from lemo.domain.account import Account, AccountRole
from lemo.domain.api_key import ApiKey
from lemo.domain.errors import EngineUnavailable, InvalidInput, LemoError, NotAllowed, NotFound, WrongCredential
from lemo.domain.openid import Person
from lemo.domain.reasons import did_you_mean, shortened
from lemo.settings import Settings
from lemo.stores.bootstrap import credential
from lemo.stores.loopback import is_loopback

SESSION_SECONDS = 12 * 3600
"""How long a login lasts."""
CHECK_SECONDS = 5.0
"""How often an open page looks whether its visitor may still see it."""


class Access:
    """Decides for every page whose data it shows, and for every action whether it is allowed."""

    def __init__(self, settings: Settings, queries: Queries) -> None:
        self._settings = settings
        self._queries = queries
        self._on_this_machine = is_loopback(settings.console_host)

    def is_open(self) -> bool:
        """Whether nobody needs to log in; raises EngineUnavailable."""
        return self._on_this_machine and not self._settings.oidc_issuer and not self._queries.stores.accounts.exist()

    def has_people(self, tenant_id: str) -> bool:
        """Whether people of the tenant log in by name, and so none by a key; raises EngineUnavailable."""
        by_provider = bool(self._settings.oidc_issuer) and tenant_id == self._settings.oidc_tenant
        return by_provider or self._queries.stores.accounts.exist(tenant_id)

    async def visitor(self) -> Visitor | None:
        """Who looks at this page; None when he has been sent to the login page. Raises LemoError."""
        # Before anything is awaited: it belongs to the request.
        session, client, spoken = app.storage.user, ui.context.client, language()
        visitor = await run.io_bound(self._visitor_of, dict(session))
        if visitor is None:
            session.clear()
            ui.navigate.to("/login")
            return None
        visitor = replace(visitor, language=spoken)
        ui.timer(CHECK_SECONDS, partial(self._end_when_over, visitor, client), immediate=False)
        return visitor

    async def opened(self, path: str, **parameters: str) -> tuple[Visitor, list[str]] | None:
        """The visitor and the names of the tenant's scenarios, for the page at `path` with these parameters.

        None when there is nothing to draw any more: the visitor was sent to the login page, or saw an error,
        such as that the address names a scenario that does not exist, or a parameter that the page does not take.
        """
        visitor = None
        try:
            visitor = await self.visitor()
            if visitor is None:
                return None
            scenarios = await run.io_bound(self._queries.scenario_names, visitor.tenant_id) or []
            _check_address(parameters, scenarios)
            return visitor, scenarios
        except LemoError as error:
            with framed(path, visitor):
                trouble(error)
            return None

    def require(self, visitor: Visitor, role: AccountRole) -> None:
        """Raises WrongCredential where the visitor's session is over, and NotAllowed where his role is too small.

        An action asks this when it is done, not when its page was drawn. Raises EngineUnavailable. It blocks.
        """
        if not self._is_current(visitor):
            raise WrongCredential(
                chosen(visitor.language, "You are not logged in any more.", "登录已失效。"),
                chosen(visitor.language, "Log in again.", "请重新登录。"),
            )
        if not visitor.may(role):
            raise NotAllowed(
                chosen(
                    visitor.language,
                    f"The role {visitor.role} may not do this; it takes the role {role}.",
                    f"角色 {visitor.role} 权限不足，需要角色 {role}。",
                ),
                chosen(
                    visitor.language, "Ask an administrator for an account with it.", "请向管理员申请具有该角色的账号。"
                ),
            )

    def begin_session(self, who: Account | ApiKey | Person) -> None:
        """Begins the session of an account, a key or a person in the browser that asks."""
        session = app.storage.user
        session.clear()
        session["until"] = time.time() + SESSION_SECONDS
        if isinstance(who, Account):
            session.update(account=who.name, since=who.password_set_at.isoformat())
        elif isinstance(who, Person):
            session.update(tenant=who.tenant_id, person=who.name, role=who.role)
        else:
            session.update(tenant=who.tenant_id, key=who.id)

    def _visitor_of(self, session: Mapping[str, object]) -> Visitor | None:
        """Whoever asks with this session, which may be empty; None where he has to log in. Raises LemoError."""
        if self.is_open():
            return Visitor(credential(self._settings), "admin")
        return self._of_session(session)

    def _of_session(self, session: Mapping[str, object]) -> Visitor | None:
        """The visitor whose session it is, as accounts and keys are now; None where it is over."""
        until = session.get("until")
        if not isinstance(until, float) or time.time() >= until:
            return None
        stores = self._queries.stores
        if name := session.get("account"):
            account = stores.accounts.get(str(name))
            if account is None or account.password_set_at.isoformat() != session.get("since"):
                return None
            return Visitor(
                account.tenant_id, account.role, account=account.name, since=account.password_set_at, until=until
            )
        tenant_id = str(session.get("tenant", ""))
        if person := session.get("person"):
            # What the provider said as he logged in holds until the session ends.
            role = next((each for each in get_args(AccountRole) if each == session.get("role")), None)
            return None if role is None else Visitor(tenant_id, role, person=str(person), until=until)
        key = next((each for each in stores.api_keys.list(tenant_id) if each.id == session.get("key")), None)
        # Where people have accounts, changes bear their names.
        if key is None or self.has_people(tenant_id):
            return None
        try:
            key.check("operator", None, datetime.now(UTC))
        except WrongCredential:
            return None
        return Visitor(tenant_id, "admin" if key.role == "admin" else "operator", key_id=key.id, until=until)

    def _is_current(self, visitor: Visitor) -> bool:
        if not visitor.logged_in:
            return self.is_open()
        session = {"until": visitor.until, "tenant": visitor.tenant_id}
        if visitor.since is not None:
            session |= {"account": visitor.account, "since": visitor.since.isoformat()}
        elif visitor.person:
            session |= {"person": visitor.person, "role": visitor.role}
        else:
            session |= {"key": visitor.key_id}
        return self._of_session(session) == visitor

    async def _end_when_over(self, visitor: Visitor, client: Client) -> None:
        try:
            current = await run.io_bound(self._is_current, visitor)
        except EngineUnavailable:
            return  # nobody can log in either; what the page shows comes from the same store
        if not current:
            with client:
                ui.navigate.to("/login")
            # The browser may ignore that: the page itself shows nothing more.
            client.remove_all_elements()


def framed(path: str, visitor: Visitor | None) -> AbstractContextManager[None]:
    """The frame of a page that this visitor sees."""
    return frame(path, visitor)


def _check_address(parameters: Mapping[str, str], scenarios: Sequence[str]) -> None:
    """Raises InvalidInput for a parameter that the page does not take, NotFound for an unknown scenario."""
    request = ui.context.client.request
    for name in request.query_params if request else ():
        if name not in parameters:
            raise InvalidInput(
                t(f"This page has no parameter {shortened(name)}.", f"此页面没有参数 {shortened(name)}。"),
                t(
                    f"{did_you_mean(name, parameters)}It takes {' and '.join(parameters) or 'none'}.",
                    f"可用参数：{'、'.join(parameters) or '无'}。",
                ),
            )
    scenario = parameters.get("scenario", "")
    if scenario and scenario not in scenarios:
        there = ", ".join(scenarios[:20]) + (" …" if len(scenarios) > 20 else "")
        raise NotFound(
            t(f"There is no scenario {shortened(scenario)}.", f"没有场景 {shortened(scenario)}。"),
            t(f"{did_you_mean(scenario, scenarios)}There are: {there}.", f"现有场景：{there}。")
            if scenarios
            else t("There is none yet.", "尚无场景。"),
        )
