"""`lemo schedule`: shows and changes when the jobs run."""

from typing import TYPE_CHECKING, Annotated

import typer

from lemo.cli import jobs
from lemo.cli.output import Format, FormatOption, Row, messages, show, show_one

if TYPE_CHECKING:
    from lemo.scheduling.overview import ScheduleRow
    from lemo.scheduling.service import ScheduleService
    from lemo.stores.connect import Stores
    from lemo.stores.documents.schedules import ScheduleChange, Setting

app = typer.Typer(
    no_args_is_help=True,
    help="When the jobs run: look, edit, pause, resume, run now. Moments are UTC; a crontab has its own time zone.",
)

EntryArgument = Annotated[str, typer.Argument(help="Name of the entry, as in `lemo schedule list`.")]
OnlyScenario = Annotated[
    str,
    typer.Option(
        "--scenario", "-s", help="Only this scenario. Without it: all scenarios of all tenants that have no own row."
    ),
]


@app.command("list")
def list_entries(
    scenario: Annotated[
        str, typer.Option("--scenario", "-s", help="What holds for this scenario, and its own last runs.")
    ] = "",
    format: FormatOption = Format.table,
) -> None:
    """List the entries: crontab, last run as it really happened, how it ended, and the next one."""
    from lemo.scheduling.overview import schedule_overview

    rows = schedule_overview(*_open(), scenario)
    if format is Format.json:
        show([row.model_dump() for row in rows], format)
        return
    show(
        [_entry(row, scenario) for row in rows],
        format,
        f"Schedule of {scenario} (UTC)" if scenario else "Schedule (UTC)",
    )


def _entry(row: "ScheduleRow", scenario: str) -> Row:
    """A row that fits into a terminal: what belongs together in one column."""
    took = "" if row.seconds is None else f" in {row.seconds:,.0f} s"
    failing = f", failing: {', '.join(row.failing)}" if row.failing and not row.scenario_id else ""
    next_run = f"{row.next_run:%m-%d %H:%M}" if row.next_run else "when beat runs"
    return {
        "entry": row.entry + (f" for {row.scenario_id}" if row.scenario_id and not scenario else ""),
        "times": row.cron + ("" if row.timezone == "UTC" else f" {row.timezone}"),
        "last_run": f"{row.last_run:%m-%d %H:%M} {row.outcome}{took}{failing}" if row.last_run else "never",
        "next_run": "paused" if row.paused else next_run,
    }


@app.command()
def edit(
    entry: EntryArgument,
    scenario: OnlyScenario = "",
    cron: Annotated[
        str | None, typer.Option(help="Five fields: minute hour day-of-month month day-of-week, as '30 2 * * *'.")
    ] = None,
    timezone: Annotated[
        str | None, typer.Option(help="The time zone of the crontab, as Asia/Shanghai; summer time is kept.")
    ] = None,
    format: FormatOption = Format.table,
) -> None:
    """Change when an entry runs, e.g. `lemo schedule edit train-model-daily --cron '30 2 * * *'`."""
    from lemo.stores.documents.schedules import Setting

    if cron is None and timezone is None:
        raise typer.BadParameter("Give --cron, --timezone or both.")
    _change(entry, scenario, Setting(cron=cron, timezone=timezone), format)


@app.command()
def pause(entry: EntryArgument, scenario: OnlyScenario = "", format: FormatOption = Format.table) -> None:
    """Stop starting an entry, until it is resumed; a restart of anything does not end a pause."""
    from lemo.stores.documents.schedules import Setting

    _change(entry, scenario, Setting(paused=True), format)


@app.command()
def resume(entry: EntryArgument, scenario: OnlyScenario = "", format: FormatOption = Format.table) -> None:
    """Start an entry again, from its next time on."""
    from lemo.stores.documents.schedules import Setting

    _change(entry, scenario, Setting(paused=False), format)


@app.command()
def reset(entry: EntryArgument, scenario: OnlyScenario = "", format: FormatOption = Format.table) -> None:
    """Forget all changes: a scenario follows the others again, the entry itself its first times."""
    from lemo.stores.documents.schedules import Setting

    _change(entry, scenario, Setting(reset=True), format)


@app.command("run")
def run_entry(
    entry: EntryArgument,
    scenario: Annotated[str, typer.Option("--scenario", "-s", help="Only this scenario; all without it.")] = "",
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it has ended, and fail if it failed.")] = False,
    format: FormatOption = Format.table,
) -> None:
    """Start an entry now, paused or not, without changing its times: the same as `lemo jobs run`."""
    jobs.run(entry, scenario, wait, format=format)


@app.command()
def history(
    entry: Annotated[str, typer.Argument(help="Only changes of this entry.")] = "",
    scenario: Annotated[str, typer.Option("--scenario", "-s", help="Only changes for this scenario.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, newest first.")] = 20,
    format: FormatOption = Format.table,
) -> None:
    """Show who changed what and when, and what held before and after."""
    changes = _service(*_open()).history(entry, scenario, limit)
    if format is Format.json:
        show([change.model_dump(exclude={"row"}) for change in changes], format)
        return
    show([_line(change) for change in changes], format, "Changes of the schedule (UTC)")


def _line(change: "ScheduleChange") -> Row:
    before, after = change.before.in_words(), change.after.in_words()
    return {
        "when": f"{change.changed_at:%Y-%m-%d %H:%M:%S}",
        "entry": change.entry + (f" for {change.scenario_id}" if change.scenario_id else ""),
        "what": f"{change.action}: {before} → {after}",
        "who": change.changed_by,
    }


def _change(entry: str, scenario: str, setting: "Setting", format: Format) -> None:
    result = _service(*_open()).change(entry, scenario, setting)
    if result.change is None:
        messages.print("Nothing to change: it is so already.")
    if result.note:
        messages.print(result.note)
    show_one(result.schedule.model_dump(), format, "Schedule")


def _open() -> "tuple[Stores, str]":
    from lemo.cli.session import connected

    return connected()


def _service(stores: "Stores", tenant_id: str) -> "ScheduleService":
    from lemo.cli.operator import operator
    from lemo.scheduling.service import ScheduleService

    return ScheduleService(stores, tenant_id, operator(tenant_id))
