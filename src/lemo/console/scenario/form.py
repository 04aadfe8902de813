"""The settings of a scenario that are no rules of actions: a form."""

from typing import Any, get_args
from zoneinfo import available_timezones

from nicegui import ui

from lemo.console.acting import Actor
from lemo.console.language import t
from lemo.console.panels import panel
from lemo.console.queries import Queries
from lemo.console.theme import nothing
from lemo.domain.scenario import Catalogue, Scenario
from lemo.domain.scope import Scope
from lemo.recommenders.registry import source_names
from lemo.scheduling.jobs import SCHEDULED
from lemo.scheduling.scenario_changes import change_scenario
from lemo.scheduling.service import ScheduleService
from lemo.stores.documents.schedules import Setting

Shown = tuple[Scenario, list[str]]
"""The scenario, and the time zones in which the times of its jobs are read."""


class SettingsForm:
    """The form of one scenario, in a section of its page."""

    def __init__(self, queries: Queries, actor: Actor, scope: Scope) -> None:
        self._queries = queries
        self._actor = actor
        self._scope = scope
        self._panel = panel(t("Settings", "设置"), self._read, self._draw, height=240)

    def _read(self) -> Shown:
        schedules = self._queries.stores.schedules
        scenario = self._queries.stores.scenarios.get(self._scope)
        return scenario, sorted({schedules.of(job.entry, self._scope).timezone for job in SCHEDULED})

    def _draw(self, shown: Shown) -> None:
        scenario, zones = shown
        may = self._actor.may()
        with ui.element("div").classes("grid grid-cols-1 sm:grid-cols-2 gap-4 w-full items-start"):
            days = _number(
                t("Active days", "活跃天数"),
                scenario.active_days,
                t(
                    "Users with an event this close to the end get precomputed answers.",
                    "近期有行为的用户会预计算推荐。",
                ),
            )
            new_days = _number(
                t("Items are new for (days)", "新物品天数"),
                scenario.new_days,
                t("From their publication on.", "自发布之日起。"),
            )
            exploration = _number(
                t("Exploration (%)", "探索比例（%）"),
                round(100 * scenario.exploration, 4),
                t("Places that show new items to unknown users.", "向未知用户展示新物品的位置比例。"),
            )
            catalogue = _select(
                t("Items outside of the catalogue", "目录外的物品"),
                _catalogue_words(),
                scenario.catalogue,
            )
            sources = _select(
                t("Sources that training chooses among", "训练可选的召回源"),
                {name: name for name in sorted({*source_names(), *scenario.sources})},
                list(scenario.sources),
                multiple=True,
            ).classes("sm:col-span-2")
            zone = _select(
                t("Time zone of its jobs", "任务的时区"),
                {name: name for name in sorted(available_timezones())},
                zones[0] if len(zones) == 1 else None,
                search=True,
            )
        for field in (days, new_days, exploration, catalogue, sources, zone):
            field.set_enabled(may)
        if len(zones) > 1:
            nothing(t(f"Its jobs have several time zones: {', '.join(zones)}.", f"任务时区不一：{'、'.join(zones)}。"))

        async def save() -> None:
            wanted = {
                "active_days": days.value,
                "new_days": new_days.value,
                "exploration": None if exploration.value is None else exploration.value / 100,
                "catalogue": catalogue.value,
                "sources": sources.value,
            }
            await self._save(scenario, wanted, zone.value if zone.value and [zone.value] != zones else "")

        if may:
            with ui.row().classes("w-full justify-end mt-3"):
                ui.button(t("Save", "保存"), on_click=save).props("unelevated no-caps")

    async def _save(self, scenario: Scenario, wanted: dict[str, Any], zone: str) -> None:
        before = scenario.model_dump(mode="json")
        changes = {name: value for name, value in wanted.items() if value != before[name]}

        def change() -> list[str]:
            effects = []
            if changes:
                effects = change_scenario(self._queries.stores, self._scope, changes, self._actor.visitor.by)[1]
            if zone:
                service = ScheduleService(self._queries.stores, self._scope.tenant_id, self._actor.visitor.by)
                for job in SCHEDULED:
                    service.change(job.entry, self._scope.scenario_id, Setting(timezone=zone))
                effects.append(f"The times of its jobs are those of {zone}.")
            return effects

        nothing_new = t("Nothing was changed.", "没有变更。")
        await self._actor.do(change, lambda effects: " ".join(effects) or nothing_new)
        await self._panel.renew()


def _number(label: str, value: float, means: str) -> ui.number:
    with ui.column().classes("gap-1 w-full"):
        field = ui.number(label, value=value).props("outlined dense").classes("w-full")
        ui.label(means).classes("lemo-muted lemo-small")
    return field


def _select(
    label: str, options: dict[str, str], value: Any, *, multiple: bool = False, search: bool = False
) -> ui.select:
    field = ui.select(options, value=value, label=label, multiple=multiple, with_input=search)
    return field.props("outlined dense" + (" use-chips" if multiple else "")).classes("w-full")


def _catalogue_words() -> dict[str, str]:
    words: dict[Catalogue, str] = {
        "auto": t("left out once there is a catalogue", "有目录后排除"),
        "required": t("always left out", "始终排除"),
        "none": t("recommended too", "也可推荐"),
    }
    return {name: words[name] for name in get_args(Catalogue)}
