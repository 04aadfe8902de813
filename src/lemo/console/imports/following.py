"""One file at work, and what came of it."""

from typing import Any

from nicegui import ui

from lemo.console.acting import Actor, in_thread
from lemo.console.formats import took, whole
from lemo.console.imports.notes import TYPES
from lemo.console.imports.rejected import MOST_BYTES, rejected_csv
from lemo.console.imports.uploads import AT_WORK, Upload, Uploads
from lemo.console.imports.words import on_the_page
from lemo.console.imports.work import Imports, Progress
from lemo.console.language import t
from lemo.console.navigation import address
from lemo.console.panels import Panel
from lemo.console.refusals import refusal_words
from lemo.console.stats import stat, stats
from lemo.console.tables import cell, table, td, tr
from lemo.console.theme import WEAK, banner, copyable, subheading


def draw_file(uploads: Uploads, imports: Imports, actor: Actor, upload: Upload, scenario: str) -> None:
    """Draws how far it is while it is imported, and what came of it."""
    if upload.state not in AT_WORK:
        _draw_end(uploads, upload)
        return
    tenant_id = actor.visitor.tenant_id
    again = address("/import", scenario=scenario, file=upload.id)

    def read() -> tuple[Upload, Progress | None]:
        return uploads.get(tenant_id, upload.id), imports.progress(upload)

    def draw(found: tuple[Upload, Progress | None]) -> None:
        now, progress = found
        if now.state not in AT_WORK:
            ui.navigate.to(again)  # there is another page to draw
            return
        _draw_progress(progress)

    Panel(read, draw, every=0.5, height=80)
    if actor.may():

        async def stop() -> None:
            await actor.do(lambda: imports.stop(upload), t("It stops before the next rows.", "将在下一批之前停止。"))

        ui.button(t("Stop", "停止"), icon="stop", on_click=stop).props("flat no-caps color=secondary")


def _draw_progress(progress: Progress | None) -> None:
    if progress is None:
        return
    share = progress.share
    bar = ui.linear_progress(share, show_value=False, size="8px").props("rounded instant-feedback").classes("mt-3")
    bar.props["aria-label"] = t("Progress", "进度")
    if progress.stage == "queued":
        text = t("Two other files are imported; this one is next.", "另外两个文件正在导入，随后导入此文件。")
    elif progress.stage == "consumer":
        left = progress.total - progress.done
        text = t(
            f"All {progress.rows:,} rows are sent; the consumer has {left:,} to take.",
            f"全部 {progress.rows:,} 行已发送，消费者还需接收 {left:,} 条。",
        )
    else:
        rate = progress.rows / progress.seconds if progress.seconds else 0
        text = t(
            f"{progress.rows:,} rows, {progress.rejected:,} rejected, {rate:,.0f} rows a second",
            f"{progress.rows:,} 行，拒绝 {progress.rejected:,} 行，每秒 {rate:,.0f} 行",
        )
        if (seconds := progress.seconds_left) is not None:
            text += t(f", about {took(seconds)} left", f"，约剩 {took(seconds)}")
    ui.label(text).classes("text-sm lemo-number mt-2").props("role=status")
    ui.label(t("You may close this page: it goes on.", "可以关闭此页面，导入会继续。")).classes("lemo-muted text-sm")


def _draw_end(uploads: Uploads, upload: Upload) -> None:
    if upload.error:
        banner(on_the_page(upload.error), on_the_page(upload.hint))
    if upload.state == "broken":
        banner(
            t("The console ended while this file was imported.", "导入此文件时控制台已终止。"),
            t("Import it again: rows that were taken count once.", "请再次导入：已接收的行只计一次。"),
        )
    if upload.state == "stopped":
        banner(
            t("It was stopped.", "导入已停止。"),
            t("What was sent stays. Imported again, rows count once.", "已发送的内容保留。再次导入时每行只计一次。"),
            WEAK,
        )
    if upload.result:
        _draw_result(uploads, upload, upload.result)


