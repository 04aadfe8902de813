"""Accounts of people in the console: made, given another role or password, deleted."""

from typing import get_args

from nicegui import ui

from lemo.console.acting import Actor
from lemo.console.formats import ago, stamp
from lemo.console.language import t
from lemo.console.panels import Panel
from lemo.console.queries import Queries
from lemo.console.tables import cell, table, td, tr
from lemo.console.theme import heading, nothing, section
from lemo.domain.account import LEAST_CHARACTERS, Account, AccountRole
from lemo.domain.errors import LemoError


class AccountList:
    """The accounts of a tenant, in a section of the page."""

    def __init__(self, queries: Queries, actor: Actor, tenant_id: str) -> None:
        self._queries = queries
        self._actor = actor
        self._tenant_id = tenant_id
        self._edited: Account | None = None
        with section():
            with ui.row().classes("items-center justify-between w-full gap-2"):
                heading(t("Console accounts", "控制台账号"))
                ui.button(
                    t("Create an account", "创建账号"), icon="person_add", on_click=lambda: self._open(None)
                ).props("flat no-caps color=secondary")
            self._panel: Panel[list[Account]] = Panel(lambda: queries.stores.accounts.list(tenant_id), self._draw)
        with actor.host:
            self._build_dialog()

    def _draw(self, accounts: list[Account]) -> None:
        if not accounts:
            nothing(
                t(
                    "Nobody has an account: on this machine everybody may use the console. The first one ends that.",
                    "尚无账号：本机上任何人都可使用控制台。创建第一个账号后所有人都需登录。",
                )
            )
            return
        words = account_role_words()
        with table((t("Account", "账号"), t("Role", "角色"), t("Created", "创建"), t("Password set", "密码设置"), "")):
            for account in accounts:
                with tr().mark("account"):
                    with td():
                        ui.label(account.name).classes("font-medium break-all")
                    cell(words[account.role])
                    cell(ago(account.created_at), stamp(account.created_at))
                    cell(ago(account.password_set_at), stamp(account.password_set_at))
                    with td("number"), ui.row().classes("gap-1 flex-nowrap justify-end"):
                        for icon, text, action in (
                            ("edit", t("Change", "修改"), lambda a=account: self._open(a)),
                            ("person_remove", t("Delete", "删除"), lambda a=account: self._delete(a.name)),
                        ):
                            button = ui.button(icon=icon, on_click=action).props("flat round dense color=secondary")
                            button.tooltip(text).props["aria-label"] = f"{text}: {account.name}"

    def _build_dialog(self) -> None:
        with ui.dialog() as self._dialog, ui.card().classes("w-full max-w-md gap-3"):
            self._title = ui.label().classes("text-lg font-semibold break-words")
            self._name = ui.input(t("Name, or e-mail address", "名称或邮箱")).props("autocomplete=off")
            self._role = ui.select(account_role_words(), value="viewer", label=t("Role", "角色"))
            self._password = ui.input(t("Password", "密码"), password=True, password_toggle_button=True).props(
                "autocomplete=new-password"
            )
            for field in (self._name, self._role, self._password):
                field.props("outlined dense").classes("w-full")
            with ui.row().classes("w-full justify-end gap-2 mt-2"):
                ui.button(t("Cancel", "取消"), on_click=self._dialog.close).props("flat no-caps color=secondary")
                ui.button(t("Save", "保存"), on_click=self._save).props("unelevated no-caps")

    def _open(self, account: Account | None) -> None:
        self._edited = account
        self._title.text = (
            t("A new account", "新账号")
            if account is None
            else t(f"Role and password of {account.name}", f"{account.name} 的角色和密码")
        )
        self._password.props["hint"] = (
            t(f"At least {LEAST_CHARACTERS} characters", f"至少 {LEAST_CHARACTERS} 个字符")
            if account is None
            else t("Empty: stays as it is. Another one ends its sessions.", "留空则不变；修改密码会结束其会话。")
        )
        self._name.set_visibility(account is None)
        self._name.value, self._password.value = "", ""
        self._role.value = "viewer" if account is None else account.role
        self._dialog.open()

    async def _save(self) -> None:
        accounts, tenant_id, by = self._queries.stores.accounts, self._tenant_id, self._actor.visitor.by
        edited, password = self._edited, self._password.value or ""
        name, role = (self._name.value or "").strip().lower(), self._role.value

        def save() -> None:
            if edited is None:
                accounts.create(tenant_id, name, role, password, by)
                return
            another = None if role == edited.role else role
            if another or password:
                accounts.change(tenant_id, edited.name, by, role=another, password=password or None)

        if not isinstance(await self._actor.do(save, t("Saved", "已保存"), role="admin"), LemoError):
            self._dialog.close()
        self._password.value = ""
        await self._panel.renew()

    async def _delete(self, name: str) -> None:
        if not await self._actor.sure(
            t(f"Delete {name}?", f"删除 {name}？"),
            t(
                "Its sessions end within seconds. Without any account the console is open on this machine.",
                "其会话将在数秒内结束。没有任何账号时，本机上的控制台对所有人开放。",
            ),
            t("Delete", "删除"),
            danger=True,
        ):
            return
        accounts, by = self._queries.stores.accounts, self._actor.visitor.by
        await self._actor.do(lambda: accounts.delete(self._tenant_id, name, by), t("Deleted", "已删除"), role="admin")
        await self._panel.renew()


def account_role_words() -> dict[AccountRole, str]:
    """The roles of accounts in the language of the page, the least first."""
    words: dict[AccountRole, str] = {
        "viewer": t("viewer: looks on", "访客：查看"),
        "operator": t("operator: runs and changes", "运维：运行和修改"),
        "admin": t("admin: keys and accounts too", "管理员：含密钥和账号"),
    }
    return {role: words[role] for role in reversed(get_args(AccountRole))}
