"""The frame of every page: menu, header with language, appearance and account, and a column for the content."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import Path

from nicegui import app, ui

from lemo.console.language import COOKIE, LANGUAGES, language, t
from lemo.console.navigation import entry, menu_of
from lemo.console.visitor import Visitor

LEMON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32" width="28" height="28">'
    '<path d="M4 25c-2-9 2-18 13-20 3-.6 4 .2 6-1.6.8-.7 2 .2 1.6 1.3-.5 1.7.6 3 1.3 4.8C29 19 21 28 11 27'
    'c-2.2-.2-3.3.2-4.6 1-1.2.7-2.7-1-2.4-3z" fill="#facc15"/>'
    '<path d="M8.5 20c.3-5 3.5-9 8.5-10.5" stroke="#fff" stroke-width="2.2" fill="none"/></svg>'
)
CSS = Path(__file__).with_name("console.css")
_BREAKPOINT = 1023
"""Widest window, in pixels, whose menu hides behind a button."""

# Before anything is painted: a page must not flash in the other colours. The choice is a cookie, so that it outlives
# the console's process, whose sessions end with it.
_SCRIPT = """<script>
(() => {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const cookie = () => document.cookie.match(/(?:^|; )lemo-theme=(light|dark)/)?.[1] ?? "system";
  const keep = (name, value, seconds = 31536000) =>
    document.cookie = `${name}=${value}; path=/; max-age=${seconds}; SameSite=Strict`;
  const show = () => {
    const dark = cookie() === "dark" || (cookie() === "system" && system.matches);
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    document.documentElement.lang = "LANGUAGE_TAG";  // Quasar sets its own as it starts
    if (window.Quasar) Quasar.Dark.set(dark);
  };
  window.lemo = {
    theme: (name) => { keep("lemo-theme", name, name === "system" ? 0 : undefined); show(); },
    language: (name) => { keep("LANGUAGE_COOKIE", name); location.reload(); },
  };
  // The open menu of a phone, by the keyboard.
  addEventListener("keydown", ({ key }) => key === "Escape" && document.querySelector(".q-drawer__backdrop")?.click());
  system.addEventListener("change", show);
  addEventListener("load", () => setTimeout(show));
  addEventListener("load", () => document.querySelectorAll(".nicegui-error-popup span").forEach(
    (each, place) => { each.textContent = CONNECTION_WORDS[place] ?? each.textContent; }));
  show();
})();
</script>"""


@contextmanager
def frame(path: str, visitor: Visitor | None, title: str = "") -> Iterator[None]:
    """The frame of the page at `path`; without a visitor there is no menu.

    `title` stands in the header and the window's title; by default it is the page's name in the menu.
    """
    page = entry(path)
    name = title or (t(page.english, page.chinese) if page else "Lemo")
    _head(name)
    drawer = _menu(path, visitor) if visitor else None
    with ui.header().classes("lemo-header items-center gap-1 px-3 sm:px-4 py-2 flex-nowrap"):
        if drawer:
            button = ui.button(icon="menu", on_click=drawer.toggle).props("flat round dense color=secondary")
            button.classes("lg:hidden").props["aria-label"] = t("Menu", "菜单")
        else:
            ui.html(LEMON, sanitize=False).classes("mr-1")
        with ui.element("h1").classes("text-base font-semibold ellipsis"):
            ui.label(name)
        ui.space()
        if visitor:
            ui.label(visitor.tenant_id).classes("lemo-label ellipsis max-w-32").tooltip(t("Tenant", "租户"))
        _language_button()
        _appearance_button()
        if visitor and visitor.logged_in:
            _account_button(visitor)
    with ui.column().classes("w-full max-w-screen-xl mx-auto p-3 sm:p-5 gap-4").props("id=content"):
        yield


def _head(name: str) -> None:
    tag = "zh-CN" if language() == "zh" else "en"
    # The words of Quasar's own, as those of the buttons in choices; NiceGUI knows the language of an address only.
    client = ui.context.client
    client.page = copy(client.page)
    client.page.language = "zh-CN" if language() == "zh" else "en-US"
    # NiceGUI knows one language for all visitors; these words of its own stand in each page from the start.
    connection = [
        t("Connection lost.", "连接已断开。"),
        t("Trying to reconnect …", "正在重新连接…"),
        t("Message too long", "消息过长"),
        t("What was entered is larger than one message may be.", "输入的内容超过单条消息的上限。"),
    ]
    script = _SCRIPT.replace("LANGUAGE_COOKIE", COOKIE).replace("LANGUAGE_TAG", tag)
    ui.add_head_html(script.replace("CONNECTION_WORDS", json.dumps(connection)))
    ui.add_css(CSS)
    ui.page_title(name if name == "Lemo" else f"{name} · Lemo")
    ui.query(".nicegui-content").classes("p-0")


def _menu(path: str, visitor: Visitor) -> ui.left_drawer:
    # Whoever uses the keyboard need not walk through the menu on each page.
    with ui.element("a").classes("lemo-skip").props("href=#content"):
        ui.label(t("Skip to the content", "跳到内容"))
    # Quasar decides whether it fits. With no value, NiceGUI would ask the browser, and log an error where that is slow.
    drawer = ui.left_drawer(value=False, top_corner=True, bottom_corner=True).classes("lemo-drawer")
    drawer.props(f"show-if-above width=216 breakpoint={_BREAKPOINT}")
    with drawer:
        with ui.link(target="/").classes("flex items-center gap-2 no-underline px-2 pb-2").style("color: var(--text)"):
            ui.html(LEMON, sanitize=False)
            ui.label("Lemo").classes("text-lg font-semibold")
        with ui.element("nav").classes("w-full flex flex-col gap-0.5") as nav:
            nav.props["aria-label"] = t("Pages", "页面")
            for words, pages in menu_of(visitor):
                if words[0]:
                    ui.label(t(*words)).classes("lemo-nav-title")
                for page in pages:
                    with ui.link(target=page.path).classes("lemo-nav") as link:
                        if page.path == path:
                            link.props["aria-current"] = "page"
                        ui.icon(page.icon).props("aria-hidden=true")
                        ui.label(t(page.english, page.chinese))
    return drawer


def _language_button() -> None:
    with ui.button(icon="translate").props("flat round dense color=secondary") as button:
        button.props["aria-label"] = t("Language", "语言")
        button.tooltip(t("Language", "语言"))
        with ui.menu().props("auto-close"):
            for code, name in LANGUAGES.items():
                with ui.item().props("clickable").on("click", js_handler=f"() => lemo.language('{code}')"):
                    with ui.item_section():
                        ui.label(name).props(f"lang={code}")
                    if code == language():
                        with ui.item_section().props("side"):
                            ui.icon("check", size="xs")


def _appearance_button() -> None:
    words = {"system": t("System", "跟随系统"), "light": t("Light", "浅色"), "dark": t("Dark", "深色")}
    with ui.button(icon="contrast").props("flat round dense color=secondary") as button:
        button.props["aria-label"] = t("Appearance", "外观")
        button.tooltip(t("Appearance", "外观"))
        with ui.menu().props("auto-close"):
            for name, word in words.items():
                item = ui.item(word).props("clickable")
                item.on("click", js_handler=f"() => lemo.theme('{name}')")


def _account_button(visitor: Visitor) -> None:
    name = visitor.account or visitor.person or t("Key", "密钥")
    with ui.button(icon="account_circle").props("flat dense no-caps color=secondary").classes("px-2") as button:
        button.props["aria-label"] = t("You: ", "您：") + name
        ui.label(name).classes("ml-2 max-sm:hidden")
        with ui.menu():
            with ui.column().classes("px-4 py-2 gap-0"):
                ui.label(
                    visitor.account or visitor.person or t(f"Key {visitor.key_id}", f"密钥 {visitor.key_id}")
                ).classes("font-medium")
                ui.label(t(f"Role {visitor.role}", f"角色 {visitor.role}")).classes("lemo-muted lemo-small")
            ui.separator()
            with ui.item(on_click=_leave):
                with ui.item_section().props("avatar"):
                    ui.icon("logout", size="xs")
                with ui.item_section():
                    ui.label(t("Log out", "退出登录"))


def _leave() -> None:
    app.storage.user.clear()
    ui.navigate.to("/login")
