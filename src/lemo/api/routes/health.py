"""Health, for load balancers and supervisors; needs no key and tells no secret."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Lock

from fastapi import APIRouter, Request, Response, status

from lemo.api.dependencies import Services
from lemo.api.schemas import Alive, Check, Readiness
from lemo.domain.errors import EngineUnavailable
from lemo.serving.renewals import Renewals

router = APIRouter(prefix="/health", tags=["health"])

CHECK_SECONDS = 1.0
LOOPS = "compiled loops"
"""The check of what numba compiles (`recommenders/kernels`)."""


@dataclass
class Health:
    """What was last seen of the engines, looked at again at most once a second, however many ask."""

    services: Services
    warm_up: Future[None]
    """Ends when the compiled loops are loaded."""
    _lock: Lock = field(default_factory=Lock)
    _seen: Readiness | None = None
    _until: float = 0.0
    _was_ready: bool = False

    def look(self) -> Readiness:
        """Asks the engines, or says what it saw a moment ago."""
        with self._lock:
            loaded = self.warm_up.done()
            if self._seen is None or time.monotonic() >= self._until or (loaded and LOOPS in self._seen.missing):
                self._seen = self._ask()
                self._until = time.monotonic() + CHECK_SECONDS
            return self._seen

    def _ask(self) -> Readiness:
        stores = self.services.stores
        checks = {
            "redis": _check(
                self.services.served.ping_redis,
                "Recommendations are the popular items of the last snapshot; "
                "items and events are refused where the ingest log is in Redis.",
            ),
            "documents": _check(
                lambda: stores.documents.ping(),
                "Keys and scenarios that were used before go on working; new ones are unknown.",
            ),
        }
        checks["renewal"] = _renewal(self.services.served.renewals())
        checks[LOOPS] = _warm_up(self.warm_up)
        missing = [name for name, check in checks.items() if not check.works]
        # Once ready it stays ready: it answers from its snapshot, and taking every API out of the load balancer
        # because an engine they share is away would turn worse answers into none.
        self._was_ready = self._was_ready or not missing
        return Readiness(ready=self._was_ready, degraded=bool(missing), missing=missing, checks=checks)


def _check(ask: Callable[[], str], without: str) -> Check:
    try:
        return Check(works=True, detail=ask())
    except EngineUnavailable as error:
        return Check(works=False, detail=f"{error.message} {without}")


def _warm_up(under_way: Future[None]) -> Check:
    """Whether the first request would have to wait for a compiler."""
    if not under_way.done():
        return Check(works=False, detail="They are being loaded; where they were never compiled, that takes seconds.")
    error = under_way.exception()
    if error is not None:
        return Check(works=False, detail=f"They cannot be loaded ({type(error).__name__}); the API's log says more.")
    return Check(works=True, detail="loaded")


def _renewal(found: Renewals) -> Check:
    """What serves, by its age; without names, since everybody may ask."""
    serves = f"{found.scopes} scenarios served, the oldest as of {found.oldest_seconds:.0f} s ago"
    if not found.stale:
        return Check(works=True, detail=serves)
    why = f" ({found.fault}; the API's log says more)" if found.fault else ""
    return Check(
        works=False,
        detail=f"{serves}; {found.stale} of them cannot be renewed{why}. Until they are, promotions and items that"
        " were switched on or off since then do not count, and answers say degraded.",
    )


@router.get("/live")
def live() -> Alive:
    """The process runs and answers. Restart it when this fails."""
    return Alive(status="alive")


@router.get("/ready", responses={503: {"model": Readiness, "description": "Not ready; `missing` names the engines."}})
def ready(request: Request, response: Response) -> Readiness:
    """Whether to send requests here, and what is missing.

    Ready (200) from the moment that Redis and the document store answered for the first time and the compiled loops of
    the recommenders were loaded. When an engine goes away later it stays ready, `degraded`, since it goes on answering
    from its last snapshot; `missing` names which. `renewal` is among them when what serves could not be
    read anew for half a minute; its detail says how old it is.
    """
    health: Health = request.app.state.health
    seen = health.look()
    if not seen.ready:
        response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    return seen
