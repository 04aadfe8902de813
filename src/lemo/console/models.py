"""The models of a scenario: what each is worth, which one serves and since when; promote, roll back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nicegui import run, ui
from nicegui.events import ValueChangeEventArguments

from lemo.console.access import Access, framed
from lemo.console.formats import ago, stamp
from lemo.console.language import t
from lemo.console.queries import Queries, attempt
from lemo.console.tables import cell, table, td, tr
from lemo.console.theme import GOOD, QUIET, WEAK, badge, heading, nothing, trouble
from lemo.console.visitor import Visitor
from lemo.domain.errors import LemoError
from lemo.domain.scope import Scope
from lemo.models.promotion import promote, rollback
from lemo.models.registry import RegisteredModel, registered
from lemo.stores.documents.model_changes import ModelChange

REFRESH_SECONDS = 5.0
SHOWN = 20
SEGMENTS = {
    "new_users": ("new users", "新用户"),
    "light_users": ("light users", "轻度用户"),
    "heavy_users": ("heavy users", "重度用户"),
    "new_items": ("new items", "新物品"),
}


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the page shows."""

    models: list[RegisteredModel] | LemoError
    changes: list[ModelChange] | LemoError


class ModelsPage:
    """The models of one visitor's scenario; the page renews itself every five seconds."""

    def __init__(
        self, queries: Queries, access: Access, visitor: Visitor, scenarios: Sequence[str], scenario: str
    ) -> None:
        self._queries = queries
        self._access = access
        self._visitor = visitor
        self._scenarios = list(scenarios)
        self._scenario = scenario or scenarios[0]
        self._seen: _Seen | None = None

    @property
    def _scope(self) -> Scope:
        return Scope(self._visitor.tenant_id, self._scenario)

    def build(self) -> None:
        """Lays the page out and starts to fill it."""
        with ui.element("section").classes("lemo-card w-full"):
            with ui.row().classes("items-center justify-between w-full"):
                heading(t("Models", "模型"))
                with ui.row().classes("items-center gap-2"):
                    self._back = (
                        ui.button(t("Roll back", "回滚"), icon="undo", on_click=self._ask_rollback)
                        .props("flat no-caps color=secondary")
                        .tooltip(t("Put back the model that served before", "恢复之前上线的模型"))
                    )
                    ui.select(
                        self._scenarios, value=self._scenario, label=t("Scenario", "场景"), on_change=self._chose
                    ).props("outlined dense").classes("w-full sm:w-56")
            self.models()
        with ui.element("section").classes("lemo-card w-full"):
            heading(t("What served", "上线记录"))
            self.changes()
        with ui.dialog() as self._dialog, ui.card().classes("w-full max-w-md gap-3"):
            self._question = ui.label().classes("text-lg font-semibold break-words")
            ui.label(t("The API takes it up within two seconds.", "API 将在两秒内生效。")).classes("text-sm lemo-muted")
            with ui.row().classes("w-full justify-end gap-2"):
                ui.button(t("Cancel", "取消"), on_click=self._dialog.close).props("flat no-caps color=secondary")
                ui.button(t("Do it", "确认"), on_click=self._confirm).props("unelevated no-caps")
        self._wanted: Callable[[], ModelChange | None] | None = None
        ui.timer(REFRESH_SECONDS, self.renew)

    async def renew(self) -> None:
        """Reads everything anew, outside the event loop; what has not changed is not drawn again."""
        seen = await run.io_bound(self._look)
        if seen is None or seen == self._seen:
            return
        self._seen = seen
        models = seen.models if isinstance(seen.models, list) else []
        self._back.set_enabled(self._visitor.may("operator") and any(model.rollback for model in models))
        self.models.refresh()
        self.changes.refresh()

    def _look(self) -> _Seen:
        stores = self._queries.stores
        return _Seen(
            attempt(lambda: registered(stores, self._scope, SHOWN)),
            attempt(lambda: stores.model_changes.history(self._scope, SHOWN)),
        )

    async def _chose(self, event: ValueChangeEventArguments[str]) -> None:
        self._scenario = event.value
        ui.navigate.history.replace(f"/models?scenario={self._scenario}")
        self._seen = None
        await self.renew()

    @ui.refreshable_method
    def models(self) -> None:
        """The newest models, each with its worth."""
        if self._seen is None:
            ui.skeleton(height="160px").classes("w-full mt-3")
            return
        if isinstance(self._seen.models, LemoError):
            trouble(self._seen.models)
            return
        if not self._seen.models:
            nothing(t("Nothing has been trained yet.", "尚无模型。"))
            return
        names = (
            t("Model", "模型"),
            t("State", "状态"),
            "NDCG@10",
            t("Popularity", "热门基线"),
            t("Events", "事件"),
            t("Why", "原因"),
            "",
        )
        with table(names, numbers=(2, 3, 4)):
            for model in self._seen.models:
                self._row(model)

    def _row(self, model: RegisteredModel) -> None:
        with tr().mark("model"):
            with td():
                ui.label(model.version).classes("font-mono whitespace-nowrap")
                ui.label(ago(model.created_at)).classes("text-xs lemo-muted").tooltip(stamp(model.created_at))
            with td():
                if model.champion:
                    badge(t("champion", "当前"), GOOD)
                elif not model.kept:
                    badge(t("dropped", "已清理"), QUIET)
                elif model.rollback:
                    badge(t("former", "前任"), WEAK)
            with td("number"):
                ui.label(_figure(model.ndcg_at_10))
                low, high = model.metrics.get("model", {}).get("intervals", {}).get("ndcg_at_10", (None, None))
                if low is not None:
                    ui.label(f"{_figure(low)}–{_figure(high)}").classes("text-xs lemo-muted").tooltip(
                        t("95 % confidence interval", "95 % 置信区间")
                    )
            cell(_figure(model.popularity_ndcg_at_10), number=True)
            cell(
                f"{model.events:,}",
                t(f"up to {stamp(model.last_event_at)}", f"截至 {stamp(model.last_event_at)}")
                if model.last_event_at
                else "",
                number=True,
            )
            with td():
                ui.label(model.why).classes("break-words")
                ui.label(_segments(model)).classes("text-xs lemo-muted break-words")
            with td():
                button = ui.button(icon="publish", on_click=lambda: self._ask_promote(model.version))
                button.props("flat round dense color=secondary").tooltip(t("Promote", "上线"))
                button.props["aria-label"] = t(f"Promote: {model.version}", f"上线：{model.version}")
                button.set_enabled(self._visitor.may("operator") and model.kept and not model.champion)

    @ui.refreshable_method
    def changes(self) -> None:
        """Which model served when."""
        changes = self._seen.changes if self._seen else []
        if isinstance(changes, LemoError):
            trouble(changes)
            return
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
        with table(names, numbers=()):
            for change in changes:
                with tr().mark("served"):
                    cell(ago(change.changed_at), stamp(change.changed_at))
                    cell(change.action)
                    cell(change.version)
                    cell(change.previous or "–")
                    for text in (change.changed_by, change.why):
                        with td():
                            ui.label(text).classes("break-words")

    def _ask_promote(self, version: str) -> None:
        self._ask(
            t(f"Put {version} in service?", f"上线 {version}？"),
            lambda: promote(self._queries.stores, self._scope, version, self._visitor.by),
        )

    def _ask_rollback(self) -> None:
        models = self._seen.models if self._seen else []
        target = next((each.version for each in models if each.rollback), "") if isinstance(models, list) else ""
        self._ask(
            t(f"Roll back to {target}?", f"回滚到 {target}？"),
            lambda: rollback(self._queries.stores, self._scope, self._visitor.by),
        )

    def _ask(self, question: str, action: Callable[[], ModelChange | None]) -> None:
        self._question.text, self._wanted = question, action
        self._dialog.open()

    async def _confirm(self) -> None:
        action = self._wanted
        self._dialog.close()
        if action is None:
            return

        def allowed() -> ModelChange | None:
            self._access.require(self._visitor, "operator")
            return action()

        result = await run.io_bound(lambda: attempt(allowed))
        if isinstance(result, LemoError):
            ui.notify(str(result), type="negative", multi_line=True, timeout=10_000)
        else:
            text = (
                t(f"{result.version} serves now", f"{result.version} 已上线")
                if result
                else t("It served already", "无变化")
            )
            ui.notify(text, type="positive")
        await self.renew()


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _segments(model: RegisteredModel) -> str:
    """NDCG@10 by segment, in words."""
    found = model.metrics.get("model", {}).get("segments", {})
    return " · ".join(
        f"{t(*words)} {found[name]['ndcg_at_10']:.4f} ({found[name]['users']:,})"
        for name, words in SEGMENTS.items()
        if name in found
    )


async def models_page(queries: Queries, access: Access, scenario: str) -> None:
    """Draws the models for whoever asks."""
    opened = await access.opened("/models", scenario=scenario)
    if opened is None:
        return
    visitor, scenarios = opened
    with framed("/models", visitor):
        if scenarios:
            ModelsPage(queries, access, visitor, scenarios, scenario).build()
        else:
            nothing(
                t(
                    "There is no scenario yet: `lemo scenarios create` makes one.",
                    "尚无场景：用 `lemo scenarios create` 创建。",
                )
            )
