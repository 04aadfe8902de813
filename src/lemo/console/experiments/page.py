"""The page of the experiments of a scenario."""

from collections.abc import Callable
from dataclasses import dataclass

from nicegui import ui

from lemo.console.access import Access, framed
from lemo.console.acting import Actor
from lemo.console.choosing import no_scenario, scenario_choice
from lemo.console.experiments.course import Look, course, draw_course
from lemo.console.experiments.draft import DraftForm
from lemo.console.experiments.preference import draw_preference
from lemo.console.experiments.results import Unfolded, draw_results
from lemo.console.experiments.words import change_words, decided_by, ended_words, plan_words
from lemo.console.formats import ago, stamp, who
from lemo.console.language import t
from lemo.console.navigation import address
from lemo.console.panels import Panel, panel
from lemo.console.queries import Queries
from lemo.console.tables import cell, table, td, tr
from lemo.console.theme import GOOD, INFO, QUIET, badge, empty, heading, nothing, section
from lemo.domain.experiment import Experiment
from lemo.domain.scope import Scope
from lemo.experiments import service
from lemo.experiments.plan import Plan, plan_of
from lemo.experiments.preference import PreferenceResults, preference_of
from lemo.experiments.results import Results, results_of
from lemo.stores.documents.experiments import ExperimentChange

REFRESH_SECONDS = 10.0
RESULT_SECONDS = 60.0
"""Between two readings of results: they count all answers and events of the experiment."""


@dataclass(frozen=True, slots=True)
class Found:
    """What an experiment has shown, or what it needs."""

    results: Results | None
    preference: PreferenceResults | None
    plan: Plan | None


async def experiments_page(queries: Queries, access: Access, scenario: str, name: str, new: str) -> None:
    """Draws the page for whoever asks; `name` chooses an experiment, `new` is the form of another one."""
    opened = await access.opened("/experiments", scenario=scenario, name=name, new=new)
    if opened is None:
        return
    visitor, scenarios = opened
    with framed("/experiments", visitor):
        if not scenarios:
            no_scenario()
            return
        chosen = scenario_choice("/experiments", scenarios, scenario)
        actor = Actor(access, visitor)
        scope = Scope(visitor.tenant_id, chosen)
        if new and actor.may():
            DraftForm(queries, actor, scope)
        elif name:
            ExperimentView(queries, actor, scope, name)
        _list(queries, actor, scope)


def _list(queries: Queries, actor: Actor, scope: Scope) -> None:
    with section():
        with ui.row().classes("items-center justify-between w-full gap-2"):
            heading(t("Experiments", "实验"))
            if actor.may():
                ui.button(
                    t("New experiment", "新实验"),
                    icon="add",
                    on_click=lambda: ui.navigate.to(address("/experiments", scenario=scope.scenario_id, new="yes")),
                ).props("flat no-caps color=secondary")
        Panel(
            lambda: queries.stores.experiments.list(scope),
            lambda found: _draw_list(found, scope),
            every=REFRESH_SECONDS,
        )


def _draw_list(experiments: list[Experiment], scope: Scope) -> None:
    if not experiments:
        empty(
            "science",
            t("No experiment yet", "尚无实验"),
            t(
                "An experiment gives some users another pipeline or model, and says which one is better.",
                "实验让部分用户使用另一套流程或模型，并判断哪个更好。",
            ),
        )
        return
    names = (
        t("Experiment", "实验"),
        t("State", "状态"),
        t("Arms", "分组"),
        t("Decided by", "判定指标"),
        t("Started", "开始"),
        t("Ended", "结束"),
    )
    with table(names):
        for each in experiments:
            with tr().mark("experiment"):
                with td(), ui.column().classes("gap-0 items-start"):
                    ui.link(each.name, address("/experiments", scenario=scope.scenario_id, name=each.name)).classes(
                        "lemo-link break-all"
                    )
                    if each.why:
                        ui.label(each.why).classes("lemo-muted lemo-small break-words")
                with td():
                    state_badge(each)
                with td():
                    ui.label(", ".join(arm.name for arm in each.arms)).classes("break-words")
                cell(decided_by(each))
                cell(ago(each.started_at) if each.started_at else "–", stamp(each.started_at))
                cell(ago(each.ended_at) if each.ended_at else "–", stamp(each.ended_at))


