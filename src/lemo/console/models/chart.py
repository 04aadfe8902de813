"""The chart of the models' quality: each with its confidence interval, beside the popularity baseline."""

from collections.abc import Sequence

from nicegui import ui

from lemo.console.bands import add_band
from lemo.console.charts import COLOURS, Series, line_chart
from lemo.console.formats import stamp
from lemo.console.language import t
from lemo.models.registry import RegisteredModel

_SCORE = "(v) => v == null || v === '-' ? '–' : Number(v).toFixed(4)"


def quality_chart(models: Sequence[RegisteredModel]) -> ui.echart:
    """NDCG@10 of the models, oldest first, each on the test of its own training."""
    labels = [stamp(model.created_at)[5:16] for model in models]
    chart = line_chart(
        labels,
        [
            Series("NDCG@10", [model.ndcg_at_10 for model in models]),
            Series(t("popularity", "热门基线"), [model.popularity_ndcg_at_10 for model in models], dashed=True),
        ],
        about=t("NDCG@10 of the models over time", "模型 NDCG@10 随时间变化"),
        height=240,
    )
    options = chart.options
    served = [
        {"coord": [label, model.ndcg_at_10], "name": model.version}
        for label, model in zip(labels, models, strict=True)
        if model.promoted and model.ndcg_at_10 is not None
    ]
    options["series"][0] |= {
        "showSymbol": True,
        "markPoint": {"symbol": "circle", "symbolSize": 11, "data": served, "label": {"show": False}},
    }
    options["series"][0].pop("areaStyle", None)
    intervals = [model.ndcg_interval or (None, None) for model in models]
    add_band(chart, [low for low, _ in intervals], [high for _, high in intervals], COLOURS[0])
    options["tooltip"][":valueFormatter"] = _SCORE
    options["yAxis"]["axisLabel"][":formatter"] = "(v) => Number(v).toFixed(2)"
    options["yAxis"]["min"] = 0
    options["grid"]["right"] = 36  # half of the last label
    return chart
