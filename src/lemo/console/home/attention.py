"""What needs attention, first on the first page: engines, jobs, dead letters, and a log that is not read."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from nicegui import ui

from lemo.console.formats import ago, stamp
from lemo.console.health import Health
from lemo.console.home.causes import CAUSES, HINTS
from lemo.console.home.problems import headline, stops
from lemo.console.home.reads import DEGRADED_HOURS, DegradedAnswers, HomeReads, JobTrouble
from lemo.console.language import language, t
from lemo.console.navigation import address
from lemo.console.panels import Panel
from lemo.console.stored import stored_label
from lemo.console.theme import BAD, GOOD, WEAK, badge, copyable, dot, heading, section
from lemo.diagnostics.report import Problem
from lemo.domain.errors import LemoError
from lemo.streams.lag import Lag

SHOWN = 6
"""Lines of each kind; the rest is told as a number."""
DEGRADED_BADLY = 0.1
"""From this share of degraded answers on, it is no longer a few of them."""
LATE_SECONDS = 60.0
"""From this age of the oldest unread message on, the log's reader is late."""

Value = TypeVar("Value")


class Attention:
    """The card. Each kind of trouble is read alone; when all have answered and found nothing, it says so."""

    def __init__(self, reads: HomeReads, health: Health, every: float) -> None:
        self._found: dict[str, int] = {}
        self._parts = 0
        with section():
            with ui.row().classes("items-center gap-3"):
                heading(t("Needs attention", "需要关注"))
                self._state = ui.row().classes("items-center gap-2")
            with ui.column().classes("w-full gap-0 mt-1"):
                self._part("services", lambda: list(health.report().problems()), _problem, every)
                self._part("jobs", reads.trouble, _job, every)
                self._part("dead letters", lambda: sorted(reads.dead_letters().items()), _dead, every)
                self._part("lag", lambda: _late(reads.lag()), _lag, every)
                self._part("degraded", reads.degraded, _degraded, 6 * every)

    def _part(self, name: str, read: Callable[[], list[Value]], draw: Callable[[Value], None], every: float) -> None:
        self._parts += 1

        def drawn(lines: list[Value]) -> None:
            self._found[name] = len(lines)
            for line in lines[:SHOWN]:
                draw(line)
            if len(lines) > SHOWN:
                ui.label(t(f"and {len(lines) - SHOWN} more", f"还有 {len(lines) - SHOWN} 项")).classes("lemo-muted")
            self._tell()

        Panel(read, drawn, every=every, height=0, failed=partial(self._failed, name))

    def _failed(self, name: str, _: LemoError) -> None:
        self._found[name] = 1
        self._tell()

    def _tell(self) -> None:
        self._state.clear()
        count = sum(self._found.values())
        with self._state:
            if count:
                badge(str(count), BAD)
            elif len(self._found) == self._parts:
                dot(GOOD)
                ui.label(t("Nothing: all is well", "一切正常")).classes("lemo-muted")


def _problem(problem: Problem) -> None:
    with _line(BAD if problem.finding.state == "missing" else WEAK, headline(problem)):
        for words in stops(problem):
            ui.label(words).classes("lemo-muted text-sm")
        # In English the headline says it.
        if language() != "en" and (cause := problem.finding.cause or problem.finding.detail):
            words = CAUSES.chinese(cause)
            label = ui.label(words).classes("lemo-muted text-sm break-words")
            if words == cause:
                label.props("lang=en")
        if hint := problem.finding.hint:
            copyable(t(hint, HINTS.chinese(hint)))


def _job(trouble: JobTrouble) -> None:
    where = ", ".join(trouble.scenarios[:5]) + (" …" if len(trouble.scenarios) > 5 else "")
    word = t("fails", "失败") if trouble.failing else t("is overdue", "逾期")
    with _line(BAD if trouble.failing else WEAK, f"{trouble.entry} {word} · {where}"):
        if trouble.error:
            stored_label(trouble.error, "text-sm break-words").style(f"color:{BAD}")
        last = ago(trouble.last_success)
        ui.label(t(f"Last success: {last}", f"上次成功：{last}")).classes("lemo-muted text-sm").tooltip(
            stamp(trouble.last_success) or t("never", "从未")
        )
        copyable(trouble.hint)
        scenario = trouble.scenarios[0] if len(trouble.scenarios) == 1 else ""
        jobs = address("/jobs", scenario=scenario)
        if jobs:
            ui.link(t("Open its schedule", "打开任务"), jobs).classes("lemo-link text-sm")


def _dead(line: tuple[str, int]) -> None:
    scenario, count = line
    words = t(f"{count:,} dead letters wait · {scenario}", f"{count:,} 条死信待处理 · {scenario}")
    with _line(WEAK, words):
        ui.label(
            t(
                "Messages that were refused; look at them, mend their cause, replay them.",
                "被拒绝的消息：查看原因，修复后重放。",
            )
        ).classes("lemo-muted text-sm")
        copyable("lemo dead-letters list")
        if there := address("/ingest", scenario=scenario):
            ui.link(t("Open Ingest", "打开数据接入"), there).classes("lemo-link text-sm")


def _late(lag: Lag) -> list[Lag]:
    return [lag] if lag.messages and lag.seconds >= LATE_SECONDS else []


def _lag(lag: Lag) -> None:
    with _line(WEAK, t(f"The consumer is late: {lag}", f"数据接入延迟：{lag.messages:,} 条消息")):
        ui.label(
            t(
                "Messages of the ingest log that no consumer has taken in.",
                "接入日志中尚未被消费的消息。",
            )
        ).classes("lemo-muted text-sm")
        copyable("lemo status")
        if there := address("/ingest"):
            ui.link(t("Open Ingest", "打开数据接入"), there).classes("lemo-link text-sm")


def _degraded(found: DegradedAnswers) -> None:
    share, scenario = f"{found.share:.1%}", found.scenario_id
    words = t(
        f"{share} of the answers of the last {DEGRADED_HOURS} hours are degraded · {scenario}",
        f"最近 {DEGRADED_HOURS} 小时有 {share} 的结果降级 · {scenario}",
    )
    with _line(BAD if found.share >= DEGRADED_BADLY else WEAK, words):
        ui.label(
            t(
                "Something was missing when they were made: a model, an engine, or the user's recent events.",
                "生成结果时缺少内容：模型、引擎或用户的近期行为。",
            )
        ).classes("lemo-muted text-sm")
        there = address("/analytics", scenario=scenario, metric="degraded_share")
        ui.link(t("See when", "查看时间"), there).classes("lemo-link text-sm")


def _line(colour: str, text: str) -> ui.column:
    """A line that unfolds; use the result as the context of what is inside."""
    with ui.expansion().classes("w-full lemo-trouble").props("dense dense-toggle") as expansion:
        expansion.props["toggle-aria-label"] = text
        with expansion.add_slot("header"), ui.row().classes("items-center gap-3 flex-nowrap w-full"):
            dot(colour)
            ui.label(text).classes("break-words min-w-0")
        return ui.column().classes("gap-1 pb-3 pl-5 w-full min-w-0")
