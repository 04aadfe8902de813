"""The application: routes, errors, documentation, and what they work with."""

import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import structlog
from fastapi import Depends, FastAPI, Request
from fastapi.responses import RedirectResponse
from fastapi_offline import FastAPIOffline
from prometheus_client import CollectorRegistry

from lemo import __version__
from lemo.api import problems
from lemo.api.access import Access
from lemo.api.dependencies import BODIES_AT_ONCE, INGESTS_AT_ONCE, BodyRoom, Services
from lemo.api.documentation import document_errors
from lemo.api.limits import Limits
from lemo.api.parameters import known_parameters
from lemo.api.request_metrics import RequestMetrics, routes_of
from lemo.api.routes import (
    accounts,
    analytics,
    audit,
    choices,
    dead_letters,
    experiments,
    health,
    ingest,
    items,
    keys,
    metrics,
    models,
    pipelines,
    recommendations,
    runs,
    scenarios,
    schedules,
    stats,
    tenants,
    user_changes,
    users,
)
from lemo.diagnostics.installation_metrics import Installation
from lemo.diagnostics.serving_metrics import ServedAnswers, Serving
from lemo.intake.publishing import Ingest
from lemo.recommenders.hybrid.warm_up import warm_up
from lemo.serving.served_log import ServedLog
from lemo.serving.service import RecommendationService
from lemo.stores.connect import Stores

log = structlog.get_logger()

THREADS = 64
"""Requests worked on at once; a quarter of them at most are ingest requests."""

DESCRIPTION = """Send items and what users did with them; get recommendations.

Every request below `/v1` needs `Authorization: Bearer KEY`; the key says which tenant asks. Every error is an
[RFC 9457] problem (`application/problem+json`): `detail` says what happened and what to do about it.
Query parameters that a route does not list are refused with 422.
"""

_MODULES = (
    recommendations,
    choices,
    ingest,
    items,
    scenarios,
    pipelines,
    experiments,
    stats,
    analytics,
    users,
    user_changes,
    models,
    schedules,
    runs,
    dead_letters,
    tenants,
    keys,
    accounts,
    audit,
    health,
    metrics,
)


def _warm_up() -> None:
    try:
        warm_up()
    except Exception:
        log.exception("the compiled loops of the recommenders cannot be loaded")
        raise


def create_app(stores: Stores, counts: Path | None = None) -> FastAPI:
    """The ASGI application on these stores, which it closes when it ends. It starts without any engine running.

    `counts` is the folder through which several processes tell the sums of their counts of requests.
    """
    request_metrics = RequestMetrics(route for module in _MODULES for route in routes_of(module.router.routes))
    if counts is not None:
        request_metrics.counts.keep(counts, str(os.getpid()))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
        services = Services(
            stores,
            RecommendationService(stores, timed=request_metrics.stage),
            Access(stores),
            Limits(stores.settings),
            Ingest(stores),
            anyio.CapacityLimiter(INGESTS_AT_ONCE),
            ServedLog(
                lambda: stores.log.publisher(),
                stores.settings.kafka_served_topic,
                stores.settings.served_log_share,
                stores.settings.served_log_per_second,
            ),
            BodyRoom(BODIES_AT_ONCE * stores.settings.max_body_bytes),
        )
        app.state.services = services
        services.limits.start()
        # Behind the start, since compiling takes seconds where there is no cache: it lives, and is not ready yet.
        background = ThreadPoolExecutor(1, thread_name_prefix="warm-up")
        app.state.health = health.Health(services, background.submit(_warm_up))
        app.state.metrics = CollectorRegistry()
        app.state.metrics.register(request_metrics.counts)
        app.state.metrics.register(Installation(stores))
        app.state.metrics.register(Serving(services.served))
        app.state.metrics.register(services.limits)
        app.state.metrics.register(ServedAnswers(services.served_log))
        yield
        await anyio.to_thread.run_sync(background.shutdown)
        await anyio.to_thread.run_sync(services.close)

    app: FastAPI = FastAPIOffline(
        docs_url="/docs",
        redoc_url=None,
        title="Lemo Recommender",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        dependencies=[Depends(known_parameters)],
        # The badge would ask a validator on the internet.
        swagger_ui_parameters={"validatorUrl": None, "tryItOutEnabled": True},
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    app.state.request_metrics = request_metrics
    problems.install(app)
    for module in _MODULES:
        app.include_router(module.router)
    document_errors(app)

    @app.get("/", include_in_schema=False)
    @app.get("/redoc", include_in_schema=False)
    def show_documentation(request: Request) -> RedirectResponse:
        return RedirectResponse(f"{request.scope.get('root_path', '')}/docs")

    return app
