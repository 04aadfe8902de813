"""Bands of a line chart: the intervals of what its lines show."""

from collections.abc import Sequence

from nicegui import ui


def add_band(
    chart: ui.echart, lows: Sequence[float | None], highs: Sequence[float | None], colour: str, name: str = "band"
) -> None:
    """Adds a band between two limits; gaps stay gaps. `name` is unique within the chart, and shown nowhere."""
    options = chart.options
    widths = [None if low is None or high is None else high - low for low, high in zip(lows, highs, strict=True)]
    part = {
        "type": "line",
        "stack": name,
        # A band may begin below 0 and end above it.
        "stackStrategy": "all",
        "symbol": "none",
        "silent": True,
        "lineStyle": {"opacity": 0},
        "tooltip": {"show": False},
        "emphasis": {"disabled": True},
        "color": colour,
        "z": 0,
    }
    if "legend" in options:
        options["legend"].setdefault("data", [each["name"] for each in options["series"]])
    options["series"] += [
        {**part, "name": f"{name} low", "data": list(lows)},
        {**part, "name": f"{name} width", "data": widths, "areaStyle": {"opacity": 0.15}},
    ]
