"""The page of the models of a scenario."""

from collections.abc import Callable
from dataclasses import dataclass

from nicegui import ui

from lemo.console.access import Access, framed
from lemo.console.acting import Actor
from lemo.console.choosing import no_scenario, scenario_choice
from lemo.console.formats import ago, stamp, who, whole
from lemo.console.jobs.runs import progress
from lemo.console.language import t
from lemo.console.models.chart import quality_chart
from lemo.console.models.comparing import draw_comparison
from lemo.console.models.words import action_words, score, segment_words
from lemo.console.navigation import address
from lemo.console.panels import Panel, panel
from lemo.console.queries import Queries
from lemo.console.stored import stored_label
from lemo.console.tables import cell, table, td, tr
from lemo.console.theme import (
    COLOURS,
    GOOD,
    QUIET,
    WEAK,
    badge,
    heading,
    nothing,
    outcome_words,
    section,
)
from lemo.domain.run import Run
from lemo.domain.scope import Scope
from lemo.models.promotion import TRAINING, promote, rollback
from lemo.models.registry import RegisteredModel, registered, registered_model
from lemo.scheduling.service import run_now
from lemo.stores.documents.model_changes import ModelChange

REFRESH_SECONDS = 5.0
SHOWN = 20
DRAWN = 60
"""Models of the chart."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What the list of models shows."""

    models: list[RegisteredModel]
    training: Run | None
    """The newest run of the training that has not ended, if there is one."""


class ModelsPage:
    """The models of one scenario."""

    def __init__(self, queries: Queries, actor: Actor, scope: Scope, compared: tuple[str, str]) -> None:
        self._queries = queries
        self._actor = actor
        self._scope = scope
        self._compared = [version for version in compared if version]
        stores = queries.stores
        with section():
            with ui.row().classes("items-center justify-between w-full gap-2"):
                heading(t("Quality over time", "质量变化"))
                with ui.row().classes("items-center gap-2"):
                    if actor.may():
                        self._back = ui.button(t("Roll back", "回滚"), icon="undo", on_click=self._ask_rollback).props(
                            "flat no-caps color=secondary"
                        )
                        ui.button(t("Train now", "立即训练"), icon="model_training", on_click=self._train).props(
                            "unelevated no-caps"
                        )
            ui.label(
                t(
                    "NDCG@10 of each model on the last fifth of its events, with its 95 % interval. Dots: promoted.",
                    "每个模型在其最后五分之一行为上的 NDCG@10，含 95 % 置信区间。大圆点：已上线。",
                )
            ).classes("lemo-muted text-sm mt-1")
            self._chart: Panel[list[RegisteredModel]] = Panel(
                lambda: registered(stores, scope, DRAWN), _draw_chart, every=4 * REFRESH_SECONDS, height=240
            )
        with section():
            heading(t("Compare two models", "比较两个模型"))
            # Read once: a choice that is being made must not be drawn anew.
            Panel(lambda: registered(stores, scope, SHOWN), self._draw_choice, height=40)
            if len(self._compared) == 2:
                one, two = self._compared
                Panel(
                    lambda: (registered_model(stores, scope, one), registered_model(stores, scope, two)),
                    draw_comparison,
                    height=240,
                )
        self._models: Panel[Shown] = panel(
            t("Models", "模型"), self._read, self._draw, every=REFRESH_SECONDS, height=240
        )
        self._changes = panel(
            t("What served", "上线记录"),
            lambda: stores.model_changes.history(scope, SHOWN),
            _draw_changes,
            every=REFRESH_SECONDS,
        )

    def _read(self) -> Shown:
        stores = self._queries.stores
        runs = [
            run
            for outcome in ("running", "queued")
            for run in stores.runs.list(self._scope.tenant_id, TRAINING, self._scope.scenario_id, outcome, limit=1)
        ]
        return Shown(registered(stores, self._scope, SHOWN), next(iter(runs), None))

    def _draw(self, shown: Shown) -> None:
        if self._actor.may():
            self._former = next((model.version for model in shown.models if model.rollback), "")
            self._back.set_enabled(bool(self._former))
        if shown.training:
            with ui.row().classes("items-center gap-3 w-full mb-2"):
                badge(outcome_words(shown.training.outcome), COLOURS[shown.training.outcome])
                ui.link(t("Training", "训练"), address("/jobs", run=shown.training.run_id)).classes("lemo-link")
                progress(shown.training)
        if not shown.models:
            nothing(t("Nothing has been trained yet.", "尚无模型。"))
            return
        names = (
            t("Model", "模型"),
            t("State", "状态"),
            "NDCG@10",
            t("Popularity", "热门基线"),
            t("Events", "行为"),
            t("Why", "原因"),
            "",
        )
        with table(names, numbers=(2, 3, 4)):
            for model in shown.models:
                self._row(model)

    def _row(self, model: RegisteredModel) -> None:
        with tr().mark("model"):
            with td():
                ui.label(model.version).classes("font-mono text-xs")
                ui.label(ago(model.created_at)).classes("lemo-muted lemo-small").tooltip(stamp(model.created_at))
            with td():
                if model.champion:
                    badge(t("champion", "当前"), GOOD)
                elif not model.kept:
                    badge(t("dropped", "已清理"), QUIET)
                elif model.rollback:
                    badge(t("former", "前任"), WEAK)
            with td("number"), ui.column().classes("gap-0 items-end"):
                ui.label(score(model.ndcg_at_10))
                if model.ndcg_interval:
                    ui.label("–".join(map(score, model.ndcg_interval))).classes("lemo-muted lemo-small")
            cell(score(model.popularity_ndcg_at_10), number=True)
            cell(
                whole(model.events),
                t(f"up to {stamp(model.last_event_at)}", f"截至 {stamp(model.last_event_at)}"),
                number=True,
            )
            with td(), ui.column().classes("gap-0 items-start"):
                stored_label(model.why)
                if segments := segment_words(model):
                    ui.label(segments).classes("lemo-muted lemo-small break-words")
            with td("number"):
                if self._actor.may() and model.kept and not model.champion:
                    button = ui.button(icon="publish", on_click=lambda: self._ask_promote(model.version))
                    button.props("flat round dense color=secondary").tooltip(t("Promote", "上线"))
                    button.props["aria-label"] = t(f"Promote {model.version}", f"上线 {model.version}")

    def _draw_choice(self, models: list[RegisteredModel]) -> None:
        """Which two models to compare."""
        if len(models) < 2:
            nothing(t("There are not two models yet.", "尚无两个模型。"))
            return
        versions = [model.version for model in models]
        champion = next((model.version for model in models if model.champion), versions[-1])
        other = next(version for version in versions if version != champion)
        first, second = self._compared if len(self._compared) == 2 else (champion, other)
        options = {version: version for version in dict.fromkeys([*versions, first, second])}
        with ui.row().classes("items-center gap-2 w-full mt-3"):
            one = ui.select(options, value=first, label=t("One model", "模型")).props("outlined dense")
            two = ui.select(options, value=second, label=t("compared with", "对比")).props("outlined dense")
            for each in (one, two):
                each.classes("w-full sm:w-64")
            ui.button(
                t("Compare", "比较"),
                icon="compare",
                on_click=lambda: ui.navigate.to(
                    address("/models", scenario=self._scope.scenario_id, one=one.value, two=two.value)
                ),
            ).props("flat no-caps color=secondary")

    async def _train(self) -> None:
        scope, by = self._scope, self._actor.visitor.by
        queued = t("Training is queued", "训练已排队")
        await self._actor.do(
            lambda: run_now(self._queries.stores, scope.tenant_id, TRAINING, scope.scenario_id, by), queued
        )
        await self._models.renew()

    async def _ask_promote(self, version: str) -> None:
        by = self._actor.visitor.by
        await self._change(
            t(f"Put {version} in service?", f"上线 {version}？"),
            lambda: promote(self._queries.stores, self._scope, version, by),
        )

    async def _ask_rollback(self) -> None:
        by = self._actor.visitor.by
        await self._change(
            t(f"Roll back to {self._former}?", f"回滚到 {self._former}？"),
            lambda: rollback(self._queries.stores, self._scope, by),
        )

    async def _change(self, question: str, action: Callable[[], ModelChange | None]) -> None:
        text = t("The API takes it up within two seconds.", "接口将在两秒内采用。")
        if not await self._actor.sure(question, text):
            return
        same = t("It served already", "没有变化")

        def told(change: ModelChange | None) -> str:
            return t(f"{change.version} serves now", f"{change.version} 已上线") if change else same

        await self._actor.do(action, told)
        await self._models.renew()
        await self._changes.renew()


