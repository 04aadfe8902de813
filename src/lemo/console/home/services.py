"""The services and engines as small marks, each with what it said."""

from nicegui import ui

from lemo.console.language import t
from lemo.console.theme import COLOURS, dot
from lemo.diagnostics.dependencies import Dependency
from lemo.diagnostics.doctor import states
from lemo.diagnostics.report import Finding, Report

_NAMES = {
    Dependency.api: ("API", "接口"),
    Dependency.worker: ("Worker", "任务执行"),
    Dependency.beat: ("Beat", "定时调度"),
    Dependency.consumer: ("Consumer", "数据接入"),
    Dependency.console: ("Console", "控制台"),
    Dependency.cache: ("Redis", "缓存"),
    Dependency.durability: ("Durability", "持久化"),
    Dependency.documents: ("Documents", "文档库"),
    Dependency.log: ("Ingest log", "消息日志"),
    Dependency.events: ("Events", "行为库"),
    Dependency.vectors: ("Vectors", "向量库"),
    Dependency.embedding: ("Embedding", "嵌入模型"),
    Dependency.snapshots: ("Snapshots", "模型快照"),
    Dependency.home: ("Disk", "磁盘"),
    Dependency.clocks: ("Clocks", "时钟"),
    Dependency.flink: ("Flink", "流计算"),
}
_WORDS = {
    "ok": ("fine", "正常"),
    "warning": ("look at it", "请检查"),
    "missing": ("not there", "不可用"),
    "absent": ("not set up", "未配置"),
}


def draw_services(report: Report) -> None:
    """A mark for each service and engine; words on hover and focus."""
    found = states(report, Dependency)
    with ui.row().classes("w-full gap-x-5 gap-y-2"):
        for dependency, words in _NAMES.items():
            _mark(t(*words), found[dependency])


def _mark(name: str, finding: Finding) -> None:
    state = t(*_WORDS[finding.state])
    with ui.row().classes("items-center gap-2 flex-nowrap").props("tabindex=0").mark("service"):
        dot(COLOURS[finding.state])
        ui.label(name)
        # Not by the colour alone: what is not fine says so.
        text = finding.version if finding.state == "ok" else state
        ui.label(text).classes("lemo-muted lemo-small")
        ui.tooltip(f"{name}: {state}. {finding.detail}")
