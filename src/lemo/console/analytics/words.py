"""What the numbers of analytics are called, in what unit they are, and whether more is better.

Their English definitions are in `traffic_metrics`; here is what people read instead of the names.
"""

from typing import NamedTuple

from lemo.console.charts import Unit
from lemo.console.formats import compact, share
from lemo.console.language import language


class Measure(NamedTuple):
    """How one number is shown."""

    english: str
    chinese: str
    unit: Unit = "count"
    better: bool | None = True
    """Whether a rise is good; None where it is neither."""
    means: str = ""
    """Its definition in Chinese."""


MEASURES: dict[str, Measure] = {
    "requests": Measure("Requests", "请求数", better=None, means="API 返回并记录的结果数，批量请求中每个结果计一次。"),
    "events": Measure("Events", "行为数", better=None, means="所有行为事件的数量。"),
    "users": Measure("Users", "用户数", means="不同用户的数量。"),
    "impressions": Measure("Impressions", "曝光数", means="`impression` 的数量；按结果统计时同一物品只计一次。"),
    "clicks": Measure("Clicks", "点击数", means="`click` 的数量；按结果统计时同一物品只计一次。"),
    "ctr": Measure("CTR", "点击率", "share", means="点击数 / 曝光数。"),
    "carts": Measure("Carts", "加购数", means="`cart` 的数量；按结果统计时同一物品只计一次。"),
    "cart_rate": Measure("Cart rate", "加购率", "share", means="加购数 / 点击数。"),
    "conversions": Measure("Conversions", "转化数", means="目标行为的数量；按结果统计时同一物品只计一次。"),
    "conversion_rate": Measure("Conversion rate", "转化率", "share", means="转化数 / 点击数。"),
    "value": Measure("Value", "价值", means="目标行为的 `value` 之和。"),
    "value_per_user": Measure("Value per user", "人均价值", means="价值 / 用户数。"),
    "value_per_1000_requests": Measure("Value per 1,000 requests", "千次请求价值", means="每 1,000 个结果的价值。"),
    "latency_p50_ms": Measure("Latency p50", "延迟 p50", "ms", False, "一半结果在 API 中的耗时不超过此值。"),
    "latency_p99_ms": Measure("Latency p99", "延迟 p99", "ms", False, "99 % 的结果在 API 中的耗时不超过此值。"),
    "coverage": Measure("Coverage", "覆盖率", "share", means="结果中不同物品数 / 目录物品数。"),
    "empty_share": Measure("Empty answers", "空结果占比", "share", False, "没有物品的结果所占比例。"),
    "degraded_share": Measure("Degraded answers", "降级结果占比", "share", False, "标记为 `degraded` 的结果所占比例。"),
}
TILES = {
    "answers": (
        "requests", "users", "impressions", "ctr", "conversions", "conversion_rate", "value", "latency_p99_ms"
    ),
    "events": (
        "events", "users", "impressions", "ctr", "conversions", "conversion_rate", "value", "value_per_user"
    ),
}  # fmt: skip
"""The numbers that the page shows in tiles, by what is counted."""


def measure_name(name: str) -> str:
    """What a number is called in the language of the page."""
    measure = MEASURES[name]
    return measure.chinese if language() == "zh" else measure.english


def measure_means(name: str, definition: str) -> str:
    """A number's definition in the language of the page; `definition` is the English one."""
    return MEASURES[name].means if language() == "zh" else definition


def measured(name: str, value: float | None) -> str:
    """A number with its unit; a dash where it is not known."""
    unit = MEASURES[name].unit
    if unit == "share":
        return share(value, 0 if not value else 2 if value < 0.1 else 1)
    if unit == "ms":
        return "–" if value is None else f"{value:,.3g} ms"
    return compact(value)
