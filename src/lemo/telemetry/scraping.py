"""A `/metrics` endpoint for a service without an HTTP server."""

from typing import TYPE_CHECKING, Literal

import structlog

from lemo.settings import Settings

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

log = structlog.get_logger()


def serve_registry(settings: Settings, service: Literal["worker", "consumer"], registry: "CollectorRegistry") -> None:
    """Serves the registry on the service's metrics port until the process ends.

    The service runs without metrics where the port is taken.
    """
    from prometheus_client import start_http_server

    port: int = getattr(settings, f"{service}_metrics_port")
    host: str = getattr(settings, f"{service}_metrics_host")
    if not port:
        return
    try:
        start_http_server(port, host, registry)
    except OSError as error:
        log.warning(
            f"no metrics from this {service}: its port is taken",
            port=port,
            error=error.strerror or str(error),
            hint=f"give it another LEMO_{service.upper()}_METRICS_PORT, or 0 for none",
        )
    else:
        log.info("metrics", address=f"http://{host}:{port}/metrics")
