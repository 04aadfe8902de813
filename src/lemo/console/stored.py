"""What jobs, models and pipelines have stored in English, in the language of the page.

Runs keep why they failed, their stages and their log; models and pipelines keep why they serve. What an engine or a
program said, and what a person wrote, stays as it is.
"""

from nicegui import ui

from lemo.console.language import language, t
from lemo.console.phrases import Phrases

_DIFFERENCE = r"(\S+) NDCG@10 \(p (\S+)\)"
_ENGINE = r"(?P<engine>(?:Milvus|Redis|Valkey|ClickHouse|chDB|Kafka|MongoDB|SQLite|Flink)(?: at \S+(?:, \S+)*)?)"
_HINT = r"(?: .*)?"
"""What an error says to do next. It is left out: the doctor's finding on the first page tells it in Chinese."""

MODELS = (
    ("the first model", "第一个模型"),
    ("too few events to measure; the champion's parameters stay", "行为太少，无法评估；沿用当前模型的参数"),
    (r"the champion (\S+) cannot be measured any more", "当前模型 {0} 已无法评估"),
    (r"the champion (\S+) cannot be read by this version of Lemo", "此版本的 Lemo 无法读取当前模型 {0}"),
    (
        f"not better than the champion beyond noise: {_DIFFERENCE}",
        "不优于当前模型，差异未超出噪声：NDCG@10 {0}（p {1}）",
    ),
    (
        rf"no better than (\S+), from which (.+) rolled back: {_DIFFERENCE}",
        "不优于 {1} 已回滚的 {0}：与当前模型相差 NDCG@10 {2}（p {3}）",
    ),
    (f"better than the champion: {_DIFFERENCE}", "优于当前模型：NDCG@10 {0}（p {1}）"),
    (
        f"the champion fell below the best single source: {_DIFFERENCE}",
        "当前模型已低于最好的单一来源：NDCG@10 {0}（p {1}）",
    ),
    (r"the parameters of (\S+) on newer events", "{0} 的参数，用更新的行为拟合"),
    ("refused: (?P<said>.+)", "拒绝上线：{0}"),
    (
        r"(\S+) goes on serving: its parameters fitted on newer events were refused: (?P<said>.+)",
        "{0} 继续服务：用更新的行为拟合的参数被拒绝：{1}",
    ),
    (
        "only (.+) of its answers are personal, where (.+) were when it was measured",
        "只有 {0} 的结果是个性化的，评估时为 {1}",
    ),
    (
        "it answers only (.+) different items, where it was (.+) when measured",
        "结果中只有 {0} 个不同的物品，评估时为 {1} 个",
    ),
)
"""Why a model serves, or does not."""
PIPELINES = (
    ("on trial: arm (.+) of experiment (.+)", "试验：实验 {1} 的 {0} 组"),
    ("experiment (.+), arm (.+)", "实验 {0} 的 {1} 组"),
    (r"back to version (\d+)", "回滚到版本 {0}"),
)
"""Why a pipeline serves, where the product says it and no person."""
ENGINES = (
    (rf"{_ENGINE} did not answer within (\S+) s\.{_HINT}", "{0} 在 {1} 秒内没有响应。"),
    (rf"{_ENGINE} (?:did|does) not answer\.{_HINT}", "{0} 没有响应。"),
    (rf"{_ENGINE} (?:did|does) not answer \((.+?)\)\.{_HINT}", "{0} 没有响应（{1}）。"),
    (rf"{_ENGINE} does not answer: (.+?)\.{_HINT}", "{0} 没有响应：{1}。"),
    (
        rf"Redis, which holds the ingest log, did not answer(?: in time)?: (.+?)\.{_HINT}",
        "Redis（消息日志）没有响应：{0}。",
    ),
    (rf"{_ENGINE} cannot be reached: nothing listens there\.{_HINT}", "无法连接 {0}：该地址没有服务在监听。"),
    (rf"{_ENGINE} takes no writes \((.+?)\)\.{_HINT}", "{0} 拒绝写入（{1}）。"),
    (rf"{_ENGINE} did not do what it was asked: (.+?)\.{_HINT}", "{0} 没有完成请求：{1}。"),
    (rf"{_ENGINE} could not do it \(code (.+?)\): (.+?)\.{_HINT}", "{0} 没有完成请求（代码 {1}）：{2}。"),
    (rf"{_ENGINE} refused or did not finish the call \((.+?)\)\.{_HINT}", "{0} 拒绝或没有完成请求（{1}）。"),
    (
        rf"{_ENGINE} refused the user name or the password \(code (.+?)\)\.{_HINT}",
        "{0} 拒绝了用户名或密码（代码 {1}）。",
    ),
    (rf"The document store (\S+) failed: (.+?)\.{_HINT}", "文档库 {0} 出错：{1}。"),
    (rf"The embedding endpoint (\S+) did not answer: (.+?)\.{_HINT}", "嵌入端点 {0} 没有响应：{1}。"),
    (
        rf"(\S+) was written by a newer Lemo \(schema (\d+), this one knows (\d+)\)\.{_HINT}",
        "{0} 由更新版本的 Lemo 写入（结构版本 {1}，此版本支持到 {2}）。",
    ),
    (
        rf"LEMO_MONGO_URL is no MongoDB URL, or .+?\.{_HINT}",
        "LEMO_MONGO_URL 不是有效的 MongoDB URL，或其选项互相矛盾。",
    ),
    (rf"LightGBM cannot be loaded: (.+?)\.{_HINT}", "无法加载 LightGBM：{0}。"),
    (rf"The snapshot store (.+) refused access\.{_HINT}", "快照存储 {0} 拒绝访问。"),
    (rf"The snapshot store (.+) failed: (.+?)\.{_HINT}", "快照存储 {0} 出错：{1}。"),
)
"""Engines that failed."""
FAULTS = (
    (rf"No source '?(.+?)'? is installed\.{_HINT}", "没有安装来源 {0}。"),
    (rf"The source '?(.+?)'? of (.+?) cannot be loaded \((.+?)\)\.{_HINT}", "无法加载 {1} 的来源 {0}（{2}）。"),
    ("sources: (?P<said>.+)", "sources：{0}"),
    (rf"There is no (\w+) snapshot (\S+) of (\S+)\.{_HINT}", "{2} 没有 {0} 快照 {1}。"),
    (rf"There are no vectors of version (\S+) in (\S+)\.{_HINT}", "{1} 中没有版本 {0} 的向量。"),
    (rf"Vectors of version (\S+) in (\S+) are in use\.{_HINT}", "{1} 中版本 {0} 的向量正在使用。"),
    (rf"A document is larger than the (.+?) that MongoDB stores\.{_HINT}", "文档超过 MongoDB 可存储的 {0}。"),
    (rf"An id is not valid Unicode\.{_HINT}", "有一个 ID 不是有效的 Unicode。"),
    (rf"The snapshot (\S+) is damaged: (.+?)\.{_HINT}", "快照 {0} 已损坏：{1}。"),
    (
        rf"A later run has put another (\w+) snapshot of (\S+) into service than (\S+)\.{_HINT}",
        "更晚的运行已为 {1} 上线另一个 {0} 快照，而不是 {2}。",
    ),
    (rf"The snapshot (\S+) is published already, with other arrays\.{_HINT}", "快照 {0} 已发布，内容不同。"),
    (
        rf"The model (\S+) needs the package (\S+), which is not installed\.{_HINT}",
        "模型 {0} 需要依赖包 {1}，但未安装。",
    ),
    (rf"The model's folder (\S+) holds no tokenizer\.json\.{_HINT}", "模型文件夹 {0} 中没有 tokenizer.json。"),
    (rf"onnxruntime cannot read (\S+): (.+?)\.{_HINT}", "onnxruntime 无法读取 {0}：{1}。"),
    (rf"LEMO_EMBEDDING_URL is set, but no model\.{_HINT}", "已设置 LEMO_EMBEDDING_URL，但没有设置模型。"),
    (
        rf"The embedding endpoint (\S+) refused the model '?(.+?)'? \((\d+)\): (.+?)\.{_HINT}",
        "嵌入端点 {0} 拒绝了模型 {1}（{2}）：{3}。",
    ),
    (
        rf"The embedding endpoint (\S+) answered no vector for each text\.{_HINT}",
        "嵌入端点 {0} 没有为每个文本返回向量。",
    ),
    (
        rf"LEMO_EMBEDDING_MODEL names the folder (\S+), which does not exist\.{_HINT}",
        "LEMO_EMBEDDING_MODEL 指定的文件夹 {0} 不存在。",
    ),
    (
        rf"The model (\S+) holds no ONNX file, and the package sentence-transformers is not installed\.{_HINT}",
        "模型 {0} 中没有 ONNX 文件，且未安装 sentence-transformers。",
    ),
    (
        rf"Vectors of version (\S+) in (\S+) have (\d+) dimensions, not (\d+)\.{_HINT}",
        "{1} 中版本 {0} 的向量有 {2} 维，而不是 {3} 维。",
    ),
)
"""What else jobs fail at."""
RUNS = (
    ("Another run of this job was at work.", "该任务的另一次运行正在进行。"),
    (
        r"This run lost its lease and another may have taken over; it wrote nothing more\.",
        "此次运行失去了租约，可能已由另一次运行接管；此后没有再写入。",
    ),
    (
        r"Its process ended (\d+) times without an error(?: at the stage '(?P<said>.+)')?, the last time on (.+?), so"
        r" it is not tried again\. Often its memory ran out: .* start it again with `(.+)`\.",
        "其进程 {0} 次无故终止（阶段：{1}），最后一次在 {2} 上，因此不再重试。常见原因是内存不足：请查看系统日志，"
        "给任务执行进程更多内存或调低 LEMO_WORKER_CONCURRENCY，然后用 `{3}` 重新启动。",
    ),
    (r"attempt (\d+) on (.+)", "第 {0} 次尝试，在 {1} 上"),
    ("postponed: (?P<said>.+)", "推迟：{0}"),
    ("failed: (?P<said>.+)", "失败：{0}"),
    (r"done: ([\d,]+) rows read, ([\d,]+) written", "完成：读取 {0} 行，写入 {1} 行"),
)
"""Why a run failed, and the lines of its log."""
STAGES = (
    ("reading events", "读取行为"),
    ("measuring the champion", "评估当前模型"),
    ("choosing and measuring", "选择并评估"),
    ("choosing", "选择参数"),
    ("measuring", "评估"),
    ("preparing ranking data", "准备排序数据"),
    ("training the ranker", "训练排序模型"),
    (r"trying (\S+)", "尝试来源 {0}"),
    ("fitting on all events", "用全部行为拟合"),
    ("reading items and events", "读取物品和行为"),
    ("comparing items", "比较物品"),
    ("publishing", "发布"),
    ("reading active users", "读取活跃用户"),
    ("recommending", "生成推荐"),
    ("reading histories", "读取历史"),
    ("writing profiles", "写入画像"),
    ("comparing what users have seen", "核对用户看过的物品"),
    ("embedding new items", "嵌入新物品"),
    ("embedding all items", "嵌入全部物品"),
    (r"learning words from ([\d,]+) items", "从 {0} 个物品学习词汇"),
    ("hot scores", "热度"),
    ("metrics of minutes", "每分钟指标"),
    ("sessions", "会话"),
    ("drift", "漂移"),
    ("experiment (.+)", "实验 {0}"),
    ("task runs and events", "运行记录和行为"),
    ("users who were erased", "已清除的用户"),
    ("ids", "物品和用户的 ID"),
    ("snapshots", "快照"),
    ("answers", "推荐结果"),
    ("vectors of items that are gone", "已移除物品的向量"),
)
"""The stages of jobs, in their progress and in the logs of runs."""
_SEND_EVENTS = "请发送：POST .../events、消息日志，或 `lemo import events FILE --scenario NAME`。"
_SEND_ITEMS = "请发送：POST .../items、消息日志，或 `lemo import items FILE --scenario NAME`。"
IDLE = (
    (r"There are no events yet\. .*", f"尚无行为。{_SEND_EVENTS}"),
    (r"There are no items yet\. .*", f"尚无物品。{_SEND_ITEMS}"),
    (r"There are neither items nor events to compare\. .*", f"没有可比较的物品或行为。{_SEND_ITEMS}"),
    (
        r"None of ([\d,]+) events speaks for an item\. Send events of the actions that do: (.+)\.",
        "{0} 条行为都不表示喜欢某个物品。请发送这些行为：{1}。",
    ),
    ("No item waits for its vector.", "没有等待向量的物品。"),
    (
        r"There is no model yet\. Train one: `(.+)`\.",
        "尚无模型。请训练：`{0}`。",
    ),
    ("The answers of all active users are still current.", "所有活跃用户的结果仍是最新的。"),
    ("No events came in since the last run.", "自上次运行以来没有新的行为。"),
    ("Nothing has changed since the last run.", "自上次运行以来没有变化。"),
    ("Nothing is stale, orphaned or past its retention.", "没有过时、孤立或超过保留期的内容。"),
    ("No experiment runs.", "没有正在运行的实验。"),
)
"""Why a run had nothing to do."""
STORED = Phrases([*MODELS, *ENGINES, *FAULTS, *RUNS, *IDLE, *STAGES])
PIPELINE_REASONS = Phrases(PIPELINES)
"""Alone, as people give reasons for pipelines too, and their words stay as they are."""


def stored_words(text: str) -> str:
    """What a run or a model keeps, in the language of the page, as far as the product itself has made it."""
    return t(text, STORED.chinese(text))


def pipeline_reason(why: str) -> str:
    """Why a pipeline serves, in the language of the page where the product says it, and as a person wrote it."""
    return t(why, PIPELINE_REASONS.chinese(why))


def stored_label(text: str, classes: str = "break-words") -> ui.label:
    """A label with what a run or a model keeps; what stays English is marked as such for screen readers."""
    words = stored_words(text)
    label = ui.label(words).classes(classes)
    if words == text and language() != "en":
        label.props("lang=en")
    return label
