"""Pages that do not exist, and pages that failed: in the frame of the others."""

from fastapi.exception_handlers import http_exception_handler
from nicegui import Client, app, ui
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from lemo.console.access import Access
from lemo.console.frame import frame
from lemo.console.language import t
from lemo.console.theme import empty, section
from lemo.domain.errors import LemoError

_NOT_PAGES = ("/_nicegui", "/health")


def add_error_pages(access: Access) -> None:
    """Has the server answer unknown addresses and failures of pages with pages of its own."""

    @app.exception_handler(404)
    async def missing(request: Request, exception: Exception) -> Response:
        if request.url.path.startswith(_NOT_PAGES) and isinstance(exception, HTTPException):
            return await http_exception_handler(request, exception)
        with Client(ui.page(""), request=request) as client:
            try:
                visitor = await access.visitor()
            except LemoError:
                visitor = None
            with frame(request.url.path, visitor, t("Not found", "未找到")), section():
                empty(
                    "explore_off",
                    t("There is no such page.", "没有这个页面。"),
                    t("Check the address, or start from the home page.", "请检查地址，或返回首页。"),
                )
                _way_home()
        return client.build_response(request, 404)

    @app.on_page_exception
    def failed(exception: Exception) -> None:
        # Not its words, which may hold what this visitor must not see; the log has them.
        with frame("", None, t("Error", "错误")), section():
            empty(
                "error",
                t("This page failed.", "页面出错了。"),
                t(
                    f"The console's log has the {type(exception).__name__} with its cause. Load the page again, or",
                    f"控制台日志记录了 {type(exception).__name__} 及其原因。请重新加载页面，或",
                ),
            )
            _way_home()


def _way_home() -> None:
    with ui.row().classes("w-full justify-center"):
        ui.link(t("go to the home page", "返回首页"), "/").classes("lemo-link")
