"""`lemo consumer`: the service that writes what the ingest log brings."""

from typing import Annotated

import typer


def consumer(
    member: Annotated[
        str,
        typer.Option(
            help="Name in the consumer group: stable over restarts, different for each consumer. Default: host name."
        ),
    ] = "",
) -> None:
    """Take in items and events from the ingest log, until stopped.

    Items go to the document store and wait for their content vectors, events go to ClickHouse and to the recent history
    in Redis, bad messages go to the dead-letter topic. Several consumers share the work when each has its own --member.
    """
    import gc
    import signal
    import socket
    import threading
    from types import FrameType

    from lemo.diagnostics.realtime_metrics import Placements
    from lemo.domain.scope import Scope
    from lemo.ingest.service import Consumer
    from lemo.scheduling.dispatch import request_embedding
    from lemo.settings import Settings
    from lemo.stores.connect import Stores
    from lemo.stores.installation import claim_at_start
    from lemo.telemetry.logging import configure
    from lemo.telemetry.scraping import serve_registry

    settings = Settings()
    configure("consumer", settings)
    claim_at_start(settings)
    stop = threading.Event()

    def ask_to_stop(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, ask_to_stop)
    signal.signal(signal.SIGINT, ask_to_stop)
    stores = Stores(settings)

    def embed(scope: Scope) -> None:
        request_embedding(stores, scope)

    # A batch is many small objects without cycles: the collector would look for some dozens of times in each.
    gc.freeze()
    gc.set_threshold(100_000)
    try:
        service = Consumer(stores, member or socket.gethostname(), embed, stop)
        service.metrics.registry.register(Placements(stores))
        serve_registry(settings, "consumer", service.metrics.registry)
        service.run()
    finally:
        stores.close()
