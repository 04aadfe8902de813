"""The actions of a scenario: what each weighs and by which value; changed, added and removed in a dialog."""

import re
from typing import Any, Literal

from nicegui import ui

from lemo.console.acting import Actor
from lemo.console.language import t
from lemo.console.panels import Panel
from lemo.console.queries import Queries
from lemo.console.tables import cell, table, td, tr
from lemo.console.theme import GOOD, QUIET, badge, heading, section
from lemo.domain.errors import LemoError
from lemo.domain.event import ACTION_PATTERN, LONGEST_ACTION
from lemo.domain.scenario import ActionRule, Scenario
from lemo.domain.scope import Scope
from lemo.scheduling.scenario_changes import change_scenario

Values = Literal["none", "auto", "scale"]


class Rules:
    """The actions of one scenario, in a section of its page."""

    def __init__(self, queries: Queries, actor: Actor, scope: Scope) -> None:
        self._queries = queries
        self._actor = actor
        self._scope = scope
        with section():
            with ui.row().classes("items-center justify-between w-full gap-2"):
                heading(t("Actions", "行为"))
                if actor.may():
                    ui.button(t("Add an action", "添加行为"), icon="add", on_click=lambda: self._open("", None)).props(
                        "flat no-caps dense color=secondary"
                    )
            ui.label(
                t(
                    "What each interaction says about a user's taste. Negative weights speak against an item.",
                    "每种行为对用户偏好的影响。负权重表示不喜欢。",
                )
            ).classes("lemo-muted text-sm mt-1")
            self._panel: Panel[Scenario] = Panel(lambda: queries.stores.scenarios.get(scope), self._draw, height=240)
        if actor.may():
            with actor.host:
                self._build_dialog()

    def _draw(self, scenario: Scenario) -> None:
        names = [t("Action", "行为"), t("Weight", "权重"), t("By value", "按值"), t("Counts as seen", "视为已看")]
        with table([*names, ""], numbers=(1,)):
            for name, rule in scenario.actions.items():
                with tr().mark("action"):
                    with td():
                        ui.label(name).classes("font-medium")
                    cell(f"{rule.weight:g}", number=True)
                    with td():
                        ui.label(value_words(rule)).classes("lemo-muted")
                    with td():
                        badge(t("seen", "是"), GOOD) if rule.seen else badge(t("no", "否"), QUIET)
                    with td("number"):
                        if self._actor.may():
                            button = ui.button(icon="edit", on_click=lambda n=name, r=rule: self._open(n, r))
                            button.props("flat round dense size=sm color=secondary")
                            button.props["aria-label"] = t(f"Edit {name}", f"编辑 {name}")

    def _build_dialog(self) -> None:
        with ui.dialog() as self._dialog, ui.card().classes("w-full max-w-md gap-3"):
            self._title = ui.label().classes("text-lg font-semibold break-words")
            self._name = (
                ui.input(t("Name of the action", "行为名称"), validation=_name_fault)
                .props("outlined dense autocomplete=off")
                .classes("w-full")
            )
            self._weight = (
                ui.number(t("Weight", "权重"), min=-100, max=100, step=0.5).props("outlined dense").classes("w-full")
            )
            words: dict[Values, str] = {
                "none": t("The value does not matter", "与值无关"),
                "auto": t("A rating; its scale is learnt", "评分，自动学习量表"),
                "scale": t("A rating on this scale:", "评分，量表如下："),
            }
            self._values = ui.radio(words, value="none").props("dense")
            with (
                ui.row()
                .classes("w-full gap-2 flex-nowrap")
                .bind_visibility_from(self._values, "value", lambda value: value == "scale")
            ):
                self._least = ui.number(t("Least rating", "最低分")).props("outlined dense").classes("flex-1 min-w-0")
                self._most = ui.number(t("Greatest rating", "最高分")).props("outlined dense").classes("flex-1 min-w-0")
            with ui.row().classes("w-full gap-2 flex-nowrap"):
                self._liked = ui.number(t("Counts from value", "从此值起计入")).props("outlined dense clearable")
                self._disliked = ui.number(t("Dislike up to value", "不高于此值为不喜欢")).props(
                    "outlined dense clearable"
                )
                for field in (self._liked, self._disliked):
                    field.classes("flex-1 min-w-0")
            self._seen = ui.checkbox(t("Counts as seen: not recommended again", "视为已看：不再推荐"))
            with ui.row().classes("w-full justify-end gap-2"):
                self._remove = ui.button(t("Remove", "删除"), on_click=self._remove_action).props(
                    "flat no-caps color=negative"
                )
                ui.space()
                ui.button(t("Cancel", "取消"), on_click=self._dialog.close).props("flat no-caps color=secondary")
                ui.button(t("Save", "保存"), on_click=self._save).props("unelevated no-caps")

    def _open(self, name: str, rule: ActionRule | None) -> None:
        self._edited = name
        self._title.text = name or t("A new action", "新行为")
        self._name.value = name
        self._name.set_visibility(not name)
        self._remove.set_visibility(bool(name))
        rule = rule or ActionRule(weight=1)
        self._weight.value = rule.weight
        self._values.value = "none" if rule.scale is None else "auto" if rule.scale == "auto" else "scale"
        self._least.value, self._most.value = rule.scale if isinstance(rule.scale, tuple) else (1, 5)
        self._liked.value, self._disliked.value = rule.min_value, rule.dislike_value
        self._seen.value = rule.seen
        self._dialog.open()

    async def _save(self) -> None:
        name = self._edited or (self._name.value or "").strip()
        if not self._edited and not self._name.validate():
            return
        scale: Any = {"none": None, "auto": "auto", "scale": [self._least.value, self._most.value]}[self._values.value]
        rule = {
            "weight": self._weight.value,
            "scale": scale,
            "min_value": self._liked.value,
            "dislike_value": self._disliked.value,
            "seen": self._seen.value,
        }
        await self._change({name: rule})

    async def _remove_action(self) -> None:
        name = self._edited
        if await self._actor.sure(
            t(f"Remove the action {name}?", f"删除行为 {name}？"),
            t(
                "Events of this action that come later become dead letters, and those that are stored count no more.",
                "之后到达的该行为将成为死信，已存储的不再计入。",
            ),
            t("Remove", "删除"),
            danger=True,
        ):
            await self._change({name: None})

    async def _change(self, actions: dict[str, Any]) -> None:
        result = await self._actor.do(
            lambda: change_scenario(self._queries.stores, self._scope, {"actions": actions}, self._actor.visitor.by)[1],
            " ".join,
        )
        if not isinstance(result, LemoError):
            self._dialog.close()
            await self._panel.renew()


def value_words(rule: ActionRule) -> str:
    """How the value of an event decides, in the language of the page."""
    parts = []
    if rule.scale == "auto":
        learnt = f" {rule.learnt[0]:g}–{rule.learnt[1]:g}" if rule.learnt else ""
        parts.append(t(f"rating, learnt{learnt}" if learnt else "rating, not learnt yet", f"评分（自动{learnt}）"))
    elif rule.scale:
        parts.append(t("rating ", "评分 ") + f"{rule.scale[0]:g}–{rule.scale[1]:g}")
    if rule.min_value is not None:
        parts.append(t(f"counts from {rule.min_value:g}", f"从 {rule.min_value:g} 起计入"))
    if rule.dislike_value is not None:
        parts.append(t(f"dislike up to {rule.dislike_value:g}", f"不高于 {rule.dislike_value:g} 为不喜欢"))
    return ", ".join(parts) or "–"


def _name_fault(name: str | None) -> str | None:
    """What is wrong with the name of a new action; None for nothing."""
    if re.fullmatch(ACTION_PATTERN, name or "") and len(name or "") <= LONGEST_ACTION:
        return None
    return t("Lower-case letters, digits and _ . : - only.", "仅限小写字母、数字和 _ . : -。")
