"""Two models beside each other, as a table."""

from nicegui import ui

from lemo.console.formats import whole
from lemo.console.language import t
from lemo.console.models.comparison import Line, measures, parameters
from lemo.console.models.words import measure_words, score
from lemo.console.tables import cell, table, td, tr
from lemo.console.theme import BAD, GOOD, nothing, subheading
from lemo.models.registry import RegisteredModel


def draw_comparison(models: tuple[RegisteredModel, RegisteredModel]) -> None:
    """Measures and parameters of two models; those whose intervals do not overlap are marked."""
    one, other = models
    nothing(
        t(
            "Each was measured on the test of its own training. Only a promotion compares two models on the same test.",
            "各自在其训练的测试集上评估；只有上线时才在同一测试集上比较。",
        )
    )
    with table((t("Measure", "指标"), one.version, other.version, t("Difference", "差")), numbers=(1, 2, 3)):
        for line in measures(one, other):
            _compared_line(line)
    changed = parameters(one, other)
    if changed:
        subheading(t("Parameters that differ", "不同的参数"))
        with table((t("Parameter", "参数"), one.version, other.version), numbers=(1, 2)):
            for line in changed:
                with tr():
                    with td():
                        ui.label(line.name).classes("font-mono text-xs break-all")
                    for value in (line.one, line.other):
                        cell(
                            "–" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value),
                            number=True,
                        )


def _compared_line(line: Line) -> None:
    with tr().mark("measure"):
        cell(measure_words(line.name))
        for value, interval in zip((line.one, line.other), line.intervals, strict=True):
            with td("number"), ui.column().classes("gap-0 items-end"):
                ui.label(whole(value) if isinstance(value, int) else score(value))
                if interval:
                    ui.label("–".join(map(score, interval))).classes("lemo-muted lemo-small")
        with td("number"):
            difference = line.difference
            if difference is None:
                ui.label("–")
            else:
                text = f"{difference:+,.0f}" if isinstance(line.one, int) else f"{difference:+.4f}"
                colour = (GOOD if difference > 0 else BAD) if line.apart else "var(--text)"
                ui.label(text).style(f"color:{colour}")
