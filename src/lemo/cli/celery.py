"""`lemo worker` and `lemo beat`: Celery's own commands, with Lemo's app and log."""

from typing import Annotated

import typer

from lemo.cli.output import messages


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
    from lemo.telemetry.tracing import start_traces

    configure("worker", settings)  # the level too: told one of its own, Celery's children would log in its form
    start_traces("worker", settings)
    chosen = queues or ",".join(QUEUES)
    app.worker_main(["worker", "--queues", chosen, "--hostname", f"{name}@%h"])


def beat(
    check: Annotated[
        bool,
        typer.Option("--check", help="Start nothing: exit code 0 where the beat of this host made a round lately."),
    ] = False,
) -> None:
    """Start the scheduled jobs when they are due; several may run, and one leads.

    `--check` is for liveness probes: a beat makes rounds also while Redis is away, and one that hangs makes none.
    """
    if check:
        _check_rounds()
        return
    from lemo.tasks.celery_app import app, settings
    from lemo.telemetry.logging import configure
    from lemo.telemetry.tracing import start_traces

    configure("beat", settings)
    start_traces("beat", settings)
    app.start(["beat"])


def _check_rounds() -> None:
    from lemo.domain.errors import NotFound
    from lemo.scheduling.rounds import makes_rounds, since_round
    from lemo.settings import Settings

    settings = Settings()
    seconds = since_round(settings)
    if not makes_rounds(settings):
        when = "has made no round yet" if seconds is None else f"made its last round {seconds:,.0f} s ago"
        raise NotFound(
            f"The beat of this host {when}.", "Start it again: lemo beat. `lemo doctor` names what it needs."
        )
    messages.print(f"The last round began {seconds:.1f} s ago.")
