"""The results of one experiment: verdicts, intervals, sample ratio, guardrails."""

from dataclasses import dataclass

from nicegui import ui

from lemo.console.experiments.words import (
    guardrail_words,
    interval,
    meaning,
    metric_words,
    number,
    per_cent,
    verdict_words,
)
from lemo.console.formats import whole
from lemo.console.language import t
from lemo.console.stats import stat, stats
from lemo.console.tables import cell, table, td, tr
from lemo.console.theme import BAD, GOOD, QUIET, WEAK, badge, banner, subheading
from lemo.experiments.results import ArmResult, Results
from lemo.statistics.verdict import RATIO_ALPHA, Decision

_DECISIONS = {
    "better": ("better", "更好", GOOD),
    "worse": ("worse", "更差", BAD),
    "undecided": ("undecided", "未定", QUIET),
    "too early": ("too early", "为时过早", QUIET),
    "blocked": ("blocked", "无法判定", BAD),
}


@dataclass(slots=True)
class Unfolded:
    """What of the results the visitor has unfolded, so that it stays so when they are drawn anew."""

    metrics: bool = False


def draw_results(results: Results, unfolded: Unfolded) -> None:
    """All of the results."""
    if results.blocked:
        banner(
            t("The arms' sizes do not fit their weights: there is no verdict.", "各组人数与权重不符：无法判定。"),
            t(
                "What is counted depends on the arm. Look for redirects, errors or bots in one of them.",
                "统计结果受分组影响。请检查某一组是否有跳转、错误或爬虫。",
            ),
        )
    planned = whole(results.planned_units) if results.planned_units else "–"
    days = "–" if results.days_left is None else f"{results.days_left:.0f}"
    with stats("grid-cols-2 lg:grid-cols-4"):
        stat(t("Exposed", "已曝光"), whole(results.units), means=t("Users or sessions that count", "计入的用户或会话"))
        stat(t("Planned", "计划"), planned)
        stat(t("Days left", "剩余天数"), days)
        stat(
            t("Sample ratio p", "样本比例 p"),
            f"{results.sample_ratio_p:.3f}",
            means=t(
                f"How well the arms' sizes fit their weights; below {RATIO_ALPHA:g} there is no verdict.",
                f"各组人数与权重的符合程度；低于 {RATIO_ALPHA:g} 则无法判定。",
            ),
        )
    _arms(results)
    _guardrails(results)
    _others(results, unfolded)


def _arms(results: Results) -> None:
    subheading(metric_words(results.metric))
    names = (
        t("Arm", "组"),
        t("Units", "人数"),
        t("Value", "数值"),
        t("Lift", "提升"),
        t("95 % interval", "95 % 区间"),
        t("Verdict", "结论"),
    )
    with table(names, numbers=(1, 2, 3, 4)):
        for arm in results.arms:
            found = arm.metrics[results.metric]
            with tr().mark("arm"):
                with td(), ui.row().classes("items-center gap-2 sm:flex-nowrap"):
                    ui.label(arm.name).classes("font-medium whitespace-nowrap")
                    if arm.control:
                        badge(t("control", "对照"), QUIET)
                    if arm.stopped_at:
                        badge(t("stopped", "已停止"), WEAK)
                cell(whole(arm.units), number=True)
                cell(number(found.value), number=True)
                with td("number whitespace-nowrap"):
                    ui.label("–" if arm.control else per_cent(found.lift))
                with td("number whitespace-nowrap"):
                    ui.label("–" if arm.control else interval(found))
                with td(), ui.column().classes("gap-1 items-start"):
                    _verdict(results, arm)
    ui.label(meaning(results, results.metric)).classes("lemo-muted lemo-small mt-2")


def _verdict(results: Results, arm: ArmResult) -> None:
    if arm.decision is None:
        ui.label("–").classes("lemo-muted")
        return
    # An arm that was stopped is compared no more: its sentence says why.
    if not arm.stopped_at or arm.decision != "undecided":
        verdict_badge(arm.decision)
    for words in verdict_words(results, arm):
        ui.label(words).classes("lemo-muted lemo-small break-words")


def verdict_badge(decision: Decision) -> None:
    """A decision in the language of the page."""
    english, chinese, colour = _DECISIONS[decision]
    badge(t(english, chinese), colour)


def _guardrails(results: Results) -> None:
    guarded = [arm for arm in results.arms if arm.guardrails]
    if not guarded:
        return
    subheading(t("Guardrails", "护栏"))
    with table((t("Arm", "组"), t("Metric", "指标"), t("State", "状态"), t("In words", "说明"))):
        for arm in guarded:
            for guardrail in arm.guardrails:
                with tr().mark("guardrail"):
                    cell(arm.name)
                    cell(metric_words(guardrail.metric))
                    with td():
                        badge(t("broken", "已触发"), BAD) if guardrail.broken else badge(t("holds", "正常"), GOOD)
                    with td():
                        ui.label(guardrail_words(results, arm, guardrail)).classes("lemo-muted break-words")


def _others(results: Results, unfolded: Unfolded) -> None:
    """The secondary metrics: values and lifts of each arm."""
    with ui.expansion(t("All metrics", "全部指标")).classes("w-full mt-4").props("dense") as expansion:
        expansion.bind_value(unfolded, "metrics")
        names = (
            t("Metric", "指标"),
            t("Arm", "组"),
            t("Value", "数值"),
            t("Lift", "提升"),
            t("95 % interval", "95 % 区间"),
        )
        with table((*names, "p"), numbers=(2, 3, 4, 5)):
            for metric in results.definitions:
                if metric == results.metric:
                    continue
                for arm in results.arms:
                    found = arm.metrics[metric]
                    with tr():
                        with td():
                            ui.label(metric_words(metric)).tooltip(meaning(results, metric))
                        cell(arm.name)
                        cell(number(found.value), number=True)
                        cell("–" if arm.control else per_cent(found.lift), number=True)
                        cell("–" if arm.control else interval(found), number=True)
                        cell("–" if found.p_value is None else f"{found.p_value:.3f}", number=True)
