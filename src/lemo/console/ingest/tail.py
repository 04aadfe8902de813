"""The live tail of events: the newest messages of the log as they come, each to be copied as a request."""

import json
import shlex

from nicegui import ui

from lemo.console.acting import Actor
from lemo.console.formats import stamp
from lemo.console.language import t
from lemo.console.panels import Panel
from lemo.console.queries import Queries
from lemo.console.refusals import refusal_words
from lemo.console.tables import cell, table, td, tr
from lemo.console.theme import BAD, heading, nothing, section
from lemo.domain.time import from_milliseconds
from lemo.settings import Settings
from lemo.streams.tail import TailedEvent, newest_events
from lemo.streams.topics import Topics

EVERY_SECONDS = 2.0
SHOWN = 30


class EventTail:
    """The newest event messages of a scenario, or of the tenant, in a section of the page."""

    def __init__(self, queries: Queries, actor: Actor, scenario: str) -> None:
        self._settings = queries.settings
        tenant_id = actor.visitor.tenant_id
        topics = Topics(queries.settings)
        own = f"{topics.tenant_prefix}{tenant_id}"

        def read() -> list[TailedEvent]:
            log = queries.stores.log
            names = [topics.events, *([own] if own in log.topics(topics.tenant_prefix) else [])]
            return newest_events(log, names, tenant_id, scenario, SHOWN)

        with section():
            with ui.row().classes("items-center justify-between w-full gap-2"):
                heading(t("Live events", "实时行为"))
                self._live = ui.switch(t("Live", "实时"), value=True)
            self._panel: Panel[list[TailedEvent]] = Panel(read, self._draw, height=200)
            ui.timer(EVERY_SECONDS, self._renew, immediate=False)

    async def _renew(self) -> None:
        if self._live.value:
            await self._panel.renew()

    def _draw(self, events: list[TailedEvent]) -> None:
        if not events:
            nothing(t("No events among the newest messages of the log.", "日志最新消息中没有行为。"))
            return
        names = (
            t("Taken by the log", "日志接收"),
            t("Scenario", "场景"),
            t("User", "用户"),
            t("Action", "行为"),
            t("Item", "物品"),
            "",
        )
        with table(names):
            for event in events:
                self._row(event)

    def _row(self, event: TailedEvent) -> None:
        moment = from_milliseconds(event.at_ms)
        with tr().mark("tailed"):
            with td(), ui.column().classes("gap-0 items-start"):
                ui.label(f"{moment:%H:%M:%S}").classes("lemo-number").tooltip(stamp(moment))
                if event.fault:
                    ui.label(refusal_words(event.fault)[:200]).classes("lemo-small break-words").style(f"color:{BAD}")
            cell(event.scenario_id)
            for name in ("user_id", "action", "item_id"):
                with td():
                    ui.label(str(event.event.get(name, "–"))[:120]).classes("break-all")
            with td("number"):
                button = ui.button(icon="terminal", on_click=lambda: self._copy(event))
                button.props("flat round dense color=secondary").tooltip(t("Copy as curl", "复制为 curl"))
                button.props["aria-label"] = t(f"Copy {event.id} as curl", f"将 {event.id} 复制为 curl")

    def _copy(self, event: TailedEvent) -> None:
        ui.clipboard.write(curl_of(event, self._settings))
        ui.notify(
            t("Copied. Set LEMO_KEY to a key that may send events.", "已复制。请将 LEMO_KEY 设为可发送行为的密钥。")
        )


def curl_of(event: TailedEvent, settings: Settings) -> str:
    """The event as a request by curl; the key is the shell's variable LEMO_KEY."""
    body = json.dumps({"events": [event.event]}, ensure_ascii=False)
    # An address to listen on is none to send to where it stands for all of the machine's.
    host = "127.0.0.1" if settings.api_host in ("0.0.0.0", "::") else settings.api_host
    address = f"http://{host}:{settings.api_port}/v1/scenarios/{event.scenario_id}/events"
    return (
        f'curl -X POST {shlex.quote(address)} -H "Authorization: Bearer $LEMO_KEY"'
        f" -H 'Content-Type: application/json' -d {shlex.quote(body)}"
    )
