"""`lemo api`: the HTTP service."""


def api() -> None:
    """Run the HTTP API on LEMO_API_HOST and LEMO_API_PORT, until stopped; /docs describes it.

    It starts whether or not the engines run, and answers as well as it can from what it can reach.
    """
    import structlog

    from lemo.api.app import create_app
    from lemo.api.server import listen, run_processes, server_of
    from lemo.settings import Settings
    from lemo.stores.connect import Stores
    from lemo.stores.installation import claim_at_start
    from lemo.telemetry.logging import configure
    from lemo.telemetry.tracing import start_traces

    settings = Settings()
    configure("api", settings)
    start_traces("api", settings)
    claim_at_start(settings)
    listener = listen(settings.api_host, settings.api_port)
    structlog.get_logger().info("listening", address=f"http://{settings.api_host}:{settings.api_port}", docs="/docs")
    if settings.api_workers > 1:
        run_processes(settings, listener)
    else:
        server_of(create_app(Stores(settings, interactive=True))).run(sockets=[listener])
