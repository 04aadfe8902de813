"""`lemo worker` and `lemo beat`: Celery's own commands, with Lemo's app and log."""

from typing import Annotated

import typer


def worker(
    queues: Annotated[
        str, typer.Option(help="Queues to work on, comma-separated; all of them without this option.")
    ] = "",
    name: Annotated[str, typer.Option(help="Name of this worker; give each one on a machine its own.")] = "lemo",
) -> None:
    """Run the jobs that beat, arrivals and people start."""
    from lemo.scheduling.jobs import QUEUES
    from lemo.tasks.celery_app import app, settings
    from lemo.telemetry.logging import configure

    configure("worker", settings)  # the level too: told one of its own, Celery's children would log in its form
    chosen = queues or ",".join(QUEUES)
    app.worker_main(["worker", "--queues", chosen, "--hostname", f"{name}@%h"])


def beat() -> None:
    """Start the scheduled jobs when they are due; several may run, and one leads."""
    from lemo.tasks.celery_app import app, settings
    from lemo.telemetry.logging import configure

    configure("beat", settings)
    app.start(["beat"])
