"""Trying again while an engine is away, as when somebody restarts it under a command at work."""

import httpx
import stamina
import structlog
from stamina.instrumentation import RetryDetails, set_on_retry_hooks

from lemo.domain.errors import EngineUnavailable

PATIENCE_SECONDS = 60.0
"""How long a command waits for an engine before it gives up."""

log = structlog.get_logger()


def _tell(details: RetryDetails) -> None:
    if details.retry_num % 10 == 1:  # about every ten seconds
        log.warning(
            "an engine is away, trying again", error=str(details.caused_by), waited=round(details.waited_so_far)
        )


# The library's own hooks would write the arguments of the call: whole batches of events, and keys.
set_on_retry_hooks([_tell])

patiently = stamina.retry(
    on=(EngineUnavailable, httpx.HTTPError), attempts=None, timeout=PATIENCE_SECONDS, wait_max=1.0
)
"""Decorates what may be done twice; after the last attempt the engine's own error is raised."""
