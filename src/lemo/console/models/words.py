"""Measures of models in words."""

from lemo.console.language import t
from lemo.models.registry import RegisteredModel


def score(value: float | None) -> str:
    """A measure between 0 and 1; a dash where there is none."""
    return "–" if value is None else f"{value:.4f}"


def segment_words(model: RegisteredModel) -> str:
    """NDCG@10 by segment, in words."""
    words = {
        "new_users": t("new users", "新用户"),
        "light_users": t("light users", "轻度用户"),
        "heavy_users": t("heavy users", "重度用户"),
        "new_items": t("new items", "新物品"),
    }
    found = model.metrics.get("model", {}).get("segments", {})
    return " · ".join(
        f"{text} {found[name]['ndcg_at_10']:.4f} ({found[name]['users']:,})"
        for name, text in words.items()
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
