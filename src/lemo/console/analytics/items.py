"""The items of the page Analytics: those that were shown most, with their pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from nicegui import ui

from lemo.analytics.metrics import Values, values
from lemo.console.analytics.filters import Filters
from lemo.console.analytics.words import measure_means, measure_name, measured
from lemo.console.language import t
from lemo.console.navigation import address
from lemo.console.tables import Column, SortedTable
from lemo.console.theme import nothing, tile
from lemo.domain.counting import counting_rules
from lemo.domain.scope import Scope
from lemo.domain.time import milliseconds
from lemo.stores.clickhouse.traffic import EACH, Asked, Counted, column_of
from lemo.stores.clickhouse.traffic_metrics import ATTRIBUTED, DIRECT, place_of
from lemo.stores.clickhouse.traffic_periods import Part, Period
from lemo.stores.clickhouse.traffic_plan import Days
from lemo.stores.connect import Stores

if TYPE_CHECKING:
    import pyarrow

SHOWN = 25
_NO_STATES = (0.0, 0.0, 0.0, 0.0)
"""Items have no numbers of users, and none that are quantiles."""


@dataclass(frozen=True, slots=True)
class ItemRow:
    """The numbers of an item, and how it is shown."""

    item_id: str
    title: str
    image_url: str
    values: Values


def top_items(stores: Stores, scope: Scope, filters: Filters, now: datetime) -> list[ItemRow]:
    """The items with most impressions, or without any with most clicks; raises LemoError."""
    rules = counting_rules(stores.scenarios.get(scope))
    since, until = filters.period(now, ZoneInfo(rules.zone))
    period = Period(milliseconds(since), milliseconds(until))
    part: Part = "attributed" if filters.part == "answers" else "direct"
    traffic = stores.traffic
    plans = traffic.plans(scope, period, rules, rules.zone)
    asked = Asked(part, before=False)
    alone = {each: plans[each] if each == asked else Days([], []) for each in EACH}
    table = traffic.items(alone, scope, rules, rules.zone)
    found = _most(table, column_of(asked), part) if table is not None else {}
    known = stores.items.get_many(scope, list(found))
    metrics = ATTRIBUTED if part == "attributed" else DIRECT
    rows = []
    for item_id, sums in found.items():
        item = known.get(item_id)
        numbers = values(metrics, Counted(sums, _NO_STATES), {}, "item")
        rows.append(ItemRow(item_id, (item.title if item else "") or item_id, item.image_url if item else "", numbers))
    return rows


def _most(table: "pyarrow.Table", column: str, part: Part) -> dict[str, list[float]]:
    """The sums of the items with most impressions, then clicks."""
    import pyarrow.compute as compute

    own = table.filter(compute.greater(compute.list_value_length(table[column]), 0))
    if not len(own):
        return {}
    metrics = ATTRIBUTED if part == "attributed" else DIRECT
    for name in ("impressions", "clicks"):
        own = own.append_column(name, compute.list_element(own[column], place_of(metrics, name) - 1))
    order = [("impressions", "descending"), ("clicks", "descending"), ("key", "ascending")]
    best = own.sort_by(order).slice(0, SHOWN)
    return dict(zip(best["key"].to_pylist(), best[column].to_pylist(), strict=True))


def draw_items(rows: Sequence[ItemRow], scenario: str, definitions: dict[str, str]) -> None:
    """The items with their pictures, sorted as one likes."""
    if not rows:
        nothing(t("No item was shown in this period.", "此周期内没有展示过物品。"))
        return
    names = ("impressions", "clicks", "ctr", "conversions", "conversion_rate", "value")
    first: Column[ItemRow] = Column(t("Item", "物品"), lambda row: row.title.lower(), lambda row: _item(row, scenario))
    SortedTable([first, *(_column(name, definitions) for name in names)], rows, sort=1)


def _column(name: str, definitions: dict[str, str]) -> Column[ItemRow]:
    return Column(
        measure_name(name),
        lambda row: row.values[name],
        lambda row: ui.label(measured(name, row.values[name])),
        number=True,
        means=measure_means(name, definitions.get(name, "")),
    )


def _item(row: ItemRow, scenario: str) -> None:
    with ui.row().classes("items-center gap-3 flex-nowrap min-w-0").mark("item"):
        tile(row.item_id, row.title, row.image_url)
        with ui.column().classes("gap-0 min-w-0"):
            if there := address("/item", scenario=scenario, item_id=row.item_id):
                ui.link(row.title, there).classes("lemo-link break-words")
            else:
                ui.label(row.title).classes("font-medium break-words")
            if row.title != row.item_id:
                ui.label(row.item_id).classes("lemo-muted lemo-small break-all")
