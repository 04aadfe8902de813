"""Keys of the tenant: made and shown once, rotated, revoked."""

from datetime import UTC, datetime, timedelta
from typing import get_args

from nicegui import ui

from lemo.console.acting import Actor
from lemo.console.formats import ago, stamp
from lemo.console.language import t
from lemo.console.panels import Panel
from lemo.console.queries import Queries
from lemo.console.tables import cell, table, td, tr
from lemo.console.theme import BAD, QUIET, WEAK, badge, copyable, heading, nothing, section
from lemo.domain.api_key import LIMITABLE, ApiKey, KeyWishes, Role, checked_origin
from lemo.domain.errors import InvalidInput, LemoError
from lemo.stores.documents.api_keys import NewKey

OVERLAPS = (0, 1, 24, 168)
"""Hours that a rotated key may go on working."""


class KeyList:
    """The keys of a tenant, in a section of the page."""

    def __init__(self, queries: Queries, actor: Actor, tenant_id: str, scenarios: list[str]) -> None:
        self._queries = queries
        self._actor = actor
        self._tenant_id = tenant_id
        with section():
            with ui.row().classes("items-center justify-between w-full gap-2"):
                heading(t("Keys", "密钥"))
                ui.button(t("Create a key", "创建密钥"), icon="add", on_click=self._open).props(
                    "flat no-caps color=secondary"
                )
            self._panel: Panel[list[ApiKey]] = Panel(lambda: queries.stores.api_keys.list(tenant_id), self._draw)
        with actor.host:
            self._build_dialog(scenarios)

    def _draw(self, keys: list[ApiKey]) -> None:
        if not keys:
            nothing(t("There is no key.", "尚无密钥。"))
            return
        words, now = role_words(), datetime.now(UTC)
        names = (
            t("Key", "密钥"),
            t("Role", "角色"),
            t("Limited to", "限制"),
            t("Last used", "最近使用"),
            t("Expires", "到期"),
            "",
        )
        with table(names):
            for key in keys:
                with tr().mark("key"):
                    with td(), ui.column().classes("gap-0 items-start"):
                        if key.name:
                            ui.label(key.name).classes("font-medium break-words")
                        ui.label(key.id).classes("lemo-muted lemo-small font-mono")
                    cell(words[key.role])
                    with td():
                        limits = [*(key.scenarios or ()), *(key.origins or ())]
                        ui.label(", ".join(limits) or "–").classes("break-all")
                    cell(ago(key.last_used_at), stamp(key.last_used_at))
                    with td():
                        _draw_expiry(key, now)
                    with td("number"), ui.row().classes("gap-1 flex-nowrap justify-end"):
                        self._buttons(key)

    def _buttons(self, key: ApiKey) -> None:
        for icon, text, action in (
            ("autorenew", t("Rotate", "轮换"), lambda: self._rotate(key)),
            ("block", t("Revoke", "吊销"), lambda: self._revoke(key)),
        ):
            button = ui.button(icon=icon, on_click=action).props("flat round dense color=secondary").tooltip(text)
            button.props["aria-label"] = f"{text}: {key.name or key.id}"

    def _build_dialog(self, scenarios: list[str]) -> None:
        with ui.dialog() as self._dialog, ui.card().classes("w-full max-w-md gap-3"):
            ui.label(t("A new key", "新密钥")).classes("text-lg font-semibold")
            self._role = ui.select(role_words(), value="read", label=t("Role", "角色"))
            self._means = ui.label().classes("lemo-muted lemo-small")
            self._name = ui.input(t("What it is for", "用途")).props("maxlength=200")
            self._scenarios = ui.select(
                scenarios,
                multiple=True,
                value=[],
                label=t("Only for these scenarios (none: all)", "仅限场景（不选为全部）"),
            )
            self._origins = ui.input(t("Only for pages of these sites", "仅限这些网站的页面")).props(
                "placeholder='https://shop.example https://…'"
            )
            self._days = ui.number(t("Expires after days (empty: never)", "有效天数（空为永久）"), min=1, max=3650)
            for field in (self._role, self._name, self._scenarios, self._origins, self._days):
                field.props("outlined dense").classes("w-full")
            self._role.on_value_change(self._role_changed)
            self._role_changed()
            with ui.row().classes("w-full justify-end gap-2"):
                ui.button(t("Cancel", "取消"), on_click=self._dialog.close).props("flat no-caps color=secondary")
                ui.button(t("Create", "创建"), on_click=self._create).props("unelevated no-caps")

    def _role_changed(self) -> None:
        role: Role = self._role.value
        self._means.text = _role_means()[role]
        for field in (self._scenarios, self._origins):
            field.set_visibility(role in LIMITABLE)

    def _open(self) -> None:
        self._name.value, self._origins.value, self._scenarios.value, self._days.value = "", "", [], None
        self._dialog.open()

    async def _create(self) -> None:
        role: Role = self._role.value
        limited = role in LIMITABLE
        name, days, scenarios = self._name.value or "", self._days.value, list(self._scenarios.value or [])
        origins = (self._origins.value or "").split()

        def create() -> NewKey:
            ends = datetime.now(UTC) + timedelta(days=days) if days else None
            wishes = KeyWishes(
                role=role,
                name=name,
                scenarios=scenarios if limited and scenarios else None,
                origins=[_origin(each) for each in origins] if limited and origins else None,
                expires_at=ends,
            )
            return self._queries.stores.api_keys.create(self._tenant_id, wishes, self._actor.visitor.by)

        made = await self._actor.do(create, role="admin")
        if not isinstance(made, LemoError):
            self._dialog.close()
            await show_once(self._actor, made)
            await self._panel.renew()

    async def _rotate(self, key: ApiKey) -> None:
        overlap = await self._ask_overlap(key)
        if overlap is None:
            return
        stores, by = self._queries.stores, self._actor.visitor.by
        made = await self._actor.do(
            lambda: stores.api_keys.rotate(self._tenant_id, key.id, timedelta(hours=overlap), by), role="admin"
        )
        if not isinstance(made, LemoError):
            await show_once(self._actor, made)
        await self._panel.renew()

    async def _ask_overlap(self, key: ApiKey) -> int | None:
        with self._actor.host, ui.dialog() as dialog, ui.card().classes("w-full max-w-md gap-3"):
            ui.label(t(f"Rotate {key.name or key.id}?", f"轮换 {key.name or key.id}？")).classes(
                "text-lg font-semibold"
            )
            ui.label(
                t("A key like it is made. The old one goes on working for:", "将创建相同的新密钥，旧密钥继续有效：")
            ).classes("lemo-muted text-sm")
            words = {
                0: t("no time", "立即失效"),
                1: t("1 hour", "1 小时"),
                24: t("1 day", "1 天"),
                168: t("1 week", "1 周"),
            }
            hours = ui.radio({each: words[each] for each in OVERLAPS}, value=24).props("dense")
            with ui.row().classes("w-full justify-end gap-2"):
                ui.button(t("Cancel", "取消"), on_click=lambda: dialog.submit(None)).props(
                    "flat no-caps color=secondary"
                )
                ui.button(t("Rotate", "轮换"), on_click=lambda: dialog.submit(hours.value)).props("unelevated no-caps")
        try:
            answer: int | None = await dialog
            return answer
        finally:
            dialog.delete()

    async def _revoke(self, key: ApiKey) -> None:
        name = key.name or key.id
        if not await self._actor.sure(
            t(f"Revoke {name}?", f"吊销 {name}？"),
            t(
                "Every process refuses it within 5 seconds. It cannot be undone.",
                "所有进程将在 5 秒内拒绝它，且无法撤销。",
            ),
            t("Revoke", "吊销"),
            danger=True,
        ):
            return
        stores, by = self._queries.stores, self._actor.visitor.by
        await self._actor.do(
            lambda: stores.api_keys.revoke(self._tenant_id, key.id, by), t("Revoked", "已吊销"), role="admin"
        )
        await self._panel.renew()


