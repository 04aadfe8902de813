"""The one command, `lemo`: each sub-command is a thin shell in `lemo.cli`."""

import sys
from typing import NoReturn

import typer
from pydantic import ValidationError
from rich.markup import escape

from lemo import __version__
from lemo.cli import (
    accounts,
    analytics,
    api,
    audience,
    audit,
    backup,
    celery,
    connect,
    console,
    consumer,
    dead_letters,
    doctor,
    evaluate,
    experiments,
    export,
    flink,
    imports,
    installation,
    items,
    jobs,
    keys,
    mappings,
    models,
    pipeline,
    recommend,
    replay,
    runs,
    scenarios,
    schedule,
    settings_command,
    sources,
    stats,
    up,
    upgrade,
    users,
)
from lemo.cli.demo.command import demo
from lemo.cli.output import messages
from lemo.cli.session import hint_of
from lemo.diagnostics.unknown_settings import report_unknown_settings
from lemo.domain.errors import LemoError
from lemo.embedded.open_files import raise_limit
from lemo.settings import Settings, WrongSettingsFile, wrong_settings
from lemo.telemetry.logging import configure_command

app = typer.Typer(
    name="lemo",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="""Lemo Recommender: point your items and events at it, get recommendations that keep themselves fresh.

    Start with [bold]lemo up[/], then [bold]lemo scenarios create shop --template ecommerce[/],
    [bold]lemo import items items.csv --scenario shop[/] and [bold]lemo import events events.csv --scenario shop[/].
    [bold]lemo doctor[/] says what is missing and how to fix it.""",
    epilog="Exit codes: 0 fine, 1 failed, 2 wrong use. Settings: lemo settings.",
)

RUN, DATA, ACCESS = "Run it", "Data and recommendations", "Tenants and keys"
JOBS, SERVICES = "Jobs and models", "Single services"

app.command("up", rich_help_panel=RUN)(up.up)
app.command("down", rich_help_panel=RUN)(up.down)
app.command("status", rich_help_panel=RUN)(up.status)
app.command("doctor", rich_help_panel=RUN)(doctor.doctor)
app.command("settings", rich_help_panel=RUN)(settings_command.settings)
app.command("upgrade", rich_help_panel=RUN)(upgrade.upgrade)
app.command("backup", rich_help_panel=RUN)(backup.backup)
app.command("restore", rich_help_panel=RUN)(backup.restore)
app.command("installation", rich_help_panel=RUN)(installation.installation)
app.command("demo", rich_help_panel=RUN)(demo)

app.add_typer(scenarios.app, name="scenarios", rich_help_panel=DATA)
app.add_typer(imports.app, name="import", rich_help_panel=DATA)
app.add_typer(export.app, name="export", rich_help_panel=DATA)
app.command("connect", rich_help_panel=DATA)(connect.connect)
app.add_typer(mappings.app, name="mappings", rich_help_panel=DATA)
app.command("stats", rich_help_panel=DATA)(stats.stats)
app.command("analytics", rich_help_panel=DATA)(analytics.analytics)
app.command("recommend", rich_help_panel=DATA)(recommend.recommend)
app.command("audience", rich_help_panel=DATA)(audience.audience)
app.add_typer(pipeline.app, name="pipeline", rich_help_panel=DATA)
app.add_typer(experiments.app, name="experiments", rich_help_panel=DATA)
app.command("replay", rich_help_panel=DATA)(replay.replay)
app.add_typer(items.app, name="items", rich_help_panel=DATA)
app.add_typer(users.app, name="users", rich_help_panel=DATA)
app.add_typer(dead_letters.app, name="dead-letters", rich_help_panel=DATA)

app.add_typer(keys.tenants, name="tenants", rich_help_panel=ACCESS)
app.add_typer(keys.keys, name="keys", rich_help_panel=ACCESS)
app.add_typer(accounts.app, name="accounts", rich_help_panel=ACCESS)
app.command("audit", rich_help_panel=ACCESS)(audit.audit)

app.add_typer(jobs.app, name="jobs", rich_help_panel=JOBS)
app.add_typer(runs.app, name="runs", rich_help_panel=JOBS)
app.add_typer(schedule.app, name="schedule", rich_help_panel=JOBS)
app.add_typer(models.app, name="models", rich_help_panel=JOBS)
app.add_typer(sources.app, name="sources", rich_help_panel=JOBS)
app.add_typer(flink.app, name="flink", rich_help_panel=JOBS)
app.command("evaluate", rich_help_panel=JOBS)(evaluate.evaluate)

app.command("api", rich_help_panel=SERVICES)(api.api)
app.command("worker", rich_help_panel=SERVICES)(celery.worker)
app.command("beat", rich_help_panel=SERVICES)(celery.beat)
app.command("consumer", rich_help_panel=SERVICES)(consumer.consumer)
app.command("console", rich_help_panel=SERVICES)(console.console)
app.add_typer(up.engine, name="engine", rich_help_panel=SERVICES)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"lemo {__version__}")
        raise typer.Exit


@app.callback()
def options(
    _: bool = typer.Option(False, "--version", help="Print the version.", callback=_show_version, is_eager=True),
) -> None:
    """Options of every command."""
    raise_limit()  # for services that are started one by one
    configure_command("lemo", Settings())
    report_unknown_settings(lambda line: messages.print(f"[yellow]Note:[/] {escape(line)}", soft_wrap=True))


def main() -> NoReturn:
    """Runs the command line; prints a LemoError as message and hint, with exit code 1 (2: wrong use)."""
    try:
        app()
    except LemoError as error:
        messages.print(f"[bold red]Error:[/] {escape(error.message)}", soft_wrap=True)
        if hint := hint_of(error):
            messages.print(f"[bold]What to do:[/] {escape(hint)}", soft_wrap=True)
        sys.exit(2 if isinstance(error, WrongSettingsFile) else 1)
    except ValidationError as error:
        if error.title != "Settings":
            raise
        messages.print(f"[bold red]Wrong setting:[/] {escape(wrong_settings(error))}", soft_wrap=True)
        messages.print("[bold]What to do:[/] each setting and its meaning: docs/settings.md.", soft_wrap=True)
        sys.exit(2)
    sys.exit(0)


if __name__ == "__main__":
    main()
