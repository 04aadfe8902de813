"""`lemo console`: the web pages."""


def console() -> None:
    """Serve the web console: services, schedule, runs, and the recommendation explorer.

    It listens on LEMO_CONSOLE_HOST and LEMO_CONSOLE_PORT. On this machine alone it needs no login; on any other
    address visitors log in with the key of their tenant.
    """
    import os

    from lemo.settings import Settings
    from lemo.stores.installation import claim_at_start
    from lemo.telemetry.logging import configure

    settings = Settings()
    configure("console", settings)
    claim_at_start(settings)
    # NiceGUI keeps sessions in files; it reads where to, when it is imported.
    os.environ.setdefault("NICEGUI_STORAGE_PATH", str(settings.state / "console"))
    from lemo.console.server import serve

    serve(settings)