class ExperimentView:
    """One experiment: its plan or its results, and what may be done with it."""

    def __init__(self, queries: Queries, actor: Actor, scope: Scope, name: str) -> None:
        self._queries = queries
        self._actor = actor
        self._scope = scope
        self._name = name
        self._unfolded = Unfolded()
        stores = queries.stores
        with section():
            self._head: Panel[Experiment] = Panel(
                lambda: stores.experiments.get(scope, name), self._draw_head, every=REFRESH_SECONDS, height=80
            )
            ui.element("div").classes("h-4")
            self._found: Panel[Found] = Panel(self._read, self._draw_found, every=RESULT_SECONDS, height=240)
        self._course: Panel[tuple[list[Look], Experiment]] = panel(
            t("Lift over time", "提升随时间变化"),
            self._read_course,
            lambda found: _draw_course(*found),
            every=10 * RESULT_SECONDS,
            height=240,
        )
        self._changes: Panel[list[ExperimentChange]] = panel(
            t("What was done", "操作记录"),
            lambda: stores.experiments.changes(scope, name),
            _draw_changes,
            every=REFRESH_SECONDS,
        )

    def _read(self) -> Found:
        stores, scope = self._queries.stores, self._scope
        experiment = stores.experiments.get(scope, self._name)
        plan = plan_of(stores, scope, experiment) if experiment.state == "draft" else None
        return Found(results_of(stores, scope, experiment), preference_of(stores, scope, experiment), plan)

    def _read_course(self) -> tuple[list[Look], Experiment]:
        stores = self._queries.stores
        experiment = stores.experiments.get(self._scope, self._name)
        return course(stores, self._scope, experiment), experiment

    def _draw_found(self, found: Found) -> None:
        if found.results is not None:
            draw_results(found.results, self._unfolded)
        elif found.preference is not None:
            draw_preference(found.preference)
        elif found.plan is not None:
            ui.label(plan_words(found.plan)).classes("text-sm break-words")
        else:
            nothing(t("The last two weeks tell nothing to plan with.", "过去两周没有可用于规划的数据。"))

    def _draw_head(self, experiment: Experiment) -> None:
        with ui.row().classes("items-center gap-3 w-full"):
            heading(experiment.name)
            state_badge(experiment)
            ui.space()
            if self._actor.may():
                self._buttons(experiment)
        if experiment.why:
            ui.label(experiment.why).classes("text-sm mt-1 break-words")
        facts = [
            t(f"decided by {decided_by(experiment)}", f"判定指标：{decided_by(experiment)}"),
            t(f"finds a lift of {experiment.effect:.0%}", f"最小提升 {experiment.effect:.0%}"),
            t(f"{experiment.ramp:.0%} take part", f"{experiment.ramp:.0%} 参与"),
        ]
        if experiment.ended_why:
            facts.append(ended_words(experiment))
        ui.label(" · ".join(facts)).classes("lemo-muted lemo-small mt-1 break-words")
        with ui.row().classes("gap-2 mt-2"):
            for arm in experiment.arms:
                serves = [
                    *(
                        [t(f"pipeline {arm.pipeline_version}", f"流程 {arm.pipeline_version}")]
                        if arm.pipeline_version is not None
                        else []
                    ),
                    *([arm.model_version] if arm.model_version else []),
                ]
                ui.label(f"{arm.name}: {', '.join(serves) or t('what is in service', '当前在用')}").classes(
                    "lemo-label break-all"
                )

    def _buttons(self, experiment: Experiment) -> None:
        stores, scope, name, by = self._queries.stores, self._scope, self._name, self._actor.visitor.by
        if experiment.state == "draft":
            _button(t("Start", "开始"), main=True).on_click(
                lambda: self._do(
                    t(f"Start {name}?", f"开始 {name}？"),
                    t("Users get their arms within a second.", "用户将在一秒内进入各组。"),
                    t("Start", "开始"),
                    lambda: service.start(stores, scope, name, by),
                )
            )
        if experiment.state == "running":
            _button(t("Stop", "停止")).on_click(
                lambda: self._do(
                    t(f"Stop {name}?", f"停止 {name}？"),
                    t("Everybody gets what is in service within a second.", "所有人将在一秒内恢复当前在用的流程。"),
                    t("Stop", "停止"),
                    lambda: service.stop(stores, scope, name, by),
                )
            )
        if experiment.state in ("running", "stopped"):
            for arm in experiment.active[1:] if experiment.state == "running" else experiment.arms[1:]:
                _button(t(f"Ship {arm.name}", f"全量上线 {arm.name}"), main=True).on_click(
                    lambda chosen=arm.name: self._do(
                        t(f"Ship {chosen}?", f"全量上线 {chosen}？"),
                        t(
                            "Its pipeline and model serve everybody within a second.",
                            "其流程和模型将在一秒内对所有人生效。",
                        ),
                        t("Ship", "上线"),
                        lambda: service.ship(stores, scope, name, chosen, by),
                    )
                )
        if experiment.state == "shipped":
            _button(t("Take back", "撤回")).on_click(
                lambda: self._do(
                    t(f"Take {experiment.shipped_arm} back?", f"撤回 {experiment.shipped_arm}？"),
                    t("What served before serves again.", "恢复此前在用的流程和模型。"),
                    t("Take back", "撤回"),
                    lambda: service.take_back(stores, scope, name, by),
                )
            )

    async def _do(self, question: str, text: str, do: str, action: Callable[[], Experiment]) -> None:
        if not await self._actor.sure(question, text, do):
            return
        await self._actor.do(action, t("Done", "完成"))
        for each in (self._head, self._changes, self._found, self._course):
            await each.renew()