def _draw_chart(models: list[RegisteredModel]) -> None:
    measured = [model for model in reversed(models) if model.ndcg_at_10 is not None]
    if len(measured) < 2:
        nothing(t("Two measured models make a line.", "至少两个已评估的模型才能绘制曲线。"))
        return
    quality_chart(measured)


def _draw_changes(changes: list[ModelChange]) -> None:
    if not changes:
        nothing(t("No model has served yet.", "尚无记录。"))
        return
    names = (
        t("When", "时间"),
        t("What", "操作"),
        t("Model", "模型"),
        t("Before", "之前"),
        t("Who", "操作者"),
        t("Why", "原因"),
    )
    with table(names):
        for change in changes:
            with tr().mark("served"):
                cell(ago(change.changed_at), stamp(change.changed_at))
                cell(action_words(change.action))
                for version in (change.version, change.previous or "–"):
                    with td():
                        ui.label(version).classes("font-mono text-xs break-all")
                with td():
                    ui.label(who(change.changed_by)).classes("break-words")
                with td():
                    stored_label(change.why or "–")


async def models_page(queries: Queries, access: Access, scenario: str, one: str, two: str) -> None:
    """Draws the models for whoever asks; `one` and `two` are versions to compare."""
    opened = await access.opened("/models", scenario=scenario, one=one, two=two)
    if opened is None:
        return
    visitor, scenarios = opened
    with framed("/models", visitor):
        if not scenarios:
            no_scenario()
            return
        chosen = scenario_choice("/models", scenarios, scenario)
        ModelsPage(queries, Actor(access, visitor), Scope(visitor.tenant_id, chosen), (one, two))
