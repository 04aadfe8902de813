"""Why rows and messages were refused, in the language of the page.

The reasons themselves are English: files of rejected rows, answers of the API and dead letters hold them for programs.
"""

import re

from lemo.console.language import t
from lemo.console.phrases import Phrases

_GOT = r"(?: \(got (.*)\))?"
_NAME = r"([\w.-]+)"

FIELDS = Phrases(
    [
        (rf"{_NAME}: is missing", "{0}：缺失"),
        (rf"{_NAME}: is not a field that is known here", "{0}：未知字段"),
        (rf"{_NAME}: field required{_GOT}", "{0}：缺失"),
        (rf"{_NAME}: string should have at most (\d+) characters?{_GOT}", "{0}：最多 {1} 个字符"),
        (rf"{_NAME}: string should have at least (\d+) characters?{_GOT}", "{0}：至少 {1} 个字符，不能为空"),
        (rf"{_NAME}: string should match pattern '(.+?)'{_GOT}", "{0}：应匹配 {1}"),
        (rf"{_NAME}: string should match pattern{_GOT}", "{0}：格式不符"),
        (rf"{_NAME}: input should be a valid integer[^(]*{_GOT}", "{0}：应为整数"),
        (rf"{_NAME}: input should be a (?:valid|finite) number[^(]*{_GOT}", "{0}：应为数字"),
        (rf"{_NAME}: input should be a valid boolean[^(]*{_GOT}", "{0}：应为 true 或 false"),
        (rf"{_NAME}: input should be a valid string[^(]*{_GOT}", "{0}：应为文本"),
        (rf"{_NAME}: input should be a valid (?:list|dictionary)[^(]*{_GOT}", "{0}：类型不符"),
        (rf"{_NAME}: input should be greater than or equal to (\S+){_GOT}", "{0}：不能小于 {1}"),
        (rf"{_NAME}: input should be less than or equal to (\S+){_GOT}", "{0}：不能大于 {1}"),
        (rf"{_NAME}: (\w+) is NaN or infinite; leave it out where there is none{_GOT}", "{0}：{1} 不是有限的数"),
        (
            rf"{_NAME}: is neither ISO 8601 nor Unix seconds or milliseconds{_GOT}",
            "{0}：不是 ISO 8601，也不是 Unix 秒或毫秒",
        ),
        (rf"{_NAME}: is no moment: .*?{_GOT}", "{0}：不是有效的时间"),
        (rf"{_NAME}: is before 1990; .*?{_GOT}", "{0}：早于 1990 年；应为 ISO 8601 或 Unix 秒至纳秒"),
        (rf"{_NAME}: is more than one hour in the future; .*?{_GOT}", "{0}：比现在晚一小时以上；请检查时钟和单位"),
        (
            rf"{_NAME}: was more than one hour in the future when the message arrived{_GOT}\.?",
            "{0}：消息到达时，该时间晚一小时以上",
        ),
        (r"action:(?: (.+))? is not an action of this scenario; it knows (.+)", "action：场景没有行为 {0}；已有：{1}"),
        (
            r"action:(?: (.+))? is not known in this scenario; it knows (.+)",
            "action：场景没有行为 {0}；已有：{1}",
        ),
        (
            r"action: scenario (.+) knows no action (.+); it knows (.+)\.",
            "action：场景 {0} 没有行为 {1}；已有：{2}。",
        ),
        (
            r"event_id:(?: (.+))? is that of an earlier event with other contents; an event_id names one event",
            "event_id：{0} 已属于内容不同的另一条行为；一个 event_id 只能表示一条行为",
        ),
        (
            r"A message with `items` holds nothing else but tenant_id and scenario_id; found (.+)\.",
            "含有 `items` 的消息只能再有 tenant_id 和 scenario_id；还有：{0}。",
        ),
        (rf"{_NAME}: is no timestamp{_GOT}", "{0}：不是时间"),
        (r"tenant_id: there is no tenant (.+)\.", "tenant_id：没有租户 {0}。"),
        (r"scenario_id: there is no scenario (.+)\.", "scenario_id：没有场景 {0}。"),
        (
            r"tenant_id: this topic carries only events of tenant (.+); the message claims (.+)\.",
            "tenant_id：此主题只含租户 {0} 的行为；消息声称属于 {1}。",
        ),
        (r"(tenant_id|scenario_id): must be the name of a (?:tenant|scenario)\.", "{0}：必须是名称。"),
        (r"items: must be a list of at least one item\.", "items：必须是至少有一个物品的列表。"),
        (r"The message is not JSON: .*line (\d+) column (\d+).*", "消息不是 JSON：第 {0} 行第 {1} 列。"),
        (r"The message is not JSON: .*", "消息不是 JSON。"),
        (r"The message is JSON, but no object\.", "消息是 JSON，但不是对象。"),
        (r"The message has ([\d,]+) bytes; the limit is ([\d,]+)\.", "消息有 {0} 字节；上限为 {1}。"),
        (
            r"Kafka Connect's schema stands around the message: set (.+)\.",
            "消息外有 Kafka Connect 的 schema：请设置 {0}。",
        ),
        (
            r"This is Debezium's envelope: `lemo connect` prints .*",
            "这是 Debezium 的信封：`lemo connect` 会列出取出其中数据行的设置。",
        ),
        (r"has (\d+) columns; the (?:header has|others have) (\d+)", "有 {0} 列，应为 {1} 列"),
        (r"is not (CSV|JSON): .*line (\d+) column (\d+).*", "不是有效的 {0}：第 {1} 行第 {2} 列"),
        (r"is not (CSV|JSON): .*", "不是有效的 {0}"),
        (r"is a JSON (\w+), not an object", "是 JSON 的 {0}，不是对象"),
        (r"has no list (.+)", "没有列表 {0}"),
        (r"holds a NUL byte; remove it", "含有 NUL 字节，请删除"),
        (r"is not (\S+): byte(?: (\S+))?; convert the file with iconv", "不是 {0} 编码（字节 {1}）；请用 iconv 转换"),
        (r"the line is longer than ([\d,]+) bytes", "该行超过 {0} 字节"),
        (r"a quote is opened and never closed", "引号没有闭合"),
        (
            r"a quote is opened here and not closed where the row should end, or the cell is longer than ([\d,]+) .*",
            "引号没有在行尾闭合，或单元格超过 {0} 个字符",
        ),
        (r"other reasons", "其他原因"),
        (r"and (\d+) more", "另有 {0} 处"),
    ]
)
"""One fault of a row or message."""


_BETWEEN = re.compile(r"; (?=[\w.-]+: |and \d+ more$)")


def chinese_reason(reason: str) -> str:
    """The reason in Chinese, as far as it is known: it names up to three faults."""
    whole = FIELDS.chinese(reason)
    return whole if whole != reason else "；".join(FIELDS.chinese(fault) for fault in _BETWEEN.split(reason))


def refusal_words(reason: str) -> str:
    """Why a row or message was refused."""
    return t(reason, chinese_reason(reason))
