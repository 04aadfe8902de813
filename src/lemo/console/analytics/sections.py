"""How the parts of the page Analytics are drawn."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial

from nicegui import ui

from lemo.console.analytics.figures import GroupRow, Trends
from lemo.console.analytics.filters import Filters
from lemo.console.analytics.words import MEASURES, TILES, measure_means, measure_name, measured
from lemo.console.charts import Series, bar_chart, line_chart
from lemo.console.formats import share, stamp, whole
from lemo.console.language import t
from lemo.console.stats import changed, stat, stats
from lemo.console.tables import Column, SortedTable
from lemo.console.theme import copyable, empty, nothing

FEW = 100
"""Impressions of a position below which its rate is no more than chance."""


def draw_tiles(found: Trends, filters: Filters, choose: Callable[[str], object]) -> None:
    """The numbers of the period; each is a button that puts its course into the trend."""
    with stats("grid-cols-2 lg:grid-cols-4"):
        for name in TILES[filters.part]:
            stat(
                measure_name(name),
                measured(name, found.totals[name]),
                change=found.change.get(name),
                better=MEASURES[name].better,
                course=found.course(name),
                means=measure_means(name, found.definitions[name]),
                on_click=partial(choose, name),
                chosen=name == shown_metric(filters),
            )


def shown_metric(filters: Filters) -> str:
    """The number that the trend shows."""
    return filters.metric if filters.metric in TILES[filters.part] else TILES[filters.part][0]


def draw_trend(found: Trends, filters: Filters) -> None:
    """One number over the period, beside the period before."""
    name = shown_metric(filters)
    before = list(found.before[name])[: len(found.labels)]
    line_chart(
        found.labels,
        [
            Series(measure_name(name), found.series[name]),
            Series(t("period before", "上一周期"), before, dashed=True),
        ],
        about=t(
            f"{measure_name(name)} by {filters.by}: {measured(name, found.totals[name])} in all",
            f"{measure_name(name)}：合计 {measured(name, found.totals[name])}",
        ),
        unit=MEASURES[name].unit,
        unfinished=t("so far", "未结束") if found.unfinished else "",
    )


def funnel_of(found: Trends, filters: Filters, actions: Sequence[tuple[str, int]]) -> list[tuple[str, float]]:
    """The steps of the funnel with their counts: of answers what followed, of events the scenario's own actions."""
    if filters.part == "events":
        return [(name, float(count)) for name, count in actions]
    steps = ["impressions", "clicks", *(["carts"] if any(name == "cart" for name, _ in actions) else [])]
    named = [(measure_name(name), float(found.totals[name] or 0)) for name in steps]
    goal = "/".join(found.goal)
    return [*named, (f"{measure_name('conversions')} ({goal})", float(found.totals["conversions"] or 0))]


def draw_funnel(steps: Sequence[tuple[str, float]]) -> None:
    """Bars of falling length, each with its share of the step before and of the first."""
    most = max((count for _, count in steps), default=0) or 1
    first = steps[0][1] if steps else 0
    with ui.column().classes("w-full gap-3"):
        for place, (name, count) in enumerate(steps):
            with ui.element("div").classes("w-full").mark("step"):
                with ui.row().classes("w-full items-baseline justify-between gap-2 flex-nowrap"):
                    ui.label(name).classes("font-medium break-words min-w-0")
                    with ui.row().classes("items-baseline gap-2 flex-nowrap"):
                        if place and steps[place - 1][1]:
                            label = ui.label(share(count / steps[place - 1][1])).classes("lemo-muted lemo-small")
                            label.tooltip(
                                t(
                                    f"of the step before; {share(count / first) if first else '–'} of the first",
                                    f"占上一步；占第一步 {share(count / first) if first else '–'}",
                                )
                            )
                        ui.label(whole(count)).classes("lemo-number font-medium")
                with ui.element("div").classes("w-full lemo-soft rounded mt-1"):
                    ui.element("div").classes("lemo-bar lemo-funnel").style(
                        f"width:{max(0.5, 100 * count / most):.1f}%"
                    )


def draw_missing(scenario: str, missing: Sequence[str]) -> None:
    """Which events never came, and how each is sent."""
    for action in missing:
        nothing(
            t(
                f"No `{action}` carries the request id of an answer. Send it with the answer's request_id:",
                f"没有带有结果 request_id 的 `{action}`。请随 request_id 一起发送：",
            )
        )
        copyable(event_request(scenario, action))


