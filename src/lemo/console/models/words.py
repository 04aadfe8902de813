"""Measures of models in words."""

from lemo.console.language import t
from lemo.models.registry import RegisteredModel


def score(value: float | None) -> str:
    """A measure between 0 and 1; a dash where there is none."""
    return "–" if value is None else f"{value:.4f}"


MEASURES_ZH = {
    "ndcg_at_10": "NDCG@10",
    "recall_at_10": "召回率@10",
    "recall_at_20": "召回率@20",
    "map_at_10": "MAP@10",
    "mrr": "MRR",
    "coverage": "覆盖率",
    "novelty": "新颖度",
    "diversity": "多样性",
    "users": "用户数",
}


def measure_words(name: str) -> str:
    """A line of a comparison: a measure of models, maybe of a segment, or that of popularity."""
    group, _, measure = name.rpartition(" ")
    groups = segments() | {"popularity": t("popularity", "热门基线")}
    chinese = f"{groups.get(group, group)} {MEASURES_ZH.get(measure, measure)}"
    return t(name.replace("_", " "), chinese.strip())


def segments() -> dict[str, str]:
    """The segments of users and items in words."""
    return {
        "new_users": t("new users", "新用户"),
        "light_users": t("light users", "轻度用户"),
        "heavy_users": t("heavy users", "重度用户"),
        "new_items": t("new items", "新物品"),
    }


def segment_words(model: RegisteredModel) -> str:
    """NDCG@10 by segment, in words."""
    found = model.metrics.get("model", {}).get("segments", {})
    return " · ".join(
        f"{text} {found[name]['ndcg_at_10']:.4f} ({found[name]['users']:,})"
        for name, text in segments().items()
        if name in found
    )


def action_words(action: str) -> str:
    """How a model came into service."""
    words = {
        "promote": t("promote", "上线"),
        "refresh": t("refresh", "更新"),
        "rollback": t("rollback", "回滚"),
    }
    return words.get(action, action)
