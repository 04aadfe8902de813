"""Runs of jobs: a list with filters, the trend of durations of one job, and one run whole, with its log."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import get_args

from nicegui import ui

from lemo.console.acting import Actor
from lemo.console.charts import Series, line_chart
from lemo.console.formats import ago, stamp, took, whole
from lemo.console.jobs.reading import RunGroup, duration_series, run_groups
from lemo.console.jobs.schedule import TITLES_ZH
from lemo.console.language import t
from lemo.console.navigation import address
from lemo.console.panels import Panel, panel
from lemo.console.queries import Queries
from lemo.console.stored import stored_label, stored_words
from lemo.console.tables import cell, table, td, tr
from lemo.console.theme import BAD, COLOURS, badge, heading, nothing, outcome_words, section, subheading
from lemo.domain.run import Outcome, Run
from lemo.scheduling.jobs import JOBS

REFRESH_SECONDS = 3.0
SHOWN = 50


class RunList:
    """The newest runs, in a section of the page."""

    def __init__(self, queries: Queries, actor: Actor, scenario: str, entry: str) -> None:
        self._queries = queries
        self._actor = actor
        self._scenario = scenario
        self._outcome: Outcome | None = None
        tenant_id = actor.visitor.tenant_id
        with section():
            with ui.row().classes("items-center justify-between w-full gap-3"):
                heading(t("Runs", "运行记录"))
                with ui.row().classes("items-center gap-2 w-full sm:w-auto"):
                    ui.select(
                        {"": t("All jobs", "全部任务")} | {name: job_title(name) for name in JOBS},
                        value=entry,
                        label=t("Job", "任务"),
                        on_change=lambda event: ui.navigate.to(address("/jobs", scenario=scenario, entry=event.value)),
                    ).props("outlined dense").classes("w-full sm:w-64")
                    self._chosen = (
                        ui.select(
                            {"": t("All outcomes", "全部结果")}
                            | {name: outcome_words(name) for name in get_args(Outcome)},
                            value="",
                            label=t("Outcome", "结果"),
                            on_change=lambda: self._panel.restart(),
                        )
                        .props("outlined dense")
                        .classes("w-full sm:w-40")
                    )
            self._panel: Panel[list[RunGroup]] = Panel(
                lambda: run_groups(queries.stores, tenant_id, entry, scenario, self._chosen.value or None, SHOWN),
                self._draw,
                every=REFRESH_SECONDS,
                height=240,
            )

    def _draw(self, groups: list[RunGroup]) -> None:
        if not groups:
            nothing(t("No job has run yet.", "尚无运行记录。"))
            return
        names = (
            t("Job", "任务"),
            t("Scenario", "场景"),
            t("Outcome", "结果"),
            t("Queued", "排队"),
            t("Took", "用时"),
            t("Rows", "行数"),
        )
        with table(names, numbers=(4, 5)):
            for group in groups:
                self._row(group)

    def _row(self, group: RunGroup) -> None:
        run = group.newest
        with tr().mark("run"):
            with td():
                with ui.row().classes("items-center gap-2"):
                    ui.link(job_title(run.entry), address("/jobs", run=run.run_id)).classes("lemo-link")
                    if group.count > 1:
                        ui.label(f"× {group.count}").classes("lemo-label")
                if run.error:
                    stored_label(run.error, "lemo-small break-words").style(f"color:{BAD}")
            cell(run.scenario_id)
            with td(), ui.column().classes("gap-1 items-start"):
                badge(outcome_words(run.outcome), COLOURS[run.outcome])
                if run.outcome == "running":
                    progress(run)
            cell(ago(run.queued_at), stamp(run.queued_at))
            cell(took(group.seconds), number=True)
            cell(whole(group.rows_written), number=True)


def draw_durations(queries: Queries, tenant_id: str, entry: str, scenario: str) -> None:
    """How long the newest runs of a job took."""

    def draw(found: tuple[Sequence[datetime], dict[str, list[float | None]]]) -> None:
        moments, series = found
        if len(moments) < 2:
            nothing(t("Two runs that ended well make a trend.", "至少两次成功运行才能看到趋势。"))
            return
        labels = [f"{moment:%m-%d %H:%M}" for moment in moments]
        chart = line_chart(
            labels,
            [Series(name, values) for name, values in list(series.items())[:6]],
            about=t("Durations in seconds", "用时（秒）"),
            height=200,
        )
        for each in chart.options["series"]:
            each |= {"areaStyle": {"opacity": 0}, "connectNulls": True, "showSymbol": True, "symbolSize": 4}

    panel(
        t(f"Seconds that “{job_title(entry)}” took", f"“{job_title(entry)}”的用时（秒）"),
        lambda: duration_series(queries.stores, tenant_id, entry, scenario),
        draw,
        every=REFRESH_SECONDS * 5,
        height=200,
    )


def draw_run(queries: Queries, tenant_id: str, run_id: str) -> None:
    """One run whole: it is renewed while it is at work."""
    with section():
        Panel(lambda: queries.stores.runs.get(tenant_id, run_id), _draw_run, every=REFRESH_SECONDS, height=160)


def _draw_run(run: Run) -> None:
    with ui.row().classes("items-center gap-3 w-full"):
        heading(job_title(run.entry))
        ui.link(run.scenario_id, address("/jobs", scenario=run.scenario_id)).classes("lemo-label no-underline")
        badge(outcome_words(run.outcome), COLOURS[run.outcome])
        ui.space()
        close = ui.button(icon="close", on_click=lambda: ui.navigate.to("/jobs")).props(
            "flat round dense color=secondary"
        )
        close.props["aria-label"] = t("Close", "关闭")
    if run.error:
        stored_label(run.error, "text-sm break-words mt-1").style(f"color:{BAD}")
    elif why := run.detail.get("why"):
        stored_label(str(why), "text-sm break-words mt-1")
    if run.outcome == "running":
        progress(run)
    facts = {
        t("Run", "编号"): run.run_id,
        t("Started by", "触发"): {
            "schedule": t("schedule", "定时"),
            "manual": t("by hand", "手动"),
            "arrival": t("arriving items", "新物品到达"),
        }[run.trigger],
        t("Queued", "排队"): stamp(run.queued_at),
        t("Started", "开始"): stamp(run.started_at) or "–",
        t("Took", "用时"): took(run.seconds),
        t("Rows read", "读取行数"): whole(run.rows_read),
        t("Rows written", "写入行数"): whole(run.rows_written),
        t("Worker", "执行进程"): run.worker or "–",
        t("Attempts", "尝试次数"): str(run.attempts),
    }
    with ui.element("div").classes("w-full pt-3"), ui.element("dl").classes("lemo-facts"):
        for name, value in facts.items():
            with ui.element("div"):
                with ui.element("dt"):
                    ui.label(name)
                with ui.element("dd"):
                    ui.label(value).classes("break-words")
    if run.log:
        subheading(t("Log", "日志"))
        with ui.element("ol").classes("lemo-log lemo-code w-full").props("tabindex=0"):
            for line in run.log:
                with ui.element("li"):
                    ui.label(f"{line.at:%H:%M:%S}").classes("lemo-muted")
                    stored_label(line.text)
    if run.detail:
        with ui.expansion(t("Details", "详情")).classes("w-full mt-2").props("dense"):
            ui.label(json.dumps(run.detail, ensure_ascii=False, indent=2)).classes("lemo-code w-full")


def progress(run: Run) -> None:
    """How far a run is, in words and as a bar where its steps are known."""
    done, total = run.progress.done, run.progress.total
    with ui.column().classes("gap-1 items-start w-full max-w-64"):
        if run.progress.stage:
            steps = f" {done:,}/{total:,}" if total else ""
            ui.label(stored_words(run.progress.stage) + steps).classes("lemo-muted lemo-small")
        if total:
            ui.linear_progress(min(done / total, 1), show_value=False).props["aria-label"] = t("Progress", "进度")


def job_title(entry: str) -> str:
    """What a job does, in the language of the page; the name of one that there is no more."""
    job = JOBS.get(entry)
    return t(job.title, TITLES_ZH.get(entry, job.title)) if job else entry
