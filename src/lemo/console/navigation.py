"""The pages of the console in the order of the menu. The menu shows those that the server has."""

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlencode

from nicegui import app
from starlette.routing import Route

from lemo.console.visitor import Visitor
from lemo.domain.account import AccountRole


@dataclass(frozen=True, slots=True)
class PageEntry:
    """A page in the menu."""

    path: str
    icon: str
    """Name of a Material icon."""
    english: str
    chinese: str
    role: AccountRole = "viewer"
    """Least role that sees it in the menu."""


MENU: tuple[tuple[tuple[str, str], tuple[PageEntry, ...]], ...] = (
    (
        ("", ""),
        (
            PageEntry("/", "home", "Home", "首页"),
            PageEntry("/analytics", "insights", "Analytics", "数据分析"),
            PageEntry("/explore", "travel_explore", "Explore", "推荐探索"),
        ),
    ),
    (
        ("Catalogue", "内容"),
        (
            PageEntry("/items", "inventory_2", "Items", "物品"),
            PageEntry("/users", "group", "Users", "用户"),
        ),
    ),
    (
        ("Recommender", "推荐"),
        (
            PageEntry("/scenario", "tune", "Scenario", "场景"),
            PageEntry("/models", "model_training", "Models", "模型"),
            PageEntry("/experiments", "science", "Experiments", "实验"),
        ),
    ),
    (
        ("Operation", "运行"),
        (
            PageEntry("/jobs", "event_repeat", "Jobs", "任务"),
            PageEntry("/import", "upload_file", "Import", "导入"),
            PageEntry("/ingest", "input", "Ingest", "数据接入"),
            PageEntry("/settings", "settings", "Settings", "设置", role="admin"),
            PageEntry("/audit", "history", "Audit", "审计", role="admin"),
        ),
    ),
)
"""Groups of pages, each with its heading in both languages."""


def entry(path: str) -> PageEntry | None:
    """The page at a path, where the menu knows it."""
    return next((page for _, pages in MENU for page in pages if page.path == path), None)


def address(path: str, **parameters: str) -> str:
    """The address of a page with parameters, of which empty ones are left out; empty where there is no such page."""
    if path not in _served():
        return ""
    given = {name: value for name, value in parameters.items() if value}
    return path + ("?" + urlencode(given) if given else "")


def menu_of(visitor: Visitor) -> Iterator[tuple[tuple[str, str], list[PageEntry]]]:
    """The groups with the pages that the server has and the visitor may see."""
    served = _served()
    for words, pages in MENU:
        shown = [page for page in pages if page.path in served and visitor.may(page.role)]
        if shown:
            yield words, shown


def _served() -> set[str]:
    return {route.path for route in app.routes if isinstance(route, Route)}
