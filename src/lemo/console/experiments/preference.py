"""The result of an interleaving: which arm users prefer."""

from nicegui import ui

from lemo.console.experiments.results import verdict_badge
from lemo.console.formats import whole
from lemo.console.language import t
from lemo.console.stats import stat, stats
from lemo.console.tables import cell, table, td, tr
from lemo.console.theme import QUIET, badge
from lemo.experiments.preference import PreferenceResults


def draw_preference(found: PreferenceResults) -> None:
    """The share of answers that the second arm wins, and both arms."""
    planned = whole(found.planned_units) if found.planned_units else "–"
    days = "–" if found.days_left is None else f"{found.days_left:.0f}"
    with stats("grid-cols-2 lg:grid-cols-4"):
        stat(t("Interleaved answers", "混排请求"), whole(found.answers))
        stat(
            t("Deciding", "计入人数"),
            whole(found.deciding),
            means=t("Users or sessions with an answer that an arm won", "至少有一次请求分出胜负的用户或会话"),
        )
        stat(t("Planned", "计划"), planned)
        stat(t("Days left", "剩余天数"), days)
    names = (t("Arm", "组"), t("Answers won", "胜出请求"), t("Items clicked", "被点击物品"), t("Of those won", "胜率"),
             t("95 % interval", "95 % 区间"), t("Verdict", "结论"))  # fmt: skip
    with table(names, numbers=(1, 2, 3, 4)):
        for arm in found.arms:
            with tr().mark("arm"):
                with td(), ui.row().classes("items-center gap-2 sm:flex-nowrap"):
                    ui.label(arm.name).classes("font-medium whitespace-nowrap")
                    if arm.control:
                        badge(t("control", "对照"), QUIET)
                cell(whole(arm.won), number=True)
                cell(whole(arm.clicks), number=True)
                cell(
                    "–" if found.share is None else _per_cent(1 - found.share if arm.control else found.share),
                    number=True,
                )
                with td("number whitespace-nowrap"):
                    ui.label("–" if arm.control else _interval(found))
                with td(), ui.column().classes("gap-1 items-start"):
                    if arm.control:
                        ui.label("–").classes("lemo-muted")
                    else:
                        verdict_badge(found.decision)
                        for words in found.words:
                            ui.label(words).classes("lemo-muted lemo-small break-words")
    ui.label(
        t(
            "Each answer mixes the lists of both arms. The arm whose items are clicked more wins the answer; 50 % is no"
            " preference.",
            "每次请求混合两组的列表，被点击物品更多的一组胜出；50 % 表示没有偏好。",
        )
    ).classes("lemo-muted lemo-small mt-2")


def _per_cent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _interval(found: PreferenceResults) -> str:
    if found.low is None or found.high is None:
        return "–"
    low, high = _per_cent(found.low), _per_cent(found.high)
    return t(f"{low} to {high}", f"{low} 至 {high}")
