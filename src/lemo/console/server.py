"""The console's process: pages, who may see them, and the server."""

import os
import secrets
import socket
from typing import Annotated

import structlog
from fastapi import Query
from nicegui import app, ui
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse, RedirectResponse

from lemo.console.access import Access
from lemo.console.analytics.page import analytics_page
from lemo.console.audit import audit_page
from lemo.console.disconnect import Departed
from lemo.console.error_pages import add_error_pages
from lemo.console.experiments.page import experiments_page
from lemo.console.frame import LEMON
from lemo.console.health import Health
from lemo.console.home.page import home_page
from lemo.console.imports.page import ImportPages
from lemo.console.imports.receiving import Tickets
from lemo.console.imports.receiving import add_route as add_upload_route
from lemo.console.imports.uploads import Uploads
from lemo.console.imports.work import Imports
from lemo.console.ingest.page import ingest_page
from lemo.console.jobs.page import jobs_page
from lemo.console.login import LoginPage
from lemo.console.models.page import models_page
from lemo.console.navigation import address
from lemo.console.openid import OpenIdLogin
from lemo.console.queries import Queries
from lemo.console.scenario.page import scenario_page
from lemo.console.settings.page import settings_page
from lemo.console.subjects import Subjects
from lemo.deadlines import BodyDeadline, DeadlineProtocol
from lemo.domain.errors import Conflict, InvalidInput
from lemo.settings import Settings
from lemo.stores.loopback import is_loopback
from lemo.stores.openid import OpenIdProvider

log = structlog.get_logger()


def serve(settings: Settings) -> None:
    """Serves the console until the process is stopped; raises Conflict when the port is taken."""
    check_port(settings.console_host, settings.console_port)
    queries = Queries(settings)
    health = Health(settings)
    access = Access(settings, queries)

    @ui.page("/")
    async def home() -> None:
        await home_page(queries, health, access)

    @ui.page("/analytics")
    async def analytics(
        scenario: str = "",
        days: str = "",
        since: Annotated[str, Query(alias="from")] = "",
        to: str = "",
        by: str = "",
        group: str = "",
        count: str = "",
        metric: str = "",
    ) -> None:
        given = {"scenario": scenario, "days": days, "from": since, "to": to, "by": by}
        await analytics_page(queries, access, given | {"group": group, "count": count, "metric": metric})

    subjects = Subjects(queries)
    subjects.add_pages(access)

    @ui.page("/scenario")
    async def scenario_rules(scenario: str = "") -> None:
        await scenario_page(queries, access, scenario)

    @ui.page("/jobs")
    async def jobs(scenario: str = "", entry: str = "", run: str = "") -> None:
        await jobs_page(queries, access, scenario, entry, run)

    @app.get("/schedule")
    def schedule(scenario: str = "") -> RedirectResponse:
        """Where the jobs were before."""
        return RedirectResponse(address("/jobs", scenario=scenario))

    @ui.page("/models")
    async def models(scenario: str = "", one: str = "", two: str = "") -> None:
        await models_page(queries, access, scenario, one, two)

    @ui.page("/experiments")
    async def experiments(scenario: str = "", name: str = "", new: str = "") -> None:
        await experiments_page(queries, access, scenario, name, new)

    @ui.page("/ingest")
    async def ingest(scenario: str = "") -> None:
        await ingest_page(queries, access, scenario)

    uploads = Uploads(settings)
    uploads.recover()
    tickets = Tickets()
    add_upload_route(access, uploads, tickets)
    pages = ImportPages(queries, access, uploads, Imports(settings, uploads), tickets)

    @ui.page("/import")
    async def import_files(scenario: str = "", file: str = "") -> None:
        await pages.draw(scenario, file)

    @ui.page("/settings")
    async def settings_of_tenant() -> None:
        await settings_page(queries, access)

    @ui.page("/audit")
    async def audit() -> None:
        await audit_page(queries, access)

    provider = OpenIdProvider(settings) if settings.oidc_issuer else None
    if provider is not None:
        OpenIdLogin(settings, queries, access, provider).add_routes()
    login = LoginPage(queries, access, provider.host if provider else "")

    @ui.page("/login")
    async def log_in() -> None:
        await login.draw()

    add_error_pages(access)

    if is_loopback(settings.console_host):
        # Without a login, a web site that points its name at 127.0.0.1 must not get to read the pages.
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=["localhost", "127.0.0.1", "[::1]"])

    @app.get("/health/live")
    def live() -> dict[str, str]:
        return {"status": "ok"}

    # A bar over the page at each request is more motion than news; it has no name for those who hear the page, too.
    app.config.quasar_config["loadingBar"]["skipHijack"] = True
    app.on_startup(_expect_departures)
    app.on_shutdown(subjects.close)
    app.on_shutdown(queries.close)
    log.info("console listens", address=f"http://{settings.console_host}:{settings.console_port}")
    ui.run(
        host=settings.console_host,
        port=settings.console_port,
        title="Lemo",
        favicon=LEMON,
        language="en-US",
        reload=False,
        # A browser that is busy for seconds, or a train in a tunnel, must not lose what was typed: later, the page is
        # loaded anew.
        reconnect_timeout=15.0,
        show=False,
        show_welcome_message=False,
        # Sessions end with the process: nothing worth stealing lies on the disk.
        storage_secret=secrets.token_urlsafe(32),
        session_middleware_kwargs={"same_site": "strict"},
        log_config=None,
        http=DeadlineProtocol,
    )


def _expect_departures() -> None:
    """Puts what deals with clients that leave or dawdle in front of the middleware that NiceGUI adds as it starts."""
    refuse = PlainTextResponse("The body came too slowly.", 408, {"Connection": "close"})
    app.user_middleware[:0] = [Middleware(BodyDeadline, refuse=refuse), Middleware(Departed)]
    app.middleware_stack = app.build_middleware_stack()


def check_port(host: str, port: int) -> None:
    """Raises Conflict when another program listens at the port, InvalidInput when the address is not ours."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise InvalidInput(
            f"The console cannot listen on the address {host!r}: it is unknown.", "Correct LEMO_CONSOLE_HOST."
        ) from error
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except PermissionError as error:
            raise InvalidInput(
                f"You may not listen on port {port}.", "Set LEMO_CONSOLE_PORT to a port above 1023."
            ) from error
        except OSError as error:
            raise Conflict(
                f"The console cannot listen on {host}:{port}: {os.strerror(error.errno or 0)}.",
                "Stop the program that has the port (maybe another `lemo console`), or set LEMO_CONSOLE_PORT to a"
                " free one.",
            ) from error
