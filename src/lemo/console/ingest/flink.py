"""Flink's jobs on the page of the ingest: state, age of the last checkpoint, events behind."""

from nicegui import ui

from lemo.console.formats import took, whole
from lemo.console.language import t
from lemo.console.panels import panel
from lemo.console.queries import Queries
from lemo.console.tables import cell, table, td, tr
from lemo.console.theme import BAD, GOOD, WEAK, badge
from lemo.diagnostics.flink_jobs import JobHealth, job_health
from lemo.stores.flink import Flink


def draw_flink(queries: Queries) -> None:
    """The panel; nothing where there is no Flink."""
    if queries.settings.flink_url:
        panel(t("Real time by Flink", "Flink 实时计算"), lambda: read_jobs(queries), _draw, every=10.0)


def read_jobs(queries: Queries) -> list[JobHealth]:
    """The health of each job; raises EngineUnavailable."""
    flink = Flink(queries.settings.flink_url, queries.settings.answer_seconds)
    try:
        return job_health(queries.settings, queries.stores.log, flink)
    finally:
        flink.close()


def _draw(jobs: list[JobHealth]) -> None:
    names = (t("Job", "任务"), t("Last checkpoint", "最近检查点"), t("Events behind", "落后的行为"), t("State", "状态"))
    with table(names, (1, 2)):
        for job in jobs:
            with tr().mark("flink-job"):
                with td():
                    ui.label(job.name).classes("font-mono text-xs break-all")
                cell(took(job.checkpoint_seconds), number=True)
                cell("–" if job.behind is None else whole(job.behind), number=True)
                with td():
                    _state(job)


def _state(job: JobHealth) -> None:
    if not job.state:
        badge(t("not running: the worker computes it", "未运行：由 worker 计算"), WEAK)
    elif job.late:
        badge(job.state.lower() if job.state != "RUNNING" else t("no checkpoints", "没有检查点"), BAD)
    else:
        badge(t("running", "运行中"), GOOD)
