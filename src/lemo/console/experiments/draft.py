"""A new experiment: its arms, what decides, and how much it is to find."""

from dataclasses import dataclass
from typing import Any

from nicegui import ui

from lemo.console.acting import Actor
from lemo.console.experiments.words import metric_words
from lemo.console.language import t
from lemo.console.navigation import address
from lemo.console.panels import Panel
from lemo.console.queries import Queries
from lemo.console.scenario.trial import check_pipeline, checked
from lemo.console.stored import pipeline_reason
from lemo.console.theme import heading, nothing, section, subheading
from lemo.domain.errors import LemoError
from lemo.domain.experiment import Experiment
from lemo.domain.experiment_metrics import PRIMARY
from lemo.domain.scope import Scope
from lemo.experiments import service
from lemo.models.registry import registered

VERSIONS = 50


@dataclass(frozen=True, slots=True)
class Choices:
    """What an arm may serve besides what is in service."""

    pipelines: dict[int, str]
    models: list[str]


class DraftForm:
    """The form of a new experiment, in a section of the page."""

    def __init__(self, queries: Queries, actor: Actor, scope: Scope) -> None:
        self._queries = queries
        self._actor = actor
        self._scope = scope
        self._arms: list[_ArmFields] = []
        with section():
            heading(t("A new experiment", "新实验"))
            Panel(self._read, self._draw, height=240)

    def _read(self) -> Choices:
        stores = self._queries.stores
        versions = stores.pipelines.history(self._scope, VERSIONS)
        return Choices(
            {each.version: each.why for each in versions},
            [model.version for model in registered(stores, self._scope, VERSIONS) if model.kept],
        )

    def _draw(self, choices: Choices) -> None:
        with ui.element("div").classes("grid grid-cols-1 sm:grid-cols-2 gap-3 w-full mt-3"):
            self._name = ui.input(t("Name", "名称"))
            self._why = ui.input(t("What it is to find out", "要验证什么"))
            self._metric = ui.select(
                {name: metric_words(name) for name in PRIMARY},
                value="requests_clicked_share",
                label=t("What decides", "判定指标"),
            )
            self._effect = ui.number(
                t("Smallest lift worth finding (%)", "最小可检测提升（%）"), value=5, min=0.1, max=1000
            )
            self._ramp = ui.number(t("Takes part (% of users)", "参与比例（%）"), value=100, min=0.1, max=100)
            self._unit = ui.select(
                {"user": t("users", "用户"), "session": t("sessions", "会话")},
                value="user",
                label=t("Assigned are", "分组单位"),
            )
            for field in (self._name, self._why, self._metric, self._effect, self._ramp, self._unit):
                field.props("outlined dense").classes("w-full")
        subheading(t("Arms", "分组"))
        nothing(
            t(
                "The first arm is the control: it serves what is in service. Users keep their arm.",
                "第一组为对照组，使用当前在用的流程和模型。用户始终留在同一组。",
            )
        )
        arms = ui.column().classes("w-full gap-3 mt-2")

        def add() -> None:
            with arms:
                self._arms.append(_ArmFields(choices, len(self._arms) + 1))

        add()
        with ui.row().classes("w-full justify-between gap-2 mt-3"):
            ui.button(t("Another arm", "再加一组"), icon="add", on_click=add).props("flat no-caps color=secondary")
            ui.button(t("Create as a draft", "创建草稿"), on_click=self._create).props("unelevated no-caps")

    async def _create(self) -> None:
        content: dict[str, Any] = {
            "name": (self._name.value or "").strip(),
            "why": self._why.value or "",
            "metric": self._metric.value,
            "effect": (self._effect.value or 0) / 100,
            "ramp": (self._ramp.value or 0) / 100,
            "unit": self._unit.value,
        }
        wanted = [each.content() for each in self._arms]
        queries, scope, by = self._queries, self._scope, self._actor.visitor.by

        def create() -> Experiment:
            arms: list[dict[str, Any]] = [{"name": "control"}]
            for arm in wanted:
                text = arm.pop("text", None)
                if text is not None:
                    # Checked with its line, before the versions of other arms are made.
                    pipeline = checked(queries, scope, text)
                    arm["pipeline"] = pipeline.model_dump(mode="json", exclude_defaults=True)
                arms.append(arm)
            draft = service.draft({**content, "arms": arms})
            return service.create(
                queries.stores, scope, draft, by, lambda pipeline: check_pipeline(queries, scope, pipeline)
            )

        made = await self._actor.do(create)
        if not isinstance(made, LemoError):
            ui.navigate.to(address("/experiments", scenario=scope.scenario_id, name=made.name))


class _ArmFields:
    """The fields of one arm."""

    def __init__(self, choices: Choices, number: int) -> None:
        serves = t("what is in service", "当前在用")
        pipelines: dict[Any, str] = {None: serves, "text": t("a pipeline written here", "在此编写的流程")}
        pipelines |= {
            version: t(f"version {version}", f"版本 {version}") + (f": {pipeline_reason(why)}" if why else "")
            for version, why in choices.pipelines.items()
        }
        with ui.element("div").classes("grid grid-cols-1 sm:grid-cols-3 gap-3 w-full"):
            self._name = ui.input(t("Arm", "组"), value="treatment" if number == 1 else f"treatment {number}")
            self._pipeline = ui.select(pipelines, value="text", label=t("Pipeline", "推荐流程"))
            self._model = ui.select(
                {None: serves, **{version: version for version in choices.models}}, value=None, label=t("Model", "模型")
            )
            for field in (self._name, self._pipeline, self._model):
                field.props("outlined dense").classes("w-full")
        self._text = ui.textarea(t("Pipeline as YAML", "推荐流程（YAML）")).props(
            "outlined autogrow spellcheck=false input-class=font-mono"
        )
        self._text.classes("w-full").bind_visibility_from(self._pipeline, "value", lambda value: value == "text")

    def content(self) -> dict[str, Any]:
        """The arm as the form says it."""
        chosen = self._pipeline.value
        found: dict[str, Any] = {"name": (self._name.value or "").strip()}
        if chosen == "text":
            found["text"] = self._text.value or ""
        elif chosen is not None:
            found["pipeline_version"] = chosen
        if self._model.value is not None:
            found["model_version"] = self._model.value
        return found
