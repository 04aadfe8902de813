"""The page that asks for an account, leads to the identity provider, or asks for a key where nobody has an account."""

from collections.abc import Callable
from datetime import UTC, datetime

import structlog
from nicegui import app, run, ui

from lemo.console.access import Access
from lemo.console.attempts import Attempts
from lemo.console.frame import frame
from lemo.console.language import Language, chosen, language, t
from lemo.console.openid import BEGIN, PROBLEM
from lemo.console.queries import Queries, attempt
from lemo.console.sentences import told
from lemo.console.theme import banner, heading, trouble
from lemo.domain.account import Account
from lemo.domain.api_key import ApiKey
from lemo.domain.errors import LemoError, NotAllowed, WrongCredential
from lemo.domain.scope import Scope

OF_ONE_ADDRESS, OF_ONE_NAME, OF_BOTH = 20, 50, 5
"""Failed attempts within five minutes: of an address, for an account, and of an address for an account.

The second is large, so that others cannot lock somebody out with a few attempts.
"""
log = structlog.get_logger()


class LoginPage:
    """Draws the form and begins sessions. One per process."""

    def __init__(self, queries: Queries, access: Access, provider: str = "") -> None:
        """`provider` names the identity provider whose people may log in, if there is one."""
        self._queries = queries
        self._access = access
        self._provider = provider
        self._attempts = Attempts()

    async def draw(self) -> None:
        """The page for whoever asks."""
        accounts = await run.io_bound(attempt, self._queries.stores.accounts.exist)
        with (
            frame("/login", None, t("Log in", "登录")),
            ui.element("div").classes("lemo-card w-full max-w-md mx-auto mt-8"),
        ):
            heading(t("Log in", "登录"))
            if self._provider:
                self._provider_button()
            if isinstance(accounts, LemoError):
                trouble(accounts)
            elif accounts:
                self._account_form()
                with ui.expansion(t("With a key", "使用密钥")).classes("w-full mt-4").props("dense"):
                    self._key_form(
                        t("A key of a tenant whose people have no accounts.", "适用于没有账号的租户的密钥。"),
                        t("Log in with the key", "使用密钥登录"),
                    )
            elif not self._provider:
                self._key_form(
                    t(
                        "A key of your tenant. The first one stands in admin.key, in the home folder of Lemo.",
                        "您的租户的密钥。首个密钥保存在 Lemo 主目录的 admin.key 中。",
                    ),
                    t("Log in", "登录"),
                )

    def _provider_button(self) -> None:
        if problem := app.storage.user.pop(PROBLEM, ""):
            with ui.element("div").classes("mt-3").props("role=alert"):
                banner(str(problem))
        button = ui.button(
            t(f"Log in at {self._provider}", f"通过 {self._provider} 登录"), on_click=lambda: ui.navigate.to(BEGIN)
        )
        button.props("unelevated no-caps").classes("mt-4 w-full")

    def _account_form(self) -> None:
        name = ui.input(t("Account", "账号")).classes("w-full mt-4").props("outlined autofocus autocomplete=username")
        password = (
            ui.input(t("Password", "密码"), password=True)
            .classes("w-full mt-2")
            .props("outlined autocomplete=current-password")
        )

        async def enter() -> None:
            await self._enter(lambda: self._account(address, name.value or "", password.value or "", spoken), password)

        address, spoken = ui.context.client.ip, language()
        password.on("keydown.enter", enter)
        ui.button(t("Log in", "登录"), on_click=enter).props("unelevated no-caps").classes("mt-4")

    def _key_form(self, text: str, button: str) -> None:
        ui.label(text).classes("text-sm lemo-muted mt-1")
        # The key itself is kept nowhere.
        key = ui.input(t("Key", "密钥"), password=True).classes("w-full mt-4").props("outlined autocomplete=off")

        async def enter() -> None:
            await self._enter(lambda: self._key(address, key.value or ""), key)

        address = ui.context.client.ip
        key.on("keydown.enter", enter)
        ui.button(button, on_click=enter).props("unelevated no-caps").classes("mt-4")

    async def _enter(self, find: Callable[[], Account | ApiKey], field: ui.input) -> None:
        found = await run.io_bound(attempt, find)
        if isinstance(found, LemoError):
            field.props("error").props["error-message"] = told(found)
            return
        if found is not None:  # the console is not ending
            self._access.begin_session(found)
            ui.navigate.to("/")

    def _account(self, address: str, name: str, password: str, spoken: Language = "en") -> Account:
        name = name.strip().lower()
        limits = [
            (f"address {address}", OF_ONE_ADDRESS),
            (f"name {name[:80]}", OF_ONE_NAME),
            (f"both {address} {name[:80]}", OF_BOTH),
        ]
        self._attempts.begin(limits)
        stores = self._queries.stores
        found = stores.accounts.authenticate(name, password)
        if found is None:
            # Without the name: people type passwords into the wrong field.
            log.warning("a login failed", address=address)
            raise WrongCredential(chosen(spoken, "Account or password is wrong.", "账号或密码错误。"))
        self._attempts.succeeded(limits)
        by = f"{found.tenant_id}, console (account {found.name})"
        stores.audit.note(Scope(found.tenant_id), by, "console.login", found.name, address=address)
        return found

    def _key(self, address: str, key: str) -> ApiKey:
        limits = [(f"address {address}", OF_ONE_ADDRESS)]
        self._attempts.begin(limits)
        stores = self._queries.stores
        found = stores.api_keys.find(key.strip())
        if found is None:
            log.warning("a login failed", address=address)
            raise WrongCredential("This key is unknown.", "Check it for a missing character.")
        found.check("operator", None, datetime.now(UTC))
        self._attempts.succeeded(limits)
        if self._access.has_people(found.tenant_id):
            raise NotAllowed(f"The people of {found.tenant_id} have accounts.", "Log in with yours.")
        return found
