"""The doctor's findings in the language of the page: by dependency, state and service, not by their English text."""

from collections.abc import Iterator

from lemo.console.language import language, t
from lemo.diagnostics.dependencies import Dependency, Service
from lemo.diagnostics.report import Problem, State

SHOWN = {
    Dependency.api: ("API", "接口"),
    Dependency.worker: ("Worker", "任务执行"),
    Dependency.beat: ("Beat", "定时调度"),
    Dependency.consumer: ("Consumer", "数据接入"),
    Dependency.console: ("Console", "控制台"),
    Dependency.cache: ("Redis", "缓存"),
    Dependency.durability: ("Durability", "持久化"),
    Dependency.documents: ("Documents", "文档库"),
    Dependency.log: ("Ingest log", "消息日志"),
    Dependency.events: ("Events", "行为库"),
    Dependency.vectors: ("Vectors", "向量库"),
    Dependency.embedding: ("Embedding", "嵌入模型"),
    Dependency.snapshots: ("Snapshots", "模型快照"),
    Dependency.home: ("Disk", "磁盘"),
    Dependency.clocks: ("Clocks", "时钟"),
    Dependency.flink: ("Flink", "流计算"),
}
"""Dependencies that have a mark on the first page."""
_OTHERS = {
    Dependency.packages: ("Python packages", "Python 依赖包"),
    Dependency.broker: ("Broker", "任务队列"),
    Dependency.results: ("Results", "任务结果"),
    Dependency.overdue: ("Overdue jobs", "逾期任务"),
    Dependency.failing: ("Failing jobs", "失败任务"),
    Dependency.dead_letters: ("Dead letters", "死信"),
    Dependency.unknown_items: ("Unknown items", "未知物品"),
    Dependency.identity: ("Identity provider", "身份提供方"),
}
NAMES = SHOWN | _OTHERS
VERSIONED = frozenset(
    {
        Dependency.cache,
        Dependency.documents,
        Dependency.log,
        Dependency.events,
        Dependency.vectors,
        Dependency.embedding,
        Dependency.flink,
    }
)
"""Those whose version is the name and number of a product; that of the others is an English word."""
STATES: dict[State, tuple[str, str]] = {
    "ok": ("fine", "正常"),
    "warning": ("look at it", "请检查"),
    "missing": ("not there", "不可用"),
    "absent": ("not set up", "未配置"),
}
SERVICES = {
    Service.api: "接口",
    Service.worker: "任务执行",
    Service.beat: "定时调度",
    Service.consumer: "数据接入",
    Service.console: "控制台",
    Service.flink: "流计算",
}
_S, _D = Service, Dependency
WITHOUT = {
    (_S.api, _D.api): "无法通过 HTTP 发送物品和行为，也无法请求推荐。",
    (_S.api, _D.packages): "接口无法启动。",
    (_S.api, _D.cache): "结果不含用户近期行为，并标记为降级。",
    (_S.api, _D.broker): "无法通过 HTTP 触发任务。",
    (_S.api, _D.documents): "无法读取密钥和场景：新密钥会被拒绝。",
    (_S.api, _D.log): "在消息日志恢复前，物品和行为会被拒绝（503）。",
    (_S.api, _D.snapshots): "不会加载新模型，仍用内存中的模型。",
    (_S.api, _D.consumer): "已接收的内容停留在日志中，不会写入任何存储。",
    (_S.api, _D.worker): "模型和相似物品会逐渐过时。",
    (_S.worker, _D.worker): "所有任务停止：模型、相似物品、画像和结果会逐渐过时。",
    (_S.worker, _D.packages): "任务执行进程无法启动。",
    (_S.worker, _D.home): "任务无法写入模型和文件。",
    (_S.worker, _D.cache): "任务无法锁定场景，也无法写入预计算结果。",
    (_S.worker, _D.broker): "任务执行进程收不到任务。",
    (_S.worker, _D.results): "等待任务的一方无法得知其结果。",
    (_S.worker, _D.durability): "Redis 重启或内存耗尽时，排队的任务可能丢失。",
    (_S.worker, _D.documents): "任务无法读取物品，也无法记录运行历史。",
    (_S.worker, _D.events): "训练、相似物品、画像和结果不再更新。",
    (_S.worker, _D.vectors): "新物品没有内容向量，相似物品只来自行为。",
    (_S.worker, _D.embedding): "新物品和修改过的物品暂无内容向量，其余保留原有向量。",
    (_S.worker, _D.snapshots): "训练好的模型无法发布。",
    (_S.worker, _D.overdue): "这些任务的产物逐渐过时，不会有更新的结果。",
    (_S.worker, _D.failing): "这些任务持续失败，仍使用此前的产物。",
    (_S.worker, _D.clocks): "运行、版本和“最新”依赖的时钟不一致。",
    (_S.beat, _D.beat): "任务不会自动开始，手动触发仍然有效。",
    (_S.beat, _D.packages): "定时调度无法启动：它用 celery-redbeat 把调度保存在 Redis 中。",
    (_S.beat, _D.cache): "无法读取调度。",
    (_S.beat, _D.broker): "到期的任务无法交给任务执行进程。",
    (_S.beat, _D.durability): "Redis 重启后可能丢失上次运行时间。",
    (_S.beat, _D.worker): "到期的任务在队列中堆积。",
    (_S.beat, _D.clocks): "任务会过早或过晚开始。",
    (_S.consumer, _D.consumer): "物品和行为停留在日志中，不会写入任何存储。",
    (_S.consumer, _D.packages): "数据接入无法启动。",
    (_S.consumer, _D.log): "没有可读取的内容。",
    (_S.consumer, _D.documents): "物品无法写入，停留在日志中。",
    (_S.consumer, _D.events): "行为无法写入，停留在日志中。",
    (_S.consumer, _D.cache): "近期历史无法保存，行为停留在日志中。",
    (_S.consumer, _D.broker): "新物品到达时不会生成向量，要等下一次定时运行。",
    (_S.consumer, _D.durability): "使用 Redis Streams 时，Redis 重启可能丢失消息。",
    (_S.consumer, _D.dead_letters): "被拒绝的内容不在任何存储中。",
    (_S.consumer, _D.unknown_items): "只在行为中出现的物品不会被推荐。",
    (_S.console, _D.console): "网页不可用，其他不受影响。",
    (_S.console, _D.packages): "控制台无法启动。",
    (_S.console, _D.documents): "控制台无法显示物品和运行记录。",
    (_S.console, _D.cache): "控制台无法显示调度和近期历史。",
    (_S.console, _D.events): "控制台无法统计行为，也无法列出用户。",
    (_S.console, _D.log): "控制台无法统计死信。",
    (_S.console, _D.snapshots): "推荐探索没有可用的模型。",
    (_S.console, _D.identity): "无法通过 OpenID Connect 登录控制台，使用密码的账号不受影响。",
    (_S.flink, _D.flink): "没有运行的 Flink 作业：任务执行进程每分钟计算一次，而不是几秒。",
    (_S.flink, _D.log): "Flink 作业没有可读取的内容。",
}
"""What stops without a dependency, as `NEEDS` says it in English."""


def headline(problem: Problem) -> str:
    """What is unavailable; in English also why, which the finding's cause tells on Chinese pages."""
    away = dict.fromkeys(row.dependency for row in problem.rows)
    names = "、".join(NAMES[each][1] for each in away)
    chinese = f"{names}：{STATES[problem.finding.state][1]}"
    return t(problem.headline, chinese)


def stops(problem: Problem) -> Iterator[str]:
    """What stops, for each affected service."""
    if language() != "zh":
        yield from (f"{service.value}: {words}" for service, words in problem.stops())
        return
    for service in Service:
        if words := "".join(WITHOUT[service, row.dependency] for row in problem.rows if row.service is service):
            yield f"{SERVICES[service]}：{words}"
