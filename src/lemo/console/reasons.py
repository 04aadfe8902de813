"""Reasons and verdicts of the serving code in the language of the page. The API says them in English."""

import re

from lemo.console.language import t
from lemo.console.phrases import Phrases

_BECAUSE = re.compile(r'because of "(.*)"', re.DOTALL)
_REASONS = {
    "fits what you chose": "符合你的选择",
    "new": "新品",
    "popular now": "当前热门",
    "chosen for you": "人工置顶",
    "featured": "推广位",
    "you had it before": "曾经有过",
    "hot right now": "正在升温",
    "from the catalogue": "来自目录",
}
_STAGES = {
    "recall": ("candidates for this user", "该用户的候选"),
    "boost": ("after boosts, freshness and what is hot", "加权、新鲜度与热度之后"),
    "order": ("after diversity, caps and promotions", "多样性、上限与推广之后"),
    "new items": ("after new items were mixed in", "混入新物品之后"),
    "fill": ("after the answer was filled up", "补足之后"),
    "pin": ("answered", "最终结果"),
}
_NO, _NO_ZH = "It is not answered: ", "未进入结果："
_VERDICTS: tuple[tuple[str, str], ...] = (
    (r"It is answered at place (\d+)\.", "进入结果，排在第 {0} 位。"),
    (r"It is answered at place (\d+): it is pinned there\.", "进入结果，被置顶在第 {0} 位。"),
    (r"It is answered at place (\d+): a promotion gives it the place\.", "进入结果，推广规则给了它第 {0} 位。"),
    (
        r"It is answered at place (\d+): the user has had it, and it is due again\.",
        "进入结果，用户曾经有过且已到期，排在第 {0} 位。",
    ),
    (r"It is answered at place (\d+): it is hot now\.", "进入结果，作为升温物品排在第 {0} 位。"),
    (r"It is answered at place (\d+): it is new\.", "进入结果，作为新品排在第 {0} 位。"),
    (r"It is answered at place (\d+): it fills the answer up\.", "进入结果，用于补足，排在第 {0} 位。"),
    (r"It is answered at place (\d+): it is popular\.", "进入结果，作为热门排在第 {0} 位。"),
    (
        _NO + r"it may not be shown: switched off, deleted, not published yet, expired or not in the catalogue\.",
        _NO_ZH + "不可展示（已下架、已删除、未发布、已过期或不在目录中）。",
    ),
    (_NO + r"the request excludes it\.", _NO_ZH + "被请求排除。"),
    (_NO + r"the user has seen or disliked it\.", _NO_ZH + "用户已看过或不喜欢。"),
    (
        _NO + r"the user has not had it, and only what the user has had is wanted\.",
        _NO_ZH + "用户没有过，而只要用户有过的。",
    ),
    (_NO + r"it does not match the request filter\.", _NO_ZH + "不符合请求的过滤条件。"),
    (_NO + r"it does not match the pipeline filter\.", _NO_ZH + "不符合流程的过滤条件。"),
    (
        _NO + r"the model does not know it, and the answer was full without it\.",
        _NO_ZH + "模型不认识它，而结果已满。",
    ),
    (
        _NO + r"by its score it is at place ([\d,]+), and ([\d,]+) candidates were taken\.",
        _NO_ZH + "按得分排第 {0} 位，只取前 {1} 个候选。",
    ),
    (_NO + r"at most (\d+) items of one (.+) are answered\.", _NO_ZH + "同一 {1} 最多进入 {0} 个。"),
    (
        _NO + r"it is at place ([\d,]+) of the candidates, and (\d+) are answered\.",
        _NO_ZH + "在候选中排第 {0} 位，只返回 {1} 个。",
    ),
)
VERDICT_PHRASES = Phrases(_VERDICTS)


def reason_words(reason: str) -> str:
    """Why an item is recommended."""
    found = _BECAUSE.fullmatch(reason)
    if found:
        return t(reason, f"因为「{found[1]}」")
    return t(reason, _REASONS.get(reason, reason))


def verdict_words(verdict: str) -> str:
    """Why an item is in an answer, or why not."""
    return t(verdict, VERDICT_PHRASES.chinese(verdict))


def stage_words(stage: str) -> str:
    """What a stage of the pipeline leaves."""
    english, chinese = _STAGES.get(stage, (stage, stage))
    return t(english, chinese)


def unavailable_words(why: str) -> str:
    """Why an item is in no answer now, by the word of `shown.unavailable`."""
    words = {
        "off": t("off", "已下架"),
        "unpublished": t("not published yet", "未发布"),
        "expired": t("expired", "已过期"),
    }
    return words.get(why, "")
