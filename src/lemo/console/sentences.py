"""What the product says of errors, in the language of the page.

Below the console everything speaks English. A Chinese page says of which kind an error is, names its engine, and leaves
what is particular to it as it is: names, numbers and what an engine answered.
"""

import re
from typing import NamedTuple

from lemo.console.language import language
from lemo.console.phrases import engine_words
from lemo.domain.errors import (
    Conflict,
    Damaged,
    EngineUnavailable,
    InvalidInput,
    LemoError,
    NotAllowed,
    NotFound,
    Outdated,
    TooLarge,
    TooMuch,
    WrongCredential,
)

_CHINESE = re.compile("[\u4e00-\u9fff]")
KINDS: dict[type[LemoError], str] = {
    Damaged: "存储的内容已损坏。",
    NotFound: "找不到所请求的内容。",
    InvalidInput: "输入不符合要求。",
    Conflict: "与现有内容或正在进行的操作冲突。",
    Outdated: "存储的内容来自不兼容的版本。",
    NotAllowed: "权限不足。",
    WrongCredential: "凭据无效。",
    TooLarge: "内容超过单次请求的上限。",
    TooMuch: "已达到租户的限额。",
    EngineUnavailable: "有引擎不可用。",
    LemoError: "操作没有完成。",
}
"""The kinds of errors, each before the one that it is a kind of."""


class Words(NamedTuple):
    """What happened, what to do next, and what the product said of it in English; empty where it has nothing to add."""

    what: str
    hint: str
    detail: str = ""


def error_words(error: LemoError) -> Words:
    """An error in the language of the page."""
    # What the console itself raises is in the visitor's language already.
    if language() != "zh" or _CHINESE.search(error.message):
        return Words(error.message, error.hint)
    if isinstance(error, EngineUnavailable) and error.engine:
        hint = "页面其余部分仍可使用。用 `lemo status` 和 `lemo doctor` 查看原因。"
        if error.seconds is not None:
            return Words(f"{engine_words(error.engine)} 在 {error.seconds:g} 秒内没有响应。", hint)
        return Words(f"{engine_words(error.engine)} 不可用。", hint, str(error))
    kind = next(words for kind, words in KINDS.items() if isinstance(error, kind))
    return Words(kind, "", str(error))


def told(error: LemoError) -> str:
    """An error in one line, in the language of the page."""
    return " ".join(filter(None, error_words(error)))
