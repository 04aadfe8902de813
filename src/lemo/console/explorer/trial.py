"""The side panel of the explorer: filter, boosts, diversity, model and pipeline, for this request only."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from nicegui import ui

from lemo.console.explorer.reads import Versions
from lemo.console.explorer.wishes import REPEATS, Boosting, Wishes
from lemo.console.language import t
from lemo.console.panels import Panel
from lemo.console.sentences import told
from lemo.console.stored import pipeline_reason
from lemo.console.theme import copyable, heading
from lemo.domain.errors import LemoError
from lemo.serving.trials import Variant

Apply = Callable[[Wishes], Awaitable[None]]


class TrialPanel:
    """A form of wishes; `apply` is called with those that the visitor wants to see."""

    def __init__(
        self, wishes: Wishes, versions: Callable[[], Versions], apply: Apply, command: Callable[[Wishes], str]
    ) -> None:
        self._wishes = wishes
        self._versions = versions
        self._apply = apply
        self._command = command
        self._boosts: list[tuple[ui.input, ui.number, ui.element]] = []

    def build(self) -> None:
        """Draws the form."""
        wishes = self._wishes
        heading(t("Try changes", "试验变更"))
        ui.label(t("For this request only: nothing is saved.", "仅对本次请求有效，不会保存。")).classes(
            "lemo-muted lemo-small"
        )
        with ui.column().classes("w-full gap-3 mt-3"):
            self._filter = (
                ui.input(t("Filter (CEL)", "过滤条件 (CEL)"), value=wishes.filter, placeholder="item.price < 100")
                .props("outlined dense clearable autocomplete=off spellcheck=false input-class=font-mono")
                .classes("w-full")
                .on("keydown.enter", self._submit)
            )
            with ui.row().classes("items-center justify-between w-full"):
                ui.label(t("Boosts", "加权")).classes("font-medium")
                ui.button(t("Add", "添加"), icon="add", on_click=lambda: self._add_boost()).props(
                    "flat dense no-caps color=secondary"
                )
            self._boosts_place = ui.column().classes("w-full gap-2")
            for each in wishes.boosts:
                self._add_boost(each)
            self._set_diversity = ui.switch(
                t("Set diversity", "设定多样性"), value=wishes.diversity is not None, on_change=self._show_diversity
            )
            with ui.row().classes("w-full items-center gap-3 flex-nowrap px-2") as self._diversity_row:
                self._diversity = ui.slider(min=0, max=1, step=0.05, value=wishes.diversity or 0.0).props("label")
                self._diversity.props["aria-label"] = t("Diversity", "多样性")
                ui.label().bind_text_from(self._diversity, "value", lambda value: f"{value or 0:.2f}").classes(
                    "lemo-number w-10 text-right"
                )
            self._show_diversity()
            repeats = (t("leave out", "不包含"), t("allow", "可包含"), t("only what is due again", "仅到期复购的"))
            self._repeat = ui.select(
                dict(zip(REPEATS, repeats, strict=True)),
                value=wishes.repeat,
                label=t("What the user has had", "用户有过的"),
            )
            self._repeat.props("outlined dense").classes("w-full")
            Panel(self._versions, self._draw_versions, height=100)
            with ui.row().classes("w-full justify-end gap-2"):
                ui.button(t("Reset", "重置"), on_click=lambda: self._apply(Wishes())).props(
                    "flat no-caps color=secondary"
                )
                ui.button(t("Compare", "对比"), on_click=self._submit).props("unelevated no-caps")
            if wishes.some and wishes.tried == Variant():
                with ui.expansion(t("Ask the API for it", "用 API 请求")).classes("w-full").props("dense"):
                    copyable(self._command(wishes))

    def _add_boost(self, boosting: Boosting | None = None) -> None:
        with self._boosts_place, ui.row().classes("w-full gap-2 items-center flex-nowrap") as row:
            filter = ui.input(t("Items that match", "符合条件的物品"), value=boosting.filter if boosting else "").props(
                "outlined dense autocomplete=off spellcheck=false input-class=font-mono"
            )
            filter.classes("grow min-w-0").on("keydown.enter", self._submit)
            weight = ui.number(
                t("Weight", "权重"), value=boosting.weight if boosting else 1.0, min=-100, max=100, step=0.5
            )
            weight.props("outlined dense").classes("w-20 flex-none").tooltip(
                t("In standard deviations of the score; below 0 lowers", "以得分标准差为单位；负数降低")
            )
            entry = (filter, weight, row)
            remove = ui.button(icon="close", on_click=lambda: self._remove(entry))
            remove.props("flat round dense size=sm color=secondary").props["aria-label"] = t("Remove boost", "移除加权")
        self._boosts.append(entry)

    def _remove(self, entry: tuple[ui.input, ui.number, ui.element]) -> None:
        self._boosts.remove(entry)
        entry[2].delete()

    def _show_diversity(self) -> None:
        self._diversity_row.set_visibility(bool(self._set_diversity.value))

    def _draw_versions(self, versions: Versions) -> None:
        serving = t("in service", "线上版本")
        models = {"": serving} | {
            name: name + (f" · {serving}" if own else "") for name, own in versions.models.items()
        }
        pipelines = {"": serving} | {
            str(number): t(f"version {number}", f"版本 {number}") + (f" · {pipeline_reason(why)[:40]}" if why else "")
            for number, why in versions.pipelines.items()
        }
        pipelines["0"] = t("none: the model's order", "无：按模型排序")
        for side, name in (("base", t("Now", "当前")), ("tried", t("Tried", "试验"))):
            variant: Variant = getattr(self._wishes, side)
            ui.label(t(f"{name}: answered by", f"{name}：由谁回答")).classes("font-medium mt-2")
            self._select(side, t("Model", "模型"), models, variant.model_version, "model_version")
            pipeline = "" if variant.pipeline_version is None else str(variant.pipeline_version)
            self._select(side, t("Pipeline", "流程"), pipelines, pipeline, "pipeline_version")

    def _select(self, side: str, label: str, options: dict[str, str], value: str, field: str) -> None:
        if value not in options:
            options = options | {value: value}

        def chosen(text: str) -> None:
            value = text if field == "model_version" else int(text) if text else None
            variant = replace(getattr(self._wishes, side), **{field: value})
            self._wishes = replace(self._wishes, **{side: variant})

        select = ui.select(options, value=value, label=label, on_change=lambda event: chosen(event.value or ""))
        select.props("outlined dense options-dense").classes("w-full mt-2")

    async def _submit(self) -> None:
        boosts = tuple(
            Boosting(float(weight.value or 0), filter.value.strip())
            for filter, weight, _ in self._boosts
            if (filter.value or "").strip()
        )
        wishes = replace(
            self._wishes,
            filter=(self._filter.value or "").strip(),
            boosts=boosts,
            diversity=float(self._diversity.value or 0) if self._set_diversity.value else None,
            repeat=self._repeat.value or "never",
        )
        try:
            wishes.request("anybody", 1)
        except LemoError as error:
            ui.notify(told(error), type="negative", multi_line=True)
            return
        await self._apply(wishes)
