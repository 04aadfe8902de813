"""The user's answer, and beside it the one that is tried: what rose, fell, came and went."""

from collections.abc import Sequence
from dataclasses import dataclass

from nicegui import ui

from lemo.console.explorer.reads import ShownAnswer
from lemo.console.explorer.wishes import moves
from lemo.console.item_rows import Choose, answered_row
from lemo.console.language import t
from lemo.console.theme import WEAK, banner, heading, nothing, section, trouble
from lemo.domain.errors import LemoError


@dataclass(frozen=True, slots=True)
class Answers:
    """What is answered, and what is tried; an answer that cannot be made is its error."""

    base: ShownAnswer | LemoError
    tried: ShownAnswer | LemoError | None = None
    """None where nothing is tried."""


class AnswerLists:
    """Draws answers. `choose` is called with the item that the visitor chooses."""

    def __init__(self, choose: Choose) -> None:
        self._choose = choose
        self._rows: list[tuple[str, ui.element]] = []

    def draw(self, answers: Answers, chosen: str, before: Sequence[str] | None) -> None:
        """Draws one list, or two beside each other. `before`: ids as they were before the user acted."""
        self._rows = []
        base, tried = answers.base, answers.tried
        if tried is None:
            self._list(t("Recommendations", "推荐结果"), base, chosen, before, mark="base")
            return
        base_ids = [] if isinstance(base, LemoError) else base.ids
        with ui.element("div").classes("grid grid-cols-1 md:grid-cols-2 gap-4 w-full items-start"):
            gone = set(base_ids) - set(tried.ids) if not isinstance(tried, LemoError) else set[str]()
            self._list(t("Now", "当前"), base, chosen, before, mark="base", gone=gone)
            self._list(t("Tried", "试验"), tried, chosen, base_ids or None, mark="tried")

    def select(self, item_id: str) -> None:
        """Shows which item is chosen."""
        for each, row in self._rows:
            row.props["aria-pressed"] = "true" if each == item_id else "false"
            row.classes(add="lemo-soft") if each == item_id else row.classes(remove="lemo-soft")

    def _list(
        self,
        title: str,
        answer: ShownAnswer | LemoError,
        chosen: str,
        before: Sequence[str] | None,
        mark: str,
        gone: set[str] | frozenset[str] = frozenset(),
    ) -> None:
        with section():
            with ui.row().classes("items-center justify-between w-full mb-2 gap-2"):
                heading(title)
                if not isinstance(answer, LemoError):
                    _made_by(answer)
            if isinstance(answer, LemoError):
                trouble(answer)
                return
            if answer.degraded:
                banner(
                    t(
                        "This answer was made without something: no model yet, or the history is out of reach.",
                        "此结果为降级结果：尚无模型，或无法读取历史。",
                    ),
                    "lemo doctor" if answer.model_version else "lemo jobs run train-model-daily --wait",
                    WEAK,
                )
            if before is not None:
                _summary(before, answer.ids)
            if not answer.items:
                nothing(t("Nothing is left to answer.", "没有可返回的物品。"))
            moved = moves(before, answer.ids) if before is not None else {}
            for place, shown in enumerate(answer.items, start=1):
                by = "gone" if shown.item_id in gone else moved.get(shown.item_id, "")
                row = answered_row(place, shown, self._choose, shown.item_id == chosen, by, mark)
                self._rows.append((shown.item_id, row))


def _made_by(answer: ShownAnswer) -> None:
    with ui.row().classes("gap-1 min-w-0"):
        if answer.arm:
            ui.label(answer.arm).classes("lemo-label ellipsis max-w-full").tooltip(
                t("Arm of an experiment", "实验分组")
            )
        if answer.model_version:
            ui.label(answer.model_version).classes("lemo-label ellipsis max-w-full").tooltip(t("Model", "模型"))
        if answer.pipeline_version:
            ui.label(t(f"pipeline {answer.pipeline_version}", f"流程 {answer.pipeline_version}")).classes("lemo-label")


def _summary(before: Sequence[str], after: Sequence[str]) -> None:
    """How much differs, in one line."""
    new = sum(item_id not in set(before) for item_id in after)
    moved = sum(bool(by) for by in moves(before, after).values())
    if not new and not moved and len(before) == len(after):
        words = t("The same items in the same order.", "物品与顺序均相同。")
    else:
        words = t(f"{new} new, {moved} moved.", f"新增 {new} 个，移动 {moved} 个。")
    ui.label(words).classes("lemo-muted lemo-small mb-1").props("role=status")
