"""Words of the pages of imports."""

import re

from lemo.console.imports.notes import FILES
from lemo.console.imports.uploads import State, Upload
from lemo.console.language import t
from lemo.console.theme import BAD, GOOD, INFO, QUIET, WEAK

_TAILS = (
    (" where every row is the same action", "（所有行都是同一行为时）"),
    (" where there is none", "（没有时间时）"),
    (", or ", "，或 "),
    (" or `mdy`", " 或 `mdy`"),
)
"""What stands between the options of a hint, in both languages."""


def state_words(upload: Upload) -> tuple[str, str]:
    """The state of a file in the language of the page, and its colour."""
    words: dict[State, tuple[str, str]] = {
        "receiving": (t("coming in", "上传中"), INFO),
        "waiting": (t("to be looked at", "待确认"), WEAK),
        "queued": (t("waits its turn", "排队中"), QUIET),
        "running": (t("being imported", "导入中"), INFO),
        "done": (t("imported", "已导入"), GOOD),
        "failed": (t("failed", "失败"), BAD),
        "stopped": (t("stopped", "已停止"), QUIET),
        "broken": (t("broken off", "已中断"), BAD),
    }
    return words[upload.state]


def on_the_page(text: str) -> str:
    """A sentence of the reader in the language of the page; the form's fields stand in place of options."""
    words = FILES.chinese(text)
    for english, chinese in _TAILS:
        words = words.replace(english, chinese)
    text = t(text, words)
    names = {
        "`--map FIELD=COLUMN`": t("the choice of columns", "列的选择"),
        "`--action view`": t("“Every row is”", "“每一行都是”"),
        "`--no-time`": t("“No times”", "“没有时间”"),
        "`--encoding`": t("“Encoding”", "“编码”"),
        "`--date-order dmy`": t("“Day first”", "“日在前”"),
        "`--date-order mdy`": t("“Month first”", "“月在前”"),
        "`--date-order dmy` or `mdy`": t("“Dates such as 11/12/2019”", "“形如 11/12/2019 的日期”"),
        "`--delimiter`": t("“Delimiter”", "“分隔符”"),
        "`--leave-out event_id`": t("event_id left out", "不读 event_id"),
    }
    for option, name in sorted(names.items(), key=lambda pair: -len(pair[0])):
        text = text.replace(option, name)
    return re.sub(r"`--map (\w+)=COLUMN`", t(r"the field \1", r"字段 \1"), text)


def megabytes(size: int) -> str:
    """The size of a file."""
    return f"{size / 1e6:,.1f} MB" if size >= 100_000 else f"{size / 1e3:,.1f} kB"
