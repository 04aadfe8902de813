"""Dead letters: which messages were refused and why; looked at, and sent on their way again."""

from collections import Counter

from nicegui import ui

from lemo.console.acting import Actor
from lemo.console.formats import ago, stamp
from lemo.console.language import t
from lemo.console.panels import Panel
from lemo.console.queries import Queries
from lemo.console.refusals import refusal_words
from lemo.console.tables import cell, table, td, tr
from lemo.console.theme import WEAK, badge, copyable, heading, nothing, section
from lemo.domain.time import from_milliseconds
from lemo.stores.dead_letters import Replayed
from lemo.streams.dead_letters import DeadLetter
from lemo.streams.messages import FAULTS, Fault

SHOWN = 50


class DeadLetterList:
    """The waiting dead letters of a scenario, or of the tenant, in a section of the page."""

    def __init__(self, queries: Queries, actor: Actor, scenario: str) -> None:
        self._queries = queries
        self._actor = actor
        self._scenario = scenario
        self._tenant_id = actor.visitor.tenant_id
        self._waiting = 0
        with section():
            with ui.row().classes("items-center justify-between w-full gap-2"):
                heading(t("Dead letters", "死信"))
                with ui.row().classes("items-center gap-2 w-full sm:w-auto"):
                    self._fault = (
                        ui.select(
                            {"": t("All faults", "全部原因")} | fault_words(),
                            value="",
                            label=t("Fault", "原因"),
                            on_change=lambda: self._panel.restart(),
                        )
                        .props("outlined dense")
                        .classes("w-full sm:w-48")
                    )
                    if actor.may():
                        self._all = ui.button(
                            t("Replay all", "全部重放"), icon="replay", on_click=self._replay_all
                        ).props("flat no-caps color=secondary")
            ui.label(
                t(
                    "Messages that could not be taken in. Mend the cause, then replay: items and events count once.",
                    "无法接入的消息。修复原因后重放；物品和行为只计一次。",
                )
            ).classes("lemo-muted text-sm mt-1")
            stores = queries.stores
            self._panel: Panel[list[DeadLetter]] = Panel(
                lambda: stores.dead_letters.waiting_of(self._tenant_id, scenario, self._fault.value or ""),
                self._draw,
                every=10.0,
            )

    def _draw(self, letters: list[DeadLetter]) -> None:
        self._waiting = len(letters)
        if self._actor.may():
            self._all.set_enabled(bool(letters))
        if not letters:
            nothing(t("None waits.", "没有等待的死信。"))
            return
        words = fault_words()
        counts = Counter(letter.fault for letter in letters)
        with ui.row().classes("gap-2 mt-2"):
            for fault, count in counts.most_common():
                badge(f"{words.get(fault, fault)} {count:,}", WEAK)
        names = (t("Reason", "原因"), t("Scenario", "场景"), t("Refused", "拒收"), t("Stood at", "位置"), "")
        with table(names):
            for letter in letters[:SHOWN]:
                self._row(letter)
        if len(letters) > SHOWN:
            nothing(t(f"and {len(letters) - SHOWN:,} more", f"还有 {len(letters) - SHOWN:,} 条"))

    def _row(self, letter: DeadLetter) -> None:
        moment = from_milliseconds(letter.refused_at)
        with tr().mark("letter"):
            with td(), ui.column().classes("gap-0 items-start"):
                ui.label(fault_words().get(letter.fault, letter.fault)).classes("font-medium")
                ui.label(refusal_words(letter.reason)[:300]).classes("lemo-muted lemo-small break-words")
            cell(letter.scenario_id or "–")
            cell(ago(moment), stamp(moment))
            with td():
                ui.label(letter.id).classes("font-mono text-xs break-all")
            with td("number"), ui.row().classes("gap-1 flex-nowrap justify-end"):
                look = ui.button(icon="visibility", on_click=lambda: self._look(letter))
                look.props("flat round dense color=secondary").tooltip(t("Look at it", "查看"))
                look.props["aria-label"] = t(f"Look at {letter.id}", f"查看 {letter.id}")
                if self._actor.may():
                    replay = ui.button(icon="replay", on_click=lambda: self._replay(letter))
                    replay.props("flat round dense color=secondary").tooltip(t("Replay", "重放"))
                    replay.props["aria-label"] = t(f"Replay {letter.id}", f"重放 {letter.id}")

    async def _look(self, letter: DeadLetter) -> None:
        with self._actor.host, ui.dialog() as dialog, ui.card().classes("w-full max-w-2xl gap-3"):
            ui.label(fault_words().get(letter.fault, letter.fault)).classes("text-lg font-semibold")
            ui.label(refusal_words(letter.reason)).classes("text-sm break-words")
            facts = f"{letter.id} · {letter.stage} · {stamp(from_milliseconds(letter.refused_at))}"
            ui.label(facts).classes("lemo-muted lemo-small break-all")
            if letter.truncated:
                badge(t("only its beginning is kept", "仅保留开头部分"), WEAK)
            with ui.element("div").classes("w-full max-h-96 overflow-auto").props("tabindex=0"):
                copyable(letter.message.value.decode(errors="backslashreplace")[:20_000])
            with ui.row().classes("w-full justify-end"):
                ui.button(t("Close", "关闭"), on_click=lambda: dialog.submit(None)).props(
                    "flat no-caps color=secondary autofocus"
                )
        try:
            await dialog
        finally:
            dialog.delete()

    async def _replay(self, letter: DeadLetter) -> None:
        stores = self._queries.stores
        await self._actor.do(lambda: stores.dead_letters.replay(self._tenant_id, [letter.id]), _told)
        await self._panel.renew()

    async def _replay_all(self) -> None:
        stores, fault, count = self._queries.stores, self._fault.value or "", self._waiting
        if not await self._actor.sure(
            t(f"Replay {count:,} messages?", f"重放 {count:,} 条消息？"),
            t("Those that fail again come back as new dead letters.", "再次失败的将成为新的死信。"),
            t("Replay", "重放"),
        ):
            return
        await self._actor.do(lambda: stores.dead_letters.replay(self._tenant_id, None, self._scenario, fault), _told)
        await self._panel.renew()


def _told(replayed: Replayed) -> str:
    text = t(f"Replayed: {replayed.count:,}", f"已重放：{replayed.count:,}")
    for why in list(replayed.left.values())[:1]:
        text += t(f"; {len(replayed.left):,} stay: {why}", f"；{len(replayed.left):,} 条保留：{why}")
    return text


def fault_words() -> dict[str, str]:
    """The kinds of faults in the language of the page."""
    words: dict[Fault, str] = {
        "not-json": t("not JSON", "不是 JSON"),
        "too-large": t("too large", "过大"),
        "invalid": t("invalid", "无效"),
        "implausible-time": t("implausible time", "时间不合理"),
        "unknown-tenant": t("unknown tenant", "未知租户"),
        "unknown-scenario": t("unknown scenario", "未知场景"),
        "unknown-action": t("unknown action", "未知行为"),
        "other-tenant": t("another tenant", "其他租户"),
    }
    return {fault: words[fault] for fault in FAULTS}