def event_request(scenario: str, action: str) -> str:
    """How an event is sent, as a command."""
    return (
        f'curl -X POST "$LEMO/v1/scenarios/{scenario}/events" -H "Authorization: Bearer $KEY" '
        "-H 'Content-Type: application/json' "
        f'-d \'{{"events": [{{"user_id": "u1", "item_id": "ITEM", "action": "{action}", "request_id": "REQUEST_ID", '
        '"position": 1}]}\''
    )


def missing_of(found: Trends) -> list[str]:
    """The actions without which the funnel of answers has a hole, from its beginning on."""
    goal = found.goal[0] if found.goal else ""
    steps = (("impression", "impressions"), ("click", "clicks"), (goal, "conversions"))
    return [action for action, name in steps if action and not found.totals[name]]


def draw_nothing(found: Trends, filters: Filters) -> None:
    """What stands there when nothing happened in the period."""
    if filters.part == "answers":
        empty(
            "quickreply",
            t("No answers in this period", "此周期内没有推荐结果"),
            t(
                "Ask the API for recommendations; each answer is counted here, with what follows from it.",
                "向 API 请求推荐，每个结果及其后续行为都会在此统计。",
            ),
            f'curl "$LEMO/v1/scenarios/{filters.scenario}/recommendations?user_id=u1" -H "Authorization: Bearer $KEY"',
        )
        _link(filters.but(part="events", metric=""), t("Count all events instead", "改为统计全部行为"))
    else:
        empty(
            "sensors_off",
            t("No events in this period", "此周期内没有行为事件"),
            t("Send what your users do:", "发送用户的行为："),
            event_request(filters.scenario, "impression"),
        )
    if found.newest and not found.since <= found.newest < found.until:
        last = found.newest.date()
        view = filters.but(first=last - timedelta(days=6), last=last, by="day")
        _link(
            view,
            t(
                f"The newest event is of {stamp(found.newest)}: show that week",
                f"最新行为在 {stamp(found.newest)}：查看那一周",
            ),
        )


def _link(filters: Filters, text: str) -> None:
    with ui.row().classes("w-full justify-center"):
        ui.link(text, filters.address).classes("lemo-link")


def draw_positions(rows: Sequence[GroupRow]) -> None:
    """The click rate of each place in the answers."""
    known = [row for row in rows if row.values["impressions"]][:30]
    if not known:
        nothing(
            t(
                "No impression of an answer yet: the curve begins with the first ones.",
                "尚无带结果的曝光：有曝光后即显示曲线。",
            )
        )
        return
    bar_chart(
        [row.key for row in known],
        [Series(measure_name("ctr"), [row.values["ctr"] for row in known])],
        about=t("Click rate by position in the answer", "按结果位置的点击率"),
        unit="share",
    )
    few = [row.key for row in known if (row.values["impressions"] or 0) < FEW]
    if few:
        nothing(
            t(
                f"Fewer than {FEW} impressions: positions {', '.join(few)}.",
                f"曝光少于 {FEW} 次的位置：{', '.join(few)}。",
            )
        )


def draw_groups(rows: Sequence[GroupRow], title: str, definitions: Mapping[str, str]) -> None:
    """The numbers of each group, sorted as one likes."""
    if not rows:
        nothing(
            t(
                "There is nothing to group so in this period; events know only device and category.",
                "此周期内没有可分组的数据；行为只能按设备和类别分组。",
            )
        )
        return
    names = ("requests", "events", "users", "impressions", "clicks", "ctr", "conversions", "conversion_rate", "value")
    shown = [name for name in names if any(row.values.get(name) is not None for row in rows)]
    first: Column[GroupRow] = Column(title, lambda row: row.key, lambda row: _group_name(row.key))
    columns = [first, *(_measure_column(name, definitions) for name in shown)]
    SortedTable(columns, rows, sort=1)


def _measure_column(name: str, definitions: Mapping[str, str]) -> Column[GroupRow]:
    return Column(
        measure_name(name),
        lambda row: row.values.get(name),
        lambda row: _number(row, name),
        number=True,
        means=measure_means(name, definitions.get(name, "")),
    )


def _group_name(key: str) -> None:
    ui.label(key or t("(none named)", "（未注明）")).classes("font-medium break-all")


def _number(row: GroupRow, name: str) -> None:
    with ui.row().classes("items-center justify-end gap-2 flex-nowrap"):
        change = row.change.get(name) if row.change and name in ("ctr", "conversion_rate") else None
        if change is not None:
            changed(change, MEASURES[name].better)
        ui.label(measured(name, row.values.get(name)))
