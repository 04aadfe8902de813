"""What the reader of files says of a file, in Chinese: how it was understood, and why it cannot be read."""

from lemo.console.phrases import Phrases

FILES = Phrases(
    [
        # How it was understood.
        (r"Each entry of the lists in (.+) is a row\.", "{0} 中列表的每一项是一行。"),
        (r"The rows are those of (.+)\.", "这些行属于 {0} 的格式。"),
        (r"A session is taken for a user\.", "每个会话视为一位用户。"),
        (
            r"Each row becomes impressions and clicks; the history in it has no times and is left out\.",
            "每一行成为曝光和点击；其中的历史没有时间，不读取。",
        ),
        (r"The entities in titles and abstracts are left out\.", "标题和摘要中的实体不读取。"),
        (
            r"No times: every event gets (.+) UTC, when the file was written\. .*",
            "没有时间：每条行为都用文件的写入时间 {0} UTC。因此无法判断当前热门、用户的近期偏好，也无法按时间评估；"
            "相同的行只计一次。",
        ),
        (r"There is no column (.+), so nothing has a (\w+)\.", "没有列 {0}，因此没有 {1}。"),
        (r"(\w+) could also be (.+); (`.+`) says which\.", "{0} 也可能是 {1}；用 {2} 指定。"),
        (r"The time is the date in (.+) with the clock in (.+)\.", "时间由 {0} 的日期和 {1} 的时刻组成。"),
        (
            r"(.+) holds years before 1, which no calendar has: these items get no (\w+)\.",
            "{0} 含有公元前的年份：这些物品没有 {1}。",
        ),
        (r"(.+): the day comes first in dates\.", "{0}：日期中日在前。"),
        (r"(.+): the month comes first in dates\.", "{0}：日期中月在前。"),
        # What scenario would fit.
        (
            r"(.+) holds no times: import it with (`.+`), which says what that costs\.",
            "{0} 没有时间：导入时请选择 {1}。",
        ),
        (
            r"Template (\w+): it knows the actions of ([\d,]+) of ([\d,]+) events\.",
            "模板 {0}：认识 {2} 条行为中的 {1} 条。",
        ),
        (r"(\S+) is a new action with the weight (\S+)\.", "{0} 是新的行为，权重为 {1}。"),
        (
            r"([\d,]+) words are no actions, and their events will be rejected: (.+)\.",
            "{0} 个词不能作为行为，其行为会被拒绝：{1}。",
        ),
        # Why it cannot be read.
        (r"(.+) has no column (.+); it has: (.+)\.", "{0} 没有列 {1}；现有：{2}。"),
        (r"Say where it is: (.+)\. Taken so far: (.+)\.", "请指定：{0}。已识别：{1}。"),
        (r"Say where it is: (.+)\.", "请指定：{0}。"),
        (r"Needed are (.+); (`.+`) says where they are\.", "需要 {0}；用 {1} 指定。"),
        (r"(.+) has no column (.+)\.", "{0} 没有列 {1}。"),
        (r"(.+) has the column (.+) more than once\.", "{0} 有重复的列 {1}。"),
        (r"Rename or remove one of them\.", "请重命名或删除其中一个。"),
        (r"(.+) is empty\.", "{0} 是空文件。"),
        (
            r"(?:It should hold rows\. )?Files are CSV .*",
            "支持 CSV（任意分隔符）、JSON、JSON lines、Parquet 和 Excel；文本可压缩。",
        ),
        (r"(.+) holds no rows\.", "{0} 没有数据行。"),
        (r"(.+) holds no rows: nothing to import\.", "{0} 没有数据行，没有可导入的内容。"),
        (r"Its lines are comments\.", "其中只有注释。"),
        (r"(.+) holds binary data\.", "{0} 含有二进制数据。"),
        (r"(.+) holds compressed Parquet or Excel\.", "{0} 是压缩过的 Parquet 或 Excel。"),
        (r"Decompress it first\.", "请先解压。"),
        (
            r"(.+) is not UTF-8 text: line ([\d,]+) holds the byte (\S+), and nothing in it says what it is\.",
            "{0} 不是 UTF-8 文本：第 {1} 行含有字节 {2}，无法判断编码。",
        ),
        (
            r"Say it with `--encoding`\. There it reads (.+)\. Or save the file as UTF-8\.",
            "请用 `--encoding` 指定。该处可能是：{0}。也可以将文件另存为 UTF-8。",
        ),
        (
            r"(.+): (.+) in the column (.+) may be day and month, or month and day, and no other row tells\.",
            "{0}：列 {2} 中的 {1} 可能是日月，也可能是月日，其他行无法判断。",
        ),
        (
            r"Say it with `--date-order dmy` or `--date-order mdy`\.",
            "请选择 `--date-order dmy` 或 `--date-order mdy`。",
        ),
        (r"(.+) holds the rows of (.+), which have no time\.", "{0} 属于 {1} 的格式，没有时间。"),
        (r"Import it with `--no-time`, which says what that costs; .*", "导入时请选择 `--no-time`。"),
        (r"(.+) is damaged, or no Parquet file: (.+)", "{0} 已损坏，或不是 Parquet 文件：{1}"),
        (r"(.+) cannot be read as a workbook: (.+)", "{0} 不是可读取的工作簿：{1}"),
        (r"(.+) breaks off after line ([\d,]+): (.+)\.", "{0} 在第 {1} 行之后中断：{2}。"),
        (r"(.+) is no JSON after row ([\d,]+): (.+)\.", "{0} 在第 {1} 行之后不是 JSON：{2}。"),
        (r"(?:Get the file|Write it) again; (?:what came|[\d,]+ rows) before .*", "请重新获取文件；此前的行已读取。"),
        (r"(?:Write|Save) it again\.", "请重新保存。"),
        (
            r"In (.+) an event_id names no single event: ([\d,]+) of the first ([\d,]+) rows bear one that an"
            r" earlier row bears with other contents, such as (.+)\.",
            "{0} 中的 event_id 不能表示单条行为：前 {2} 行中有 {1} 行与此前内容不同的行使用相同的 ID，例如 {3}。",
        ),
        (
            r"Nothing of the file was sent\. Import it with (`.+`): .*",
            "没有发送任何内容。请选择 {0} 后导入：将由每一行生成 ID，重复导入仍只计一次。",
        ),
        (r"(\w+) cannot be left out: no row is read without it\.", "{0} 不能省略：没有它就无法读取任何行。"),
        (r"(.+) cannot be opened: (.+)\.", "无法打开 {0}：{1}。"),
        (r"(.+) cannot be read: (.+)\.", "无法读取 {0}：{1}。"),
        (r"(.+) cannot be unpacked: (.+)\.", "无法解压 {0}：{1}。"),
        (r"(.+) is a damaged ZIP archive: (.+)\.", "{0} 是损坏的 ZIP 文件：{1}。"),
        (r"(.+) is an archive of (\d+) files(?:: )?(.*)\.", "{0} 是含有 {1} 个文件的压缩包：{2}。"),
        (r"(.+) is a folder\.", "{0} 是文件夹。"),
        (r"(.+) is no encoding that is known\.", "未知编码 {0}。"),
        (r"(.+) is no field\.", "没有字段 {0}。"),
        (r"(.+), which (.+) shall be, is not an action of this scenario\.", "{1} 要视为 {0}，但场景没有这种行为。"),
        (r"(?:Did you mean (.+)\? )?It knows (.+)\.", "已有：{1}。"),
        (r".*It has (.+)\.", "现有：{0}。"),
        (r".*The fields are (.+); other columns become attributes\.", "字段有：{0}；其他列成为属性。"),
        (r"(.+): the first line is no CSV header: (.+)\.", "{0} 的第一行不是 CSV 表头：{1}。"),
        (r"(.+): the name says Parquet, but it holds something else .*", "{0} 的名称是 Parquet，但内容不是。"),
        (r"(.+) holds (an? .+)\.", "{0} 的内容无法读取（{1}）。"),
        (
            r"The first ([\d,]+) rows of (.+) have no column (.+) to leave out\.",
            "{1} 的前 {0} 行中没有要省略的列 {2}。",
        ),
        (r"Nothing of the file was sent\. Check the name\.", "没有发送任何内容。请检查名称。"),
        (r"Check its permissions\.", "请检查其权限。"),
        (r"Check the path; .*", "请检查路径。"),
        (r"Get the file again\.", "请重新获取文件。"),
        (r"It names the columns\.", "第一行应是列名。"),
        (r"Name the files in it\.", "请指定其中的文件。"),
        (r"Try (.+)\.", "可尝试 {0}。"),
        (r"Unpack it .*", "请先解压，再导入其中的文件。"),
        (r"Write it again, or name it after what it holds\.", "请重新保存，或按内容命名。"),
        # Why it does not come.
        (r"(\d+) files wait already\.", "已有 {0} 个文件待处理。"),
        (r"Import or discard some of them, then drop this one again\.", "请先导入或丢弃其中一些，再重新拖入。"),
        (r"This console takes no files\.", "此控制台不接收文件。"),
        (r"LEMO_CONSOLE_UPLOAD_MB says so\. .*", "由 LEMO_CONSOLE_UPLOAD_MB 设定。请用 `lemo import` 导入。"),
        (r"The file has more than ([\d,]+) MB, the most that this console takes\.", "文件超过此控制台的上限 {0} MB。"),
        (
            r"Import it with `lemo import`, compress it .*",
            "请用 `lemo import` 导入、先压缩，或调高 LEMO_CONSOLE_UPLOAD_MB。",
        ),
        (r"Files of ([\d,]+) MB wait already; there is no room for more\.", "待处理的文件已有 {0} MB，没有更多空间。"),
        (
            r"Import or discard some of them\. Those of other .*",
            "请先导入或丢弃其中一些。其他租户的文件也计入，一天后移除。",
        ),
        (
            r"Only ([\d,]+) MB are free on the disk of LEMO_HOME, of which (\d+) MB must stay so\.",
            "LEMO_HOME 所在磁盘只剩 {0} MB，其中 {1} MB 必须保留。",
        ),
        (r"Make room there, or import with .*", "请释放空间，或在文件所在处用 `lemo import` 导入。"),
        (r"The file could not be written: (.+)\.", "无法写入文件：{0}。"),
        (r"Make room where LEMO_HOME lies\.", "请在 LEMO_HOME 所在磁盘释放空间。"),
        (r"There is no file (.+)\.", "没有文件 {0}。"),
        (r"Files go away when they were imported, .*", "文件在导入后或一天后移除。请重新拖入。"),
        (r"(.+) is being imported already\.", "{0} 已在导入。"),
        (r"(.+) is being imported\.", "{0} 正在导入。"),
        (r"Follow it on its page\.", "请在其页面查看进度。"),
        (r"Stop it first\.", "请先停止。"),
        (r"This page is not open any more\.", "此页面已关闭。"),
        (r"Load the page again, and drop the file again\.", "请重新载入页面，并重新拖入文件。"),
        # What lay far from the rest.
        (r"([\d,]+) events? (?:is|are) (\d+) years after the rest \((.+)\)\.", "{0} 条行为比其余的晚 {1} 年（{2}）。"),
        (r"([\d,]+) events? (?:is|are) (\d+) years before the rest \((.+)\)\.", "{0} 条行为比其余的早 {1} 年（{2}）。"),
        (r"([\d,]+) events? (?:is|are) (\d+) days after the rest \((.+)\)\.", "{0} 条行为比其余的晚 {1} 天（{2}）。"),
        (r"([\d,]+) events? (?:is|are) (\d+) days before the rest \((.+)\)\.", "{0} 条行为比其余的早 {1} 天（{2}）。"),
        (r"The import failed: (\w+)\.", "导入失败：{0}。"),
        (r"The console's log has its cause\.", "原因见控制台的日志。"),
    ]
)
"""Sentences with options of `lemo import` in backquotes, which `words.on_the_page` names as the form does."""
TYPES = {
    "numbers": "数字",
    "texts": "文本",
    "booleans": "布尔值",
    "lists": "列表",
    "objects": "对象",
    "words for nothing": "空值",
}
"""Types of attributes, as `Tally.types` calls them."""
DIALECTS = {
    "spaces": "空格分隔",
    "commas": "逗号分隔",
    "semicolons": "分号分隔",
    "tabs": "制表符分隔",
    "a header": "有表头",
    "no header": "无表头",
    "no quotes": "无引号",
}
"""Parts of how a text table is written."""


def dialect_words(form: str) -> str:
    """The form of a file with its dialect, in Chinese: `CSV: commas, a header, utf-8`."""
    name, colon, rest = form.partition(": ")
    return f"{name}：" + "，".join(DIALECTS.get(part, part) for part in rest.split(", ")) if colon else form
