"""The choice of a scenario at the head of a page; another one is another address, which may be shared."""

from collections.abc import Sequence

from nicegui import ui

from lemo.console.language import t
from lemo.console.navigation import address
from lemo.console.theme import empty


def scenario_choice(path: str, scenarios: Sequence[str], scenario: str, everything: str = "") -> str:
    """Draws the choice, and returns the scenario of the page: the one of its address, else the first.

    `everything`: the words of the choice of all scenarios, whose name is empty; without them one is always chosen.
    """
    chosen = scenario or ("" if everything else scenarios[0])
    options = ({"": everything} if everything else {}) | {name: name for name in scenarios}
    with ui.row().classes("w-full items-center justify-end gap-3"):
        ui.select(
            options,
            value=chosen,
            label=t("Scenario", "场景"),
            on_change=lambda event: ui.navigate.to(address(path, scenario=event.value)),
        ).props("outlined dense").classes("w-full sm:w-56")
    return chosen


def no_scenario() -> None:
    """What a page of scenarios shows where there is none."""
    empty(
        "category",
        t("There is no scenario yet", "尚无场景"),
        t("A scenario is one place where items are recommended.", "场景是推荐物品的一个位置。"),
        "lemo scenarios create shop --template ecommerce",
    )
