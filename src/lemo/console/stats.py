"""A number in a tile: its change against the period before, and its course as a small line."""

from collections.abc import Callable, Sequence

from nicegui import ui

from lemo.console.language import t
from lemo.console.theme import BAD, GOOD, QUIET, badge

_WIDTH, _HEIGHT = 120.0, 32.0
STILL = 0.005
"""Changes below this share are shown as none."""


def stats(columns: str = "grid-cols-2 sm:grid-cols-3 lg:grid-cols-5") -> ui.element:
    """A grid for tiles; use it as their context."""
    return ui.element("div").classes(f"lemo-stats grid {columns} gap-3 w-full")


def stat(
    name: str,
    value: str,
    *,
    change: float | None = None,
    better: bool | None = True,
    course: Sequence[float | None] = (),
    means: str = "",
    to: str = "",
    on_click: Callable[[], object] | None = None,
    chosen: bool = False,
) -> None:
    """A tile.

    `change`: share by which the number differs from the one before. `better`: whether a rise is good (True), bad
    (False) or neither (None). `course`: the number over time. `means`: its definition, shown on hover and focus.
    `to`: the address that the tile leads to; `on_click`: what choosing it does, and `chosen`: that it is chosen.
    """
    tag = ui.element("a" if to else "button" if on_click else "div").classes("lemo-card lemo-stat")
    if to:
        tag.props["href"] = to
    elif on_click:
        tag.props(f"type=button aria-pressed={str(chosen).lower()}").on("click", on_click)
    with tag:
        label = ui.label(name).classes("lemo-muted lemo-small self-start")
        if means:
            label.classes("lemo-means").tooltip(means)
            if not to and not on_click:
                label.props("tabindex=0")
        with ui.row().classes("items-center gap-x-2 gap-y-0"):
            ui.label(value).classes("lemo-stat-value")
            if change is not None:
                changed(change, better)
        if any(point is not None for point in course):
            sparkline(course)


def changed(change: float, better: bool | None = True) -> None:
    """A change against the period before as a badge: `+12 %`."""
    if abs(change) < STILL:
        text, colour = "±0 %", QUIET
    else:
        text = f"{100 * change:+,.0f} %" if abs(change) < 10 else f"×{change + 1:,.0f}"
        colour = QUIET if better is None else GOOD if (change > 0) == better else BAD
    badge(text, colour).tooltip(t("Against the period before", "与上一周期相比"))


def sparkline(course: Sequence[float | None]) -> None:
    """A small line over a ground of 0, without axes; gaps stay gaps."""
    known = [point for point in course if point is not None]
    low, high = min(*known, 0.0), max(*known, 0.0)
    step = _WIDTH / max(len(course) - 1, 1)
    lines: list[list[str]] = [[]]
    for place, point in enumerate(course):
        if point is None:
            lines.append([])
            continue
        height = (point - low) / (high - low) if high > low else 0.0
        lines[-1].append(f"{place * step:.1f} {_HEIGHT - 2 - height * (_HEIGHT - 4):.1f}")
    drawn = [points for points in lines if points]
    line = "".join(f"M{'L'.join(points)}" for points in drawn)
    ground = f"{_HEIGHT:.0f}"
    area = "".join(
        f"M{points[0].split()[0]} {ground}L{'L'.join(points)}L{points[-1].split()[0]} {ground}Z" for points in drawn
    )
    ui.html(
        f'<svg class="lemo-spark" viewBox="0 0 {_WIDTH:.0f} {_HEIGHT:.0f}" preserveAspectRatio="none"'
        f' aria-hidden="true"><path d="{area}" fill="var(--chart-1)" opacity="0.13"/>'
        f'<path d="{line}" fill="none" stroke="var(--chart-1)" stroke-width="1.75" stroke-linejoin="round"'
        ' vector-effect="non-scaling-stroke"/></svg>',
        sanitize=False,
    ).classes("w-full")
