"""The audit log: who changed what, for administrators."""

import json

from nicegui import run, ui

from lemo.console.access import Access, Visitor, framed
from lemo.console.queries import Queries, attempt
from lemo.console.theme import ago, cell, heading, nothing, stamp, table, trouble
from lemo.domain.audit import AuditLine
from lemo.domain.errors import LemoError
from lemo.stores.audit_log import audit_lines

SHOWN = 200


async def audit_page(queries: Queries, access: Access) -> None:
    """Draws the newest lines for an administrator; others are told what it takes."""
    opened = await access.opened("/audit")
    if opened is None:
        return
    visitor, _ = opened
    lines = await run.io_bound(attempt, lambda: _lines(queries, access, visitor))
    with framed("/audit", visitor):
        if isinstance(lines, LemoError):
            trouble(lines)
        elif lines is not None:
            with ui.element("section").classes("lemo-card w-full"):
                heading("Audit", "审计")
                _table(lines)


def _lines(queries: Queries, access: Access, visitor: Visitor) -> list[AuditLine]:
    access.require(visitor, "admin")
    return audit_lines(queries.stores, visitor.tenant_id, SHOWN)


def _table(lines: list[AuditLine]) -> None:
    if not lines:
        nothing("Nobody has changed anything yet. 尚无变更。")
        return
    names = ("When 时间", "Who 操作者", "What 操作", "Of 对象", "Scenario 场景", "Detail 详情")
    with table(names, numbers=()):
        for line in lines:
            with ui.element("tr").mark("line"):
                cell(ago(line.at), stamp(line.at))
                with ui.element("td"):
                    ui.label(line.by).classes("break-words")
                cell(line.action)
                with ui.element("td"):
                    ui.label(line.subject).classes("break-all")
                cell(line.scenario_id or "–")
                with ui.element("td"):
                    detail = json.dumps(line.detail, ensure_ascii=False) if line.detail else ""
                    ui.label(detail[:300]).classes("text-xs text-slate-500 break-all")
