"""The doctor's causes and hints in Chinese. Commands, settings and what an engine said stay as they are."""

from lemo.console.phrases import Phrases

CAUSES = Phrases(
    [
        # An engine that cannot be reached, or answers what it should not.
        (r"(\S+) is no (?:list|URL|\S+ URL).*", "{0} 的格式不正确。"),
        (r"the host (.+) is unknown\.", "找不到主机 {0}。"),
        (r"(\S+) did not accept a connection within (\S+) s\.", "{0} 在 {1} 秒内没有接受连接。"),
        (r"(\S+) refused the connection: nothing listens there\.", "{0} 拒绝连接：该端口没有服务在监听。"),
        (r"(\S+) is out of reach: (.+)\.", "无法访问 {0}：{1}。"),
        (r"it accepted the connection and then was silent\.", "接受了连接，但没有响应。"),
        (r"it refused the user or password\.", "拒绝了用户名或密码。"),
        (r"it refuses writes: (.+)", "拒绝写入：{0}"),
        (r"it speaks TLS, and was asked without\.", "它使用 TLS，但请求没有使用。"),
        (r"TLS failed: it did not answer the handshake: .*", "TLS 失败：握手没有响应，该端口可能不使用 TLS，或过载。"),
        (r"TLS failed: it does not speak TLS at this port\.", "TLS 失败：该端口不使用 TLS。"),
        (r"TLS failed: its certificate was made for another name\.", "TLS 失败：证书属于其他名称。"),
        (r"TLS failed: its certificate is not valid now: .*", "TLS 失败：证书当前无效（已过期，或时钟不准）。"),
        (r"TLS failed: its certificate is not trusted: it is self-signed\.", "TLS 失败：证书不受信任（自签名）。"),
        (
            r"TLS failed: its certificate is not trusted: its issuer is unknown\.",
            "TLS 失败：证书不受信任（签发者未知）。",
        ),
        (r"TLS failed: (.+)", "TLS 失败：{0}"),
        (r"something answers, but not as (.+) does: (.+)", "有响应，但不是 {0}：{1}"),
        (r".+: no answer within (\S+) s\.", "{0} 秒内没有响应。"),
        # Services.
        (r"worker: no worker answered\.", "没有任务执行进程响应。"),
        (r"worker: no worker reads (.+)\.", "没有任务执行进程读取队列 {0}。"),
        (
            r"worker: it is not known how it does: asking took longer than (\S+) s, while the broker answers\.",
            "任务执行进程的状态未知：询问超过 {0} 秒，而任务队列有响应。",
        ),
        (
            r"worker: busy: it did not answer within (\S+) s, while its runs hold their leases \((.+)\)\.",
            "任务执行进程繁忙：{0} 秒内没有响应，但其运行仍在进行（{1}）。",
        ),
        (
            r"worker: busy: all (\d+) slots are taken \((.+)\); what comes to every queue waits\.",
            "任务执行进程繁忙：{0} 个名额全部占用（{1}）；新任务需等待。",
        ),
        (
            r"worker: busy: all (\d+) slots are taken \((.+)\); what comes to (.+) waits\.",
            "任务执行进程繁忙：{0} 个名额全部占用（{1}）；队列 {2} 的新任务需等待。",
        ),
        (
            r"worker: it answers, has free slots, and completes nothing of (.+)\.",
            "任务执行进程有响应、有空闲名额，但没有完成队列 {0} 的任务。",
        ),
        (r"beat: no beat holds the schedule's lock\.", "没有定时调度进程持有调度锁。"),
        (r"consumer: nobody reads for the group (.+)\.", "消费组 {0} 没有读取者。"),
        (r"topics that do not exist: (.+)\.", "主题不存在：{0}。"),
        (r"the group (\S+) is far behind: (.+)\.", "消费组 {0} 严重滞后：{1}。"),
        (r"\w+: not installed: (.+)\.", "未安装：{0}。"),
        (r"\w+: (\S+) answered (\d+): another program may have the port\.", "{0} 返回 {1}：端口可能被其他程序占用。"),
        (
            r"API: (\S+) does not answer within 3 s: an engine that it asks hangs\.",
            "{0} 在 3 秒内没有响应：其依赖的引擎卡住了。",
        ),
        # Stores.
        (
            r"SQLite: (\S+) does not exist: nothing has been started with this LEMO_HOME\.",
            "{0} 不存在：此 LEMO_HOME 从未启动过。",
        ),
        (r"(?:SQLite: |snapshots: )?(\S+) is not writable\.", "{0} 不可写。"),
        (r"(\S+) cannot be written: (.+)\.", "无法写入 {0}：{1}。"),
        (r"the disk of (\S+) is nearly full: (\S+ GB) free\.", "{0} 所在磁盘即将写满：剩余 {1}。"),
        (r"(\d+) damaged and set aside, last (.+) at (.+ UTC): .*", "{0} 项已损坏并移到一旁，最近一项是 {1}（{2}）。"),
        (
            r"(\d+) of the snapshots in service cannot be opened: .*",
            "{0} 个在用快照无法打开。在其任务重新生成之前，使用上一版本或热门物品。",
        ),
        (r"MongoDB: this member is not the primary, and takes no writes\.", "该 MongoDB 成员不是主节点，不接受写入。"),
        (
            r"ClickHouse: the tables have schema (\d+), and this Lemo writes schema (\d+)\.",
            "ClickHouse 的表结构版本为 {0}，此版本的 Lemo 使用 {1}。",
        ),
        (r"Redis cannot write to its disk, and refuses writes\.", "Redis 无法写入磁盘，拒绝写入。"),
        (r"the eviction policy is (\S+): .*", "淘汰策略为 {0}：内存不足时 Redis 会丢弃排队的任务和消息。"),
        (r"the append-only file is off: .*", "未启用 AOF：Redis 重启时会丢失上次转储之后的内容。"),
        (r"clocks: they differ from this machine's: (.+)\.", "与本机时钟不一致：{0}。"),
    ]
)
"""What was found."""
HINTS = Phrases(
    [
        (r"Start the embedded engines: (.+)", "启动内置引擎：{0}"),
        (r"Start it, or correct (\S+)\. Try it: (.+)", "请启动它，或修正 {0}。测试：{1}"),
        (r"(lemo up --detach) \(or on its own: (.+)\)", "{0}（或单独启动：{1}）"),
        (r"Write it like (.+) and set it as (\S+)", "格式如 {0}，设置为 {1}"),
        (r"Correct (\S+), or DNS\. Try it: (.+)", "请修正 {0} 或 DNS。测试：{1}"),
        (r"Look for a firewall in between, or correct (\S+)\. Try it: (.+)", "请检查防火墙，或修正 {0}。测试：{1}"),
        (
            r"Look for an overloaded machine, or whether (\S+) names the right port\. Try it: (.+)",
            "请检查机器是否过载，或 {0} 的端口是否正确。测试：{1}",
        ),
        (
            r"Look for an overloaded machine, slow DNS or a firewall, then again: (.+)",
            "请检查机器负载、DNS 或防火墙，然后重试：{0}",
        ),
        (r"Look for an overloaded machine, then again: (.+)", "请检查机器负载，然后重试：{0}"),
        (r"Correct user and password in (\S+)\. Try it: (.+)", "请修正 {0} 中的用户名和密码。测试：{1}"),
        (
            r"Free disk space or memory where it runs; it then goes on by itself\. Try it: (.+)",
            "请释放其磁盘或内存，之后会自行恢复。测试：{0}",
        ),
        (r"Look whether (\S+) names the right port\. Try it: (.+)", "请检查 {0} 的端口是否正确。测试：{1}"),
        (r"Correct the scheme or certificate of (\S+): (.+)", "请修正 {0} 的协议或证书：{1}"),
        (r"Name the whole replica set in (\S+): (.+)", "请在 {0} 中写出整个副本集：{1}"),
        (r"Renew it, or set the clock\. See it: (.+)", "请更新证书，或校准时钟。查看：{0}"),
        (r"To trust it: (.+)\. See it: (.+)", "信任它：{0}。查看：{1}"),
        (
            r"Use its TLS port in (\S+), or go without TLS\. Try it: (.+)",
            "请在 {0} 中使用其 TLS 端口，或不用 TLS。测试：{1}",
        ),
        (r"Use its TLS port in (\S+), or the scheme without TLS\.", "请在 {0} 中使用其 TLS 端口，或不用 TLS 的协议。"),
        (r"Use the name in the certificate in (\S+)\. See it: (.+)", "请在 {0} 中使用证书里的名称。查看：{1}"),
        (r"Write (.+)\. A certificate of your own: (.+)\.", "请写成 {0}。自有证书：{1}。"),
        (r"See why, fix the cause, and send them again: (.+)", "请查看原因，修复后重新发送：{0}"),
        (r"Look at the settings: (.+)", "请检查设置：{0}"),
        (r"Look at the other rows for the engine", "引擎的问题见其他条目"),
        (r"Start one that reads every queue: (.+)", "请启动读取全部队列的进程：{0}"),
        (r"Wait for them, or start one more: (.+)", "请等待，或再启动一个：{0}"),
        (r"Ask again when they have ended: (.+)", "待其结束后再检查：{0}"),
        (
            r"Restart it \(kill -9 loses nothing: .*\), and look into its log",
            "请重启它（kill -9 不会丢失内容：正在进行的会重新运行），并查看其日志",
        ),
        (r"Start the consumer, which makes them: (.+)", "请启动数据接入，它会创建主题：{0}"),
        (r"Start the consumer, or one more of them: (.+)", "请启动数据接入，或再启动一个：{0}"),
        (
            r"Start this version's consumer, which brings them up to date: (.+)",
            "请启动此版本的数据接入，它会更新表结构：{0}",
        ),
        (r"Free some space, or mount it writable: (.+)", "请释放空间，或以可写方式挂载：{0}"),
        (r"Free some space, or move LEMO_HOME\. What is large: (.+)", "请释放空间，或移动 LEMO_HOME。查看占用：{0}"),
        (r"Free space on the disk of Redis, then look at: (.+)", "请释放 Redis 的磁盘空间，然后查看：{0}"),
        (r"Look at the disk; when nothing of it is needed any more: (.+)", "请检查磁盘；不再需要时：{0}"),
        (
            r"Let both machines follow a time server \(chrony\)\. Look, here and at (.+): (\w+)",
            "请让两台机器同步时间服务器（chrony）。在本机和 {0} 上查看：{1}",
        ),
        (r"Look into the API's log for (.+), then start it again", "请在接口的日志中查找 {0}，然后重启"),
        (r"(ss .+), then set (\S+) to a free port", "{0}，然后把 {1} 设为空闲端口"),
    ]
)
"""What to do about it; a hint that is a command alone stays as it is."""