def _draw_result(uploads: Uploads, upload: Upload, result: dict[str, Any]) -> None:
    events = upload.kind == "events"
    merged = max(int(result["repeated"]), int(result["known_before"] or 0))
    with stats("grid-cols-2 sm:grid-cols-4 mt-3"):
        stat(t("Rows read", "读取行数"), whole(result["read"]))
        stat(t("Taken", "已接收"), whole(result["published"]))
        stat(
            t("Of these known before or repeated", "其中已存在或重复"),
            whole(merged),
        )
        stat(t("Rejected", "已拒绝"), whole(result["rejected"]))
    if result["rejected"] > result["published"]:
        with ui.element("div").classes("w-full my-3"):
            banner(
                t("Most rows were rejected.", "大多数行被拒绝。"),
                t(
                    "Correct below how the file is read, and import it again: rows that were taken count once.",
                    "请在下方修正读取方式后重新导入：已接收的行只计一次。",
                ),
            )
    facts = [t(f"It took {took(result['seconds'])}.", f"用时 {took(result['seconds'])}。")]
    if "held" in result:
        facts.append(
            t(f"The scenario holds {result['held']:,} events now.", f"场景现有 {result['held']:,} 条行为。")
            if events
            else t(
                f"The catalogue holds {result['held']:,} active items now.", f"目录现有 {result['held']:,} 个有效物品。"
            )
        )
    if result["new_users"]:
        facts.append(t(f"{result['new_users']:,} users are new.", f"新增 {result['new_users']:,} 位用户。"))
    if result["first_event_at"]:
        span = [str(result[name])[:16].replace("T", " ") for name in ("first_event_at", "last_event_at")]
        done = ", ".join(f"{count:,} {action}" for action, count in result["actions"].items())
        facts.append(t(f"From {span[0]} to {span[1]} UTC: {done}.", f"{span[0]} 至 {span[1]} UTC：{done}。"))
    for fact in facts:
        ui.label(fact).classes("text-sm mt-1 break-words")
    for warning in _warnings(result):
        ui.label(warning).classes("text-sm mt-1 break-words").style(f"color:{WEAK}")
    if result["rejected_by_reason"]:
        subheading(t("Rejected by reason", "拒绝原因"))
        with table((t("Rows", "行数"), t("Reason", "原因")), numbers=(0,)):
            for reason, count in list(result["rejected_by_reason"].items())[:20]:
                _row(whole(count), refusal_words(reason))
        subheading(t("First rejected rows", "最先拒绝的行"))
        with table((t("Line", "行号"), t("Reason", "原因")), numbers=(0,)):
            for each in result["reasons"]:
                _row(whole(each["line"]), refusal_words(each["reason"]))
        _draw_rejects(uploads, upload)
    if result["published"]:
        _draw_next(upload, events)


def _draw_rejects(uploads: Uploads, upload: Upload) -> None:
    async def download() -> None:
        try:
            content = await in_thread(lambda: rejected_csv(uploads.rejects(upload)))
        except FileNotFoundError:
            ui.notify(t("They are not kept any more.", "已不再保留。"), type="warning")
            return
        ui.download.content(content, f"{upload.name}.rejects.csv", "text/csv")

    if not uploads.rejects(upload).exists():  # of an import before this version
        return
    ui.button(t("Rejected rows as CSV", "下载被拒绝的行（CSV）"), icon="download", on_click=download).props(
        "flat no-caps color=secondary"
    ).classes("mt-2").tooltip(
        t(
            f"With line and reason; up to {MOST_BYTES // 1_000_000} MB of them are kept.",
            f"包含行号和原因；最多保留 {MOST_BYTES // 1_000_000} MB。",
        )
    )


def _row(number: str, text: str) -> None:
    with tr():
        cell(number, number=True)
        with td():
            ui.label(text[:500]).classes("break-words")


def _warnings(result: dict[str, Any]) -> list[str]:
    found = [on_the_page(each) for each in result["problems"]]
    unknown, named = result["unknown_items"], result["named"]
    if unknown:
        shown = ", ".join(result["examples"][:5])
        found.append(
            t(
                f"{unknown:,} of {named:,} item ids are not in the catalogue, and will be in no answer: {shown}."
                " Import these items, or let events alone decide: `catalogue` of the scenario.",
                f"{named:,} 个物品 ID 中有 {unknown:,} 个不在目录中，不会出现在推荐结果里：{shown}。"
                "请导入这些物品，或在场景中设置 `catalogue`，仅由行为决定。",
            )
        )
    if result["left"]:
        found.append(
            t(
                f"The consumer does not take them: {result['left']:,} messages wait, safe in the log, until it runs.",
                f"消费者未在接收：{result['left']:,} 条消息安全地留在日志中，等待其运行。",
            )
        )
    found += [on_the_page(each) for each in result["outliers"]]
    found += [
        t(
            f"{count:,} rows have the id {word!r}: a program's word for nothing?",
            f"{count:,} 行的 ID 是 {word!r}：是空值吗？",
        )
        for word, count in result["null_ids"].items()
    ]
    for name, kinds in result["mixed_attributes"].items():
        told = ", ".join(f"{count:,} {kind}" for kind, count in kinds.items())
        chinese = "，".join(f"{count:,} 个{TYPES.get(kind, kind)}" for kind, count in kinds.items())
        found.append(t(f"The attribute {name} is of several types: {told}.", f"属性 {name} 有多种类型：{chinese}。"))
    return found


def _draw_next(upload: Upload, events: bool) -> None:
    subheading(t("What next", "下一步"))
    if events:
        ui.label(
            t(
                "Train a model (each night it happens by itself), then look at answers:",
                "训练模型（每晚自动进行），然后查看推荐结果：",
            )
        ).classes("text-sm mt-1")
        copyable(f"lemo jobs run train-model-daily --scenario {upload.scenario_id} --wait")
        with ui.row().classes("gap-4"):
            for path, words in (("/models", t("Models", "模型")), ("/explore", t("Explore", "推荐探索"))):
                ui.link(words, address(path, scenario=upload.scenario_id)).classes("lemo-link")
    else:
        ui.label(t("Import what users did, if that is not done yet.", "如尚未导入用户行为，请继续导入。")).classes(
            "text-sm mt-1"
        )
        ui.link(t("Items", "物品"), address("/items", scenario=upload.scenario_id)).classes("lemo-link")
