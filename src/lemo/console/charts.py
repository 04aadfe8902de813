"""Charts by ECharts, in colours that follow light and dark: they are drawn as SVG, whose colours are CSS variables."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from nicegui import ui

from lemo.console.language import language

Unit = Literal["count", "share", "ms"]
COLOURS = tuple(f"var(--chart-{number})" for number in range(1, 7))
BEFORE = "var(--chart-before)"
"""The colour of what is only compared with, such as the period before."""

_FORMATS: dict[Unit, str] = {
    "count": "(v) => v == null || v === '-' ? '–' : Intl.NumberFormat('LOCALE', {notation: 'compact',"
    " maximumFractionDigits: 2}).format(v)",
    "share": "(v) => v == null || v === '-' ? '–' : Intl.NumberFormat('LOCALE', {maximumFractionDigits:"
    " Math.abs(v) < 0.1 ? 2 : 1}).format(100 * v) + ' %'",
    "ms": "(v) => v == null || v === '-' ? '–' : Intl.NumberFormat('LOCALE', {maximumSignificantDigits: 3}).format(v)"
    " + ' ms'",
}


@dataclass(frozen=True, slots=True)
class Series:
    """Numbers of one thing, one for each label of the chart; None where there is none."""

    name: str
    values: Sequence[float | None]
    dashed: bool = False
    """Drawn thin, dashed and grey: what the others are compared with."""


def line_chart(
    labels: Sequence[str],
    series: Sequence[Series],
    *,
    about: str,
    unit: Unit = "count",
    height: int = 260,
    unfinished: str = "",
) -> ui.echart:
    """Lines over labels. `about` says to screen readers what the chart shows.

    `unfinished`: a word for the way to the last label, which is shaded, as its hour or day still goes on.
    """
    drawn: list[dict[str, Any]] = [
        {
            "type": "line",
            "name": each.name,
            "data": list(each.values),
            "showSymbol": len(labels) < 3,
            "symbol": "circle",
            "symbolSize": 6,
            "lineStyle": {"width": 1.5 if each.dashed else 2, "type": "dashed" if each.dashed else "solid"},
            **({} if each.dashed or len(series) > 2 else {"areaStyle": {"opacity": 0.1}}),
            "z": 1 if each.dashed else 2,
        }
        for each in series
    ]
    if unfinished and len(labels) > 1:
        drawn[0]["markArea"] = _shaded(len(labels) - 2, len(labels) - 1, unfinished)
    return _chart(labels, series, drawn, about, unit, height, gap=False)


def _shaded(first: int, last: int, word: str) -> dict[str, Any]:
    """A shade between two labels, by their places, under a word that ends with it."""
    return {
        "silent": True,
        "itemStyle": {"color": "var(--line)", "opacity": 0.5},
        "label": {"position": "insideTopRight", "color": "var(--muted)", "fontSize": 11},
        "data": [[{"name": word, "xAxis": first}, {"xAxis": last}]],
    }


def bar_chart(
    labels: Sequence[str],
    series: Sequence[Series],
    *,
    about: str,
    unit: Unit = "count",
    height: int = 260,
    horizontal: bool = False,
    stacked: bool = False,
) -> ui.echart:
    """Bars for labels, upright or lying; `stacked` puts the series on one another."""
    drawn = [
        {
            "type": "bar",
            "name": each.name,
            "data": list(each.values),
            "barMaxWidth": 28,
            "itemStyle": {"borderRadius": 0 if stacked else [0, 4, 4, 0] if horizontal else [4, 4, 0, 0]},
            **({"stack": "all"} if stacked else {}),
        }
        for each in series
    ]
    return _chart(labels, series, drawn, about, unit, height, gap=True, horizontal=horizontal)


def _chart(
    labels: Sequence[str],
    series: Sequence[Series],
    drawn: list[dict[str, Any]],
    about: str,
    unit: Unit,
    height: int,
    *,
    gap: bool,
    horizontal: bool = False,
) -> ui.echart:
    form = _FORMATS[unit].replace("LOCALE", "zh-CN" if language() == "zh" else "en")
    plain = iter(COLOURS)
    colours = [BEFORE if each.dashed else next(plain, COLOURS[-1]) for each in series]
    for each, colour in zip(drawn, colours, strict=True):
        # What ECharts would brighten it cannot read: no variable of CSS is a colour to it.
        each |= {"color": colour, "emphasis": {"disabled": True}}
    words = {"color": "var(--muted)", "fontSize": 11}
    names = {
        "type": "category",
        "data": list(labels),
        "boundaryGap": gap,
        "inverse": horizontal,
        "axisLine": {"lineStyle": {"color": "var(--line-strong)"}},
        "axisTick": {"show": False},
        "axisLabel": {**words, "hideOverlap": True, **({"width": 120, "overflow": "truncate"} if horizontal else {})},
    }
    numbers = {
        "type": "value",
        "splitNumber": 4,
        "axisLabel": {**words, ":formatter": form},
        "splitLine": {"lineStyle": {"color": "var(--line)"}},
    }
    options: dict[str, Any] = {
        "animation": False,
        "color": colours,
        "grid": {"left": 8, "right": 16, "top": 32 if len(series) > 1 else 12, "bottom": 4, "containLabel": True},
        "xAxis": numbers if horizontal else names,
        "yAxis": names if horizontal else numbers,
        "tooltip": {
            "trigger": "axis",
            "confine": True,
            "backgroundColor": "var(--raised)",
            "borderColor": "var(--line-strong)",
            "textStyle": {"color": "var(--text)", "fontSize": 12},
            "axisPointer": {"type": "shadow" if gap else "line", "shadowStyle": {"color": "rgba(128,128,128,0.08)"}},
            ":valueFormatter": form,
        },
        "series": drawn,
    }
    if len(series) > 1:
        options["legend"] = {
            "top": 0,
            "left": 0,
            "icon": "roundRect",
            "itemWidth": 12,
            "itemHeight": 4,
            "textStyle": {"color": "var(--text)", "fontSize": 12},
        }
    chart = ui.echart(options, renderer="svg").classes("w-full").style(f"height:{height}px")
    chart.props("role=img").props["aria-label"] = about
    return chart
