"""Values, types and names of fields in the language of the page."""

import json
from datetime import datetime
from typing import Any

from lemo.console.formats import stamp
from lemo.console.language import t
from lemo.console.theme import empty

_FIELDS = {
    "title": ("Title", "标题"),
    "description": ("Description", "描述"),
    "categories": ("Categories", "类别"),
    "tags": ("Tags", "标签"),
    "author": ("Author", "作者"),
    "published_at": ("Published", "发布时间"),
    "expires_at": ("Expires", "过期时间"),
    "url": ("Address", "链接"),
    "image_url": ("Picture", "图片"),
    "updated_at": ("Version", "版本"),
}
LONGEST = 120


def field_words(name: str) -> str:
    """What a field of items is called."""
    return t(*_FIELDS.get(name, (name, name)))


def moment_words(text: Any) -> str:
    """A moment as it is kept, to the minute; a dash where there is none."""
    try:
        return stamp(datetime.fromisoformat(str(text))) if text else "–"
    except ValueError:
        return str(text)


def type_words(type: str) -> str:
    """What a type is called; empty for none."""
    words = {
        "number": t("number", "数字"),
        "text": t("text", "文本"),
        "boolean": t("true or false", "是/否"),
        "list": t("list", "列表"),
        "timestamp": t("moment", "时间"),
        "json": "JSON",
    }
    return words.get(type, type)


def value_words(value: Any, longest: int = LONGEST) -> str:
    """A value as people read it; a dash where there is none."""
    if value is None or value == "" or value == []:
        return "–"
    if isinstance(value, bool):
        return t("yes", "是") if value else t("no", "否")
    if isinstance(value, float | int):
        return f"{value:,.12g}" if isinstance(value, float) else str(value)
    if isinstance(value, list):
        text = ", ".join(value_words(each) for each in value)
    else:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= longest else text[: longest - 1] + "…"


def no_scenario() -> None:
    """What stands where the tenant has no scenario yet."""
    empty(
        "category",
        t("There is no scenario yet.", "尚无场景。"),
        t("A scenario is one place where items are recommended.", "场景是推荐物品的一个位置。"),
        "lemo scenarios create shop --template ecommerce",
    )
