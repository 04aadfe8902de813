"""The page of the jobs."""

from nicegui import ui

from lemo.console.access import Access, framed
from lemo.console.acting import Actor
from lemo.console.choosing import scenario_choice
from lemo.console.formats import ago, stamp, who
from lemo.console.jobs.runs import RunList, draw_durations, draw_run, job_title
from lemo.console.jobs.schedule import ScheduleTable
from lemo.console.language import t
from lemo.console.panels import panel
from lemo.console.queries import Queries, attempt
from lemo.console.tables import cell, table, td, tr
from lemo.console.theme import nothing, trouble
from lemo.domain.errors import LemoError
from lemo.scheduling.jobs import job_of
from lemo.scheduling.service import ScheduleService
from lemo.stores.documents.schedules import Schedule, ScheduleChange

CHANGES = 20


async def jobs_page(queries: Queries, access: Access, scenario: str, entry: str, run: str) -> None:
    """Draws the page for whoever asks; `entry` and `run` choose a job and a run of it."""
    opened = await access.opened("/jobs", scenario=scenario, entry=entry, run=run)
    if opened is None:
        return
    visitor, scenarios = opened
    with framed("/jobs", visitor):
        unknown = attempt(lambda: job_of(entry)) if entry else None
        if isinstance(unknown, LemoError):
            trouble(unknown)
            return
        scenario_choice("/jobs", scenarios, scenario, t("All scenarios", "全部场景"))
        actor = Actor(access, visitor)
        if run:
            draw_run(queries, visitor.tenant_id, run)
        ScheduleTable(queries, actor, scenario)
        if entry:
            draw_durations(queries, visitor.tenant_id, entry, scenario)
        RunList(queries, actor, scenario, entry)
        service = ScheduleService(queries.stores, visitor.tenant_id, visitor.by)
        panel(
            t("Changes of the schedule", "定时变更记录"),
            lambda: service.history(scenario_id=scenario, limit=CHANGES),
            _draw_changes,
            every=10.0,
        )


def _draw_changes(changes: list[ScheduleChange]) -> None:
    if not changes:
        nothing(t("Nobody has changed anything yet.", "尚无变更。"))
        return
    names = (
        t("Job", "任务"),
        t("When", "时间"),
        t("Who", "操作者"),
        t("What", "操作"),
        t("Before", "之前"),
        t("After", "之后"),
    )
    actions = {
        "edit": t("edit", "修改"),
        "pause": t("pause", "暂停"),
        "resume": t("resume", "恢复"),
        "reset": t("reset", "还原"),
    }
    with table(names):
        for change in changes:
            with tr().mark("change"):
                with td(), ui.column().classes("gap-0 items-start"):
                    ui.label(job_title(change.entry))
                    ui.label(change.scenario_id or t("All scenarios", "全部场景")).classes("lemo-muted lemo-small")
                cell(ago(change.changed_at), stamp(change.changed_at))
                with td():
                    ui.label(who(change.changed_by)).classes("break-words")
                cell(actions[change.action])
                cell(_setting(change.before))
                cell(_setting(change.after))


def _setting(schedule: Schedule) -> str:
    return f"{schedule.cron} {schedule.timezone}" + (t(", paused", "，已暂停") if schedule.paused else "")