async def show_once(actor: Actor, made: NewKey) -> None:
    """Shows a key that was just made, for the only time."""
    with actor.host, ui.dialog().props("persistent") as dialog, ui.card().classes("w-full max-w-lg gap-3"):
        ui.label(t("Copy this key now", "请立即复制此密钥")).classes("text-lg font-semibold")
        ui.label(t("It is shown only now: only its SHA-256 is kept.", "仅显示一次：只保存其 SHA-256。")).classes(
            "lemo-muted text-sm"
        )
        with ui.element("div").classes("w-full").mark("new-key"):
            copyable(made.key)
        with ui.row().classes("w-full justify-end"):
            ui.button(t("I have it", "已保存"), on_click=lambda: dialog.submit(None)).props("unelevated no-caps")
    try:
        await dialog
    finally:
        dialog.delete()


def _draw_expiry(key: ApiKey, now: datetime) -> None:
    if key.expires_at is None:
        badge(t("never", "永久"), QUIET)
    elif key.expires_at <= now:
        badge(t("expired", "已过期"), BAD).tooltip(stamp(key.expires_at))
    else:
        badge(ago(key.expires_at, now), WEAK).tooltip(stamp(key.expires_at))


def role_words() -> dict[Role, str]:
    """The roles of keys in the language of the page, the least first."""
    words: dict[Role, str] = {
        "admin": t("admin", "管理员"),
        "operator": t("operator", "运维"),
        "ingest": t("ingest", "写入"),
        "track": t("track", "跟踪"),
        "read": t("read", "读取"),
    }
    return {role: words[role] for role in reversed(get_args(Role))}


def _role_means() -> dict[Role, str]:
    return {
        "read": t("Asks for recommendations.", "请求推荐。"),
        "track": t("Asks for recommendations and sends events.", "请求推荐并发送行为。"),
        "ingest": t("Sends items and events, and reads nothing.", "发送物品和行为，不能读取。"),
        "operator": t("Does all of that, and runs jobs.", "以上全部，并可运行任务。"),
        "admin": t("Does everything, keys included.", "全部权限，包括密钥。"),
    }


def _origin(text: str) -> str:
    try:
        return checked_origin(text)
    except ValueError as error:
        raise InvalidInput(f"{text[:80]!r} {error}.") from error