def _button(text: str, main: bool = False) -> ui.button:
    return ui.button(text).props("unelevated no-caps" if main else "flat no-caps color=secondary")


def _draw_course(looks: list[Look], experiment: Experiment) -> None:
    if experiment.kind == "interleaving":
        nothing(t("An interleaving has one preference, told above.", "混排实验只有一个偏好结果，见上方。"))
        return
    if not any(look.arms for look in looks):
        nothing(t("Nothing to draw yet.", "尚无数据。"))
        return
    draw_course(looks, experiment)


def _draw_changes(changes: list[ExperimentChange]) -> None:
    words = {
        "create": t("created", "创建"),
        "edit": t("changed", "修改"),
        "start": t("started", "开始"),
        "stop-arm": t("an arm stopped", "停止一组"),
        "stop": t("stopped", "停止"),
        "ship": t("shipped", "全量上线"),
        "take-back": t("taken back", "撤回"),
    }
    with table((t("When", "时间"), t("Who", "操作者"), t("What", "操作"), t("Why", "原因"))):
        for change in changes:
            with tr().mark("change"):
                cell(ago(change.changed_at), stamp(change.changed_at))
                with td():
                    ui.label(who(change.changed_by)).classes("break-words")
                cell(words[change.action])
                with td():
                    ui.label(change_words(change)).classes("break-words")


def state_badge(experiment: Experiment) -> ui.label:
    """The state of an experiment in the language of the page."""
    words = {
        "draft": (t("draft", "草稿"), QUIET),
        "running": (t("running", "运行中"), INFO),
        "stopped": (t("stopped", "已停止"), QUIET),
        "shipped": (t("shipped", "已上线"), GOOD),
    }
    return badge(*words[experiment.state])
