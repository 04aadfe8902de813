"""`lemo api`: the HTTP service."""


def api() -> None:
    """Run the HTTP API on LEMO_API_HOST and LEMO_API_PORT, until stopped; /docs describes it.

    It starts whether or not the engines run, and answers as well as it can from what it can reach.
    """
    import structlog
    import uvicorn

    from lemo.api.app import create_app
    from lemo.api.server import listen
    from lemo.observability.logging import configure
    from lemo.settings import Settings
    from lemo.stores.connect import Stores

    settings = Settings()
    configure("api", settings)
    listener = listen(settings.api_host, settings.api_port)
    config = uvicorn.Config(
        create_app(Stores(settings)),
        log_config=None,
        # Its lines would hold the ids of users.
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=10,
    )
    structlog.get_logger().info("listening", address=f"http://{settings.api_host}:{settings.api_port}", docs="/docs")
    uvicorn.Server(config).run(sockets=[listener])
